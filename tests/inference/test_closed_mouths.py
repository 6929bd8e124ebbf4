"""Short closures lie between the samples of a shot; its most closed mouths are kept all the same."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
import pytest

from dithead.face.landmarks import FaceLandmarker
from dithead.face.opened_mouth import moved_landmarks
from dithead.inference.analyse.closed_mouths import ClosedMouths
from dithead.inference.analyse.face_pictures import FacePlace
from dithead.inference.analyse.face_samples import sample_face
from dithead.inference.analyse.occlusion import OcclusionFinding
from dithead.inference.analyse.tracklet import Tracklet, TrackletBuilder
from dithead.media.video import VideoFrame, read_frames
from dithead.types import Landmarks

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"
SIZE = 64


@pytest.fixture(scope="module")
def frame() -> VideoFrame:
    return next(read_frames(PRESENTER))


@pytest.fixture(scope="module")
def face(frame: VideoFrame) -> Landmarks:
    with FaceLandmarker(1) as landmarker:
        return landmarker.detect(frame.pixels)[0]


def as_open_as(face: Landmarks, opening: float) -> Landmarks:
    moved = face.copy()
    moved[:, :2] = moved_landmarks(face, opening)
    return moved


def kept(frame: VideoFrame, face: Landmarks, openings: Sequence[float]) -> ClosedMouths:
    closed = ClosedMouths()
    for offset, opening in enumerate(openings):
        moved = as_open_as(face, opening)
        closed.add(frame, moved, FacePlace.of(moved, SIZE), offset)
    return closed


def followed(frame: VideoFrame, face: Landmarks, openings: Sequence[float], covered: Container[int] = ()) -> Tracklet:
    builder = TrackletBuilder(0)
    for offset, opening in enumerate(openings):
        moved = as_open_as(face, opening)
        builder.add(frame, moved, FacePlace.of(moved, SIZE))
        builder.judge(OcclusionFinding(reason="hand") if offset in covered else None)
    return builder.close(SIZE, False, False)


def test_the_most_closed_are_kept_and_one_closure_counts_once(frame: VideoFrame, face: Landmarks) -> None:
    openings = np.full(100, 0.1)
    openings[[10, 11, 12, 30, 50, 70, 90]] = 0.03, 0.02, 0.03, 0.06, 0.04, 0.05, 0.01
    assert sorted(s.offset for s in kept(frame, face, openings).samples) == [11, 50, 70, 90]


def test_of_equally_closed_ones_the_first_stay(frame: VideoFrame, face: Landmarks) -> None:
    assert [s.offset for s in kept(frame, face, [0.02] * 60).samples] == [0, 8, 16, 24]


def test_those_that_are_no_more_closed_than_the_samples_are_left_out(frame: VideoFrame, face: Landmarks) -> None:
    closed = kept(frame, face, [0.1, 0.03] + [0.1] * 20)
    samples = [sample_face(frame, moved, FacePlace.of(moved, SIZE), 5) for moved in (as_open_as(face, 0.03),)]
    assert closed.beside(samples) == []
    assert [s.offset for s in closed.beside([closed.samples[-1]])] == [1]


def test_closures_between_the_samples_become_references_and_change_no_mean(frame: VideoFrame, face: Landmarks) -> None:
    openings = 0.11 + 0.04 * np.sin(np.arange(300))
    never = followed(frame, face, openings)
    openings[[51, 131, 181, 231]] = 0.0  # the samples of 300 frames are those whose number is even
    once = followed(frame, face, openings)
    assert never.references is not None
    assert once.references is not None
    assert never.references.openings[0] > 0.05
    assert once.references.openings[0] < 0.02
    assert once.references.mean_opening == pytest.approx(never.references.mean_opening)
    assert once.opening_spread == pytest.approx(never.opening_spread)


def test_how_often_lips_close_is_counted_in_all_frames_where_the_samples_miss_closures(
    frame: VideoFrame, face: Landmarks
) -> None:
    openings = 0.11 + 0.04 * np.sin(np.arange(300))
    never = followed(frame, face, openings)
    openings[np.arange(51, 300, 12)] = 0.0  # 21 frames, or 7 %; the samples of 300 frames are those of even numbers
    often = followed(frame, face, openings)
    assert never.opening_levels is not None
    assert often.opening_levels is not None
    assert never.opening_levels[0] > 0.05
    assert often.opening_levels[0] < 0.02
    assert often.opening_levels[1:] == pytest.approx(never.opening_levels[1:], abs=0.02)


def test_means_are_known_where_all_samples_are_covered(frame: VideoFrame, face: Landmarks) -> None:
    openings = np.full(130, 0.1)
    openings[[51, 101]] = 0.0, 0.05
    found = followed(frame, face, openings, covered=set(range(130)) - {51, 101}).references
    assert found is not None
    assert not found.opened
    assert found.openings.tolist() == pytest.approx([0.0, 0.05], abs=0.01)
    assert found.mean_opening == pytest.approx(0.025, abs=0.01)
