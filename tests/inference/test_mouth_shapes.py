"""How a person's mouth widens as it opens, and where mouths of one shape lie."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.alignment import shifted_transform, warp_crop
from dithead.inference.analyse.face_pictures import FacePictures, FacePlace, UnconvertedFace
from dithead.inference.analyse.mouth_shapes import LARGEST_SHIFT, USUAL_SLOPE, shifts_to_usual_place, width_slope
from dithead.media.colour import encoding_of
from dithead.media.partial_rgb import PartialRGB
from dithead.media.planes import planes_of_rgb

SIZE = 160


def test_the_slope_is_the_persons_where_much_is_seen_and_the_usual_one_where_little_is() -> None:
    openings = np.linspace(0, 0.2, 64)
    assert width_slope(openings, 0.6 + 0.4 * openings) == pytest.approx(0.4, abs=0.04)
    assert width_slope(openings, 0.6 - 0.3 * openings) == pytest.approx(-0.3, abs=0.05)
    assert width_slope(openings / 100, 0.6 + 0.4 * openings) == pytest.approx(USUAL_SLOPE, abs=0.05)


def mouths(count: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Centres that follow the shapes exactly, and the shapes."""
    random = np.random.default_rng(0)
    openings, widths, turns = (random.uniform(low, high, count) for low, high in ((0, 0.2), (0.5, 0.6), (-0.1, 0.1)))
    x, y = 80 + 30 * turns, 90 + 20 * openings - 15 * widths
    return np.float32(np.stack([x, y], axis=1)), (openings, widths, turns)


def test_mouths_that_lie_where_their_shape_says_stay_and_a_turned_head_counts_as_the_wanted_pose() -> None:
    centres, (openings, widths, turns) = mouths(40)
    moves = shifts_to_usual_place(centres, (openings, widths, turns), SIZE)
    assert moves[:, 1] == pytest.approx(np.zeros(40), abs=0.01)
    assert moves[:, 0] == pytest.approx(-30 * turns, abs=0.01)


def test_a_mouth_that_lies_elsewhere_is_shifted_back_but_not_far() -> None:
    centres, shapes = mouths(40)
    centres[7, 1] += 2
    assert -2.0 < shifts_to_usual_place(centres, shapes, SIZE)[7, 1] < -1.5
    centres[7, 1] -= 30
    assert shifts_to_usual_place(centres, shapes, SIZE)[7, 1] == pytest.approx(LARGEST_SHIFT * SIZE)


def test_of_few_mouths_nobody_knows_where_they_usually_lie() -> None:
    centres, shapes = mouths(7)
    assert not shifts_to_usual_place(centres, shapes, SIZE).any()


def test_shifted_pictures_are_those_of_a_crop_that_was_cut_beside() -> None:
    coarse = np.random.default_rng(0).uniform(60, 190, (15, 20, 3)).astype(np.float32)
    planes = planes_of_rgb(
        cv2.resize(coarse, (640, 480)).astype(np.uint8), "yuv444p", encoding_of(1, 1, "yuv444p", 480)
    )
    frame, whole = PartialRGB(planes), np.ascontiguousarray(PartialRGB(planes)[0:480, 0:640])
    transform = np.array([[0.5, 0, -60.0], [0, 0.5, -40.0]])
    place, by = FacePlace(transform, np.zeros((478, 2), np.float32), SIZE), np.float32([3.0, -2.5])
    wanted, inner = warp_crop(whole, shifted_transform(transform, by), SIZE), slice(8, -8)
    for pictures in (UnconvertedFace(frame, place), FacePictures.of(whole, place)):
        moved = pictures.shifted(by)
        assert np.abs(moved.crop[inner, inner].astype(int) - wanted[inner, inner]).max() < 4
        assert np.abs(pictures.crop[inner, inner].astype(int) - wanted[inner, inner]).max() > 8
        own = warp_crop(moved.picture, moved.transform, SIZE)
        assert np.abs(own[60:-8, inner].astype(int) - wanted[60:-8, inner]).max() < 4, "the source's own pixels, too"
