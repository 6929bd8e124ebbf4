"""The whites of the eyes tell of the light."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.face.eye_whites import eye_whites
from dithead.face.mesh_indices import LANDMARKS, LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from dithead.types import RGB


def drawn_eyes(white: int, size: int = 64) -> tuple[RGB, np.ndarray]:
    """A face of grey 120 with two eyes of 16 by 8 pixels and irises of grey 30, and its landmarks (478, 2)."""
    picture = np.full((size, size, 3), 120, np.uint8)
    landmarks = np.zeros((LANDMARKS, 2))
    around = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    y, x = np.mgrid[:size, :size]
    for eye, iris, left in ((RIGHT_EYE, RIGHT_IRIS, 18), (LEFT_EYE, LEFT_IRIS, 46)):
        landmarks[list(eye)] = np.stack([left + 8 * np.cos(around), 30 + 4 * np.sin(around)], axis=1)
        landmarks[list(iris)] = np.array([left, 30]) + 3 * np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
        picture[((x - left) / 8) ** 2 + ((y - 30) / 4) ** 2 <= 1.1] = white
        picture[(x - left) ** 2 + (y - 30) ** 2 <= 9] = 30
    return picture, landmarks


def test_neither_iris_nor_skin_counts() -> None:
    assert eye_whites(*drawn_eyes(200)) == pytest.approx(200, abs=1)
    assert eye_whites(*drawn_eyes(90)) == pytest.approx(90, abs=1)


def test_eyes_beyond_the_edge_of_the_picture_tell_nothing() -> None:
    picture, landmarks = drawn_eyes(200)
    assert eye_whites(picture[31:], landmarks - (0, 31)) == pytest.approx(200, abs=1), "their lower halves"
    assert eye_whites(picture[40:], landmarks - (0, 40)) is None


def test_closed_eyes_tell_nothing() -> None:
    picture, landmarks = drawn_eyes(200)
    for eye in (RIGHT_EYE, LEFT_EYE):
        landmarks[list(eye), 1] = 30
    assert eye_whites(picture, landmarks) is None


def test_the_colour_of_the_light_is_seen() -> None:
    picture, landmarks = drawn_eyes(200)
    reddish = (picture * np.array([1, 0.8, 0.6])).astype(np.uint8)
    whites = eye_whites(reddish, landmarks)
    assert whites is not None
    assert whites[[0, 2]] / whites[1] == pytest.approx([1.25, 0.75], abs=0.02)
    assert whites.mean() == pytest.approx(160, abs=1)
