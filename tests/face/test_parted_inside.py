"""What a picture shows between the lips stays as it is when they open further, and the dark in it grows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.closed_mouth import Motion
from dithead.face.mesh_indices import INNER_LIPS, eye_distance
from dithead.face.opened_mouth import moved_landmarks
from dithead.face.parted_inside import dark_row, part_inside

OWN, SKIN = 0.08, 180.0
UPPER, DARK, LOWER = 230, 30, 140  # grey of the upper teeth, of the gap, and of the tongue


@pytest.fixture(scope="module")
def landmarks(face: np.ndarray) -> np.ndarray:
    """A mouth that is open by ``OWN`` eye distances."""
    return moved_landmarks(face[:, :2], OWN)


def painted(size: tuple[int, int], landmarks: np.ndarray, *, gap: int = DARK) -> np.ndarray:
    """A grey picture with upper teeth, a gap and a tongue between the inner lips, a third of the height each."""
    picture = np.full((*size, 3), int(SKIN), np.uint8)
    inner = landmarks[list(INNER_LIPS)]
    inside = np.zeros(size, np.uint8)
    cv2.fillPoly(inside, [np.rint(inner).astype(np.int32)], 1)
    low, high = inner[3:8], inner[13:18][::-1]  # the lower and the upper lip in the middle of the mouth
    for y, x in zip(*np.nonzero(inside), strict=True):
        above, below = (np.interp(x, *each[np.argsort(each[:, 0])].T) for each in (high, low))
        part = (y - above) / max(below - above, 1e-6)
        picture[y, x] = UPPER if part < 1 / 3 else gap if part < 2 / 3 else LOWER
    return picture


def column(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The grey values of the middle column between the inner lips."""
    top, bottom = landmarks[13], landmarks[14]
    x = round(float(top[0] + bottom[0]) / 2)
    return picture[round(float(top[1])) : round(float(bottom[1])), x, 0].astype(int)


def test_the_gap_grows_more_than_teeth_and_tongue(presenter: np.ndarray, landmarks: np.ndarray) -> None:
    picture = painted(presenter.shape[1:3], landmarks)
    lips = Motion(landmarks, moved_landmarks(landmarks, 2 * OWN))
    row = dark_row(picture, landmarks, SKIN)
    assert row == pytest.approx(0.5, abs=0.2)
    opened = picture.copy()
    part_inside(picture, opened, lips, row)
    before, after = column(picture, landmarks), column(opened, lips.after)
    grown = [(each(after)).sum() / (each(before)).sum() for each in (lambda g: g > 190, lambda g: g < 70)]
    assert grown[0] < 1.7, "upper teeth"
    assert grown[1] > 2.3, "the gap"
    assert after[-3] == pytest.approx(LOWER, abs=25), "the tongue stays at the lower lip"


def test_nothing_changes_outside_the_lips(presenter: np.ndarray, landmarks: np.ndarray) -> None:
    picture = painted(presenter.shape[1:3], landmarks)
    lips = Motion(landmarks, moved_landmarks(landmarks, 2 * OWN))
    opened = np.full_like(picture, 77)
    part_inside(picture, opened, lips, 0.5)
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint(lips.after[list(INNER_LIPS)]).astype(np.int32)], 1)
    reach = 2 * round(0.02 * eye_distance(landmarks)) + 3
    assert (opened[cv2.dilate(inside, np.ones((reach, reach), np.uint8)) == 0] == 77).all()
    assert (opened[inside > 0] != 77).mean() > 0.9


def test_a_tilted_head_parts_alike(presenter: np.ndarray, landmarks: np.ndarray) -> None:
    picture, lips = painted(presenter.shape[1:3], landmarks), Motion(landmarks, moved_landmarks(landmarks, 2 * OWN))
    centre = landmarks[13]
    turn = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), 20, 1)
    size = picture.shape[1], picture.shape[0]
    tilted = cv2.warpAffine(picture, turn, size, borderMode=cv2.BORDER_REPLICATE)
    moved = Motion(*(each @ turn[:, :2].T + turn[:, 2] for each in lips))
    rows = dark_row(picture, landmarks, SKIN), dark_row(tilted, moved.before, SKIN)
    assert rows[0] is not None
    assert rows[1] == pytest.approx(rows[0], abs=0.1)
    upright, opened = picture.copy(), tilted.copy()
    part_inside(picture, upright, lips, rows[0])
    part_inside(tilted, opened, moved, rows[0])
    expected = cv2.warpAffine(upright, turn, size, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(opened.astype(int) - expected).mean() < 1


def test_an_inside_without_a_dark_row_does_not_part(presenter: np.ndarray, landmarks: np.ndarray) -> None:
    size = presenter.shape[1:3]
    assert dark_row(painted(size, landmarks, gap=UPPER), landmarks, SKIN) is None
    line = dark_row(painted(size, landmarks, gap=100), landmarks, SKIN)
    assert line == pytest.approx(0.5, abs=0.2), "a line that is darker than what is above and below it"
