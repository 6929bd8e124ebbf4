"""Faces are found at any size, all of them, and none where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.landmarks import FaceLandmarker, face_area, face_box
from dithead.face.mesh_indices import LIP_INDICES


def paste(canvas: np.ndarray, picture: np.ndarray, side: int, at: tuple[int, int]) -> None:
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    canvas[at[1] : at[1] + side, at[0] : at[0] + side] = small


def test_landmarks_are_pixels_on_the_face(presenter, face):
    assert face.shape == (478, 3)
    assert face.dtype == np.float32
    height, width = presenter.shape[1:3]
    assert (face[:, :2] > -5).all()
    assert (face[:, 0] < width).all()
    assert (face[:, 1] < height + 5).all()
    assert face[33, 0] < face[263, 0]
    assert face[[33, 263], 1].max() < face[list(LIP_INDICES), 1].min() < face[152, 1]


@pytest.mark.parametrize("picture", [np.zeros((200, 300, 3), np.uint8), np.full((97, 31, 3), 200, np.uint8)])
def test_no_face_is_no_landmarks(landmarker, picture):
    assert landmarker.detect(picture) == []
    landmarker.reset()
    assert landmarker.track(picture) is None


def test_two_faces_come_largest_first(landmarker, presenter):
    canvas = np.full((520, 900, 3), 128, np.uint8)
    paste(canvas, presenter[0], 300, (0, 100))
    paste(canvas, presenter[0], 500, (350, 10))
    faces = landmarker.detect(canvas)
    assert len(faces) == 2
    assert face_area(faces[0]) > 1.5 * face_area(faces[1])
    assert face_box(faces[0])[0] > 350 > face_box(faces[1])[2]


def test_a_small_face_in_a_large_picture_is_found(landmarker, presenter):
    canvas = np.full((1080, 1920, 3), 128, np.uint8)
    paste(canvas, presenter[0], 170, (1500, 700))
    (found,) = landmarker.detect(canvas)
    x0, y0, x1, y1 = face_box(found)
    assert 1500 < x0 < x1 < 1670
    assert 700 < y0 < y1 < 880


def test_tracking_agrees_with_detection_and_forgets_on_reset(landmarker, presenter, face):
    landmarker.reset()
    first = landmarker.track(presenter[0])
    assert first is not None
    assert np.abs(first[:, :2] - face[:, :2]).max() < 0.03 * presenter.shape[2]
    later = [landmarker.track(frame) for frame in presenter[1:4]]
    landmarker.reset()
    np.testing.assert_array_equal(landmarker.track(presenter[0]), first)
    assert all(face is not None for face in later)


def test_nothing_is_printed_on_stderr(capfd, presenter):
    with FaceLandmarker() as fresh:
        assert fresh.track(presenter[0]) is not None
        assert fresh.detect(presenter[0])
    assert capfd.readouterr().err == ""
