"""One face is followed: through gaps, past larger faces, until a cut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.landmarks import face_box
from dithead.face.tracking import CutDetector, FaceObservation, face_spans, fill_gaps, track_faces


def centre(landmarks: np.ndarray) -> float:
    x0, _, x1, _ = face_box(landmarks)
    return (x0 + x1) / 2


def pair(picture: np.ndarray, left: int, right: int) -> np.ndarray:
    """A picture with one face of side ``left`` on the left and one of side ``right`` on the right."""
    canvas = np.full((420, 840, 3), 120, np.uint8)
    canvas[:left, :left] = cv2.resize(picture, (left, left))
    canvas[:right, 840 - right :] = cv2.resize(picture, (right, right))
    return canvas


def test_the_first_largest_face_is_kept_when_another_grows(landmarker, presenter):
    sizes = [(400 - 4 * i, 340 + 4 * i) for i in range(16)]  # equal in the middle
    frames = [pair(presenter[i % 10], *size) for i, size in enumerate(sizes)]
    seen = list(track_faces(frames, landmarker))
    assert {o.shot for o in seen} == {0}
    assert all(o.landmarks is not None and centre(o.landmarks) < 420 for o in seen)


def test_a_gap_is_none_and_the_face_comes_back(landmarker, presenter):
    away = np.full_like(presenter[0], 0) + presenter[0][0, 0]
    frames = [*presenter[:3], away, away, *presenter[3:6]]
    seen = list(track_faces(frames, landmarker))
    assert [o.landmarks is None for o in seen] == [False] * 3 + [True] * 2 + [False] * 3


def test_a_cut_begins_a_shot_and_motion_does_not(presenter):
    other = 255 - presenter
    cuts = CutDetector()
    flags = [cuts.is_cut(f) for f in [*presenter[:5], *other[:5], *presenter[5:8]]]
    assert [i for i, flag in enumerate(flags) if flag] == [0, 5, 10]
    assert cuts.shot == 2


def test_frames_are_taken_one_at_a_time(landmarker, presenter):
    taken = 0

    def frames():
        nonlocal taken
        for frame in presenter[:4]:
            taken += 1
            yield frame

    for i, _ in enumerate(track_faces(frames(), landmarker)):
        assert taken == i + 1


def observed(pattern: str) -> list[FaceObservation]:
    """Observations from a pattern: ``x`` a face, ``.`` none, ``|`` a cut before the next frame."""
    shot, result = 0, []
    for mark in pattern:
        if mark == "|":
            shot += 1
        else:
            result.append(FaceObservation(np.zeros((478, 3), np.float32) if mark == "x" else None, shot))
    return result


@pytest.mark.parametrize(
    ("pattern", "spans"),
    [
        ("xxxx", [(0, 4)]),
        ("....", []),
        ("xx..xx", [(0, 6)]),  # a short gap is bridged
        ("xx...xx", [(0, 3), (4, 7)]),  # a long one is not; each side keeps an edge of one frame
        ("..xx..", [(1, 5)]),
        ("xx|xx", [(0, 2), (2, 4)]),
        ("xx.|.xx", [(0, 3), (3, 6)]),  # an edge never crosses a cut
    ],
)
def test_spans(pattern, spans):
    assert face_spans(observed(pattern), gap=2, edge=1) == spans


def test_gaps_are_filled_linearly_and_ends_held():
    base = np.ones((478, 3), np.float32)
    filled, valid = fill_gaps([None, base * 2, None, None, base * 8, None])
    np.testing.assert_allclose(filled[:, 0, 0], [2, 2, 4, 6, 8, 8])
    assert valid.tolist() == [False, True, False, False, True, False]
