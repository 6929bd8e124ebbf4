"""Searching every few frames finds what searching all of them finds, with fewer searches."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.face.alignment import crop_transform, transform_points
from dithead.face.landmarks import FaceLandmarker
from dithead.inference.analyse.occlusion import HIDDEN, OcclusionDetector, OcclusionFinding
from dithead.inference.analyse.occlusion_schedule import EVERY, MouthView, OcclusionSchedule
from dithead.media.partial_rgb import PartialRGB
from dithead.media.planes import planes_of_rgb
from dithead.media.video import read_frames

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"
FREE = OcclusionFinding(tint=(1.0, 2.0, 3.0))
SIZE = 160


class Video:
    """Findings by the number of the frame, all others free; and which frames were searched."""

    def __init__(self, findings: dict[int, OcclusionFinding]) -> None:
        self.findings, self.searched = findings, []

    def search(self, view: MouthView) -> OcclusionFinding:
        index = int(view.points[0, 0])
        self.searched.append(index)
        return self.findings.get(index, FREE)


class Still:
    """A picture in which nothing moves, but in the frames of ``moving`` at the edge."""

    def __init__(self, moves: bool) -> None:
        self.shape, self.moves = (64, 64, 3), moves

    def __getitem__(self, box):
        return np.zeros(self.shape, np.uint8)[box]

    def thumbnail(self, width, height, box=None):
        return np.full((height, width, 3), 90.0 * self.moves, np.float32)


def scheduled(video: Video, frames: int, every: int = EVERY, moving: tuple[int, ...] = ()) -> list[OcclusionFinding]:
    schedule, found = OcclusionSchedule(video.search, every), []
    for k in range(frames):
        points = np.full((478, 2), k, np.float32)
        new = schedule.take(MouthView(Still(k in moving), points, np.eye(2, 3), 40))
        found += new
        assert len(found) <= k + 1
    return [*found, *schedule.close()]


def covered(*frames: int) -> dict[int, OcclusionFinding]:
    return {k: OcclusionFinding(cover=np.ones((2, 2), bool)) for k in frames}


def test_a_free_mouth_is_searched_every_few_frames() -> None:
    video = Video({})
    assert scheduled(video, 21) == [FREE] * 21
    assert video.searched == list(range(0, 21, EVERY))


@pytest.mark.parametrize("hidden", [{7, 8, 9}, {8}, {5, 6, 7, 8, 9, 10, 11, 12}, set(range(17, 21))])
def test_all_frames_around_an_occluder_are_searched(hidden: set[int]) -> None:
    video = Video(covered(*hidden))
    every, all_of_them = scheduled(video, 21), [video.findings.get(k, FREE) for k in range(21)]
    assert every == all_of_them
    assert len(video.searched) == len(set(video.searched)) < 21


def test_what_crosses_the_edge_between_two_searches_is_found() -> None:
    video = Video(covered(5, 6))
    assert scheduled(video, 13)[5].cover is None
    assert scheduled(Video(covered(5, 6)), 13, moving=(5, 6))[5].cover is not None


def test_lips_that_change_their_colour_are_searched_in_every_frame_between() -> None:
    other = replace(FREE, tint=(1.0, 12.0, 3.0))
    video = Video(dict.fromkeys(range(6, 30), other))
    assert [f.tint[1] for f in scheduled(video, 13)] == [2.0] * 6 + [12.0] * 7


def test_what_is_left_is_searched_in_the_end() -> None:
    video = Video({k: OcclusionFinding(reason=HIDDEN) for k in (5, 6)})
    assert [bool(f.reason) for f in scheduled(video, 7)] == [False] * 5 + [True] * 2


def test_a_hand_that_passes_is_found_in_the_same_frames_as_by_searching_all() -> None:
    """A dark bar crosses the mouth of a presenter."""
    frames = list(islice(read_frames(PRESENTER), 16))
    with FaceLandmarker() as landmarker:
        faces = [landmarker.track(frame.quick_pixels) for frame in frames]
    views = []
    for k, (frame, face) in enumerate(zip(frames, faces, strict=True)):
        assert face is not None
        move, picture = crop_transform(face, SIZE), frame.pixels.copy()
        x, y = (int(v) for v in face[17, :2])
        if 5 <= k < 12:
            cv2.rectangle(picture, (x - 30, y - 10), (x + 30, 511), (15, 15, 18), -1)
        native = planes_of_rgb(picture, "yuv420p", frame.encoding).to_frame()
        views.append(MouthView(PartialRGB.of_frame(native, frame.encoding), transform_points(face, move), move, SIZE))
    results, searches = [], []
    for every in (1, EVERY):
        with OcclusionDetector() as detector:
            count: list[MouthView] = []

            def search(view: MouthView, kept=count, finder=detector) -> OcclusionFinding:
                kept.append(view)
                return finder.find(*view, 0)

            schedule = OcclusionSchedule(search, every)
            found = [f for view in views for f in schedule.take(view)] + schedule.close()
        results.append([f.cover is not None or bool(f.reason) for f in found])
        searches.append(len(count))
    assert results[0] == results[1] == [5 <= k < 12 for k in range(16)]
    assert searches[1] < searches[0] == 16
