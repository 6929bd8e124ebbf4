"""Thin-plate warps take points where they should, and everything else smoothly along."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.thin_plate import ThinPlate, warp_to

CORNERS = np.array([(0, 0), (100, 0), (0, 80), (100, 80)], np.float64)


def test_points_land_where_they_should() -> None:
    points = np.concatenate([CORNERS, np.random.default_rng(0).uniform(5, 75, (20, 2))])
    values = np.random.default_rng(1).normal(0, 3, points.shape)
    assert np.abs(ThinPlate(points, values, unit=20).at(points) - values).max() < 0.3  # of up to 10


@pytest.mark.parametrize("linear", [np.eye(2) * 0, np.array([[0.1, 0.2], [-0.1, 0.05]])])
def test_what_is_linear_stays_linear_everywhere(linear: np.ndarray) -> None:
    points = np.concatenate([CORNERS, [(40, 30), (70, 20)]])
    places = np.array([(10.0, 60), (-50, 200), (33, 33)])
    moved = ThinPlate(points, points @ linear.T + (3, -2), unit=20).at(places)
    assert moved == pytest.approx(places @ linear.T + (3, -2), abs=1e-6)


def test_a_picture_shows_its_points_at_their_new_places() -> None:
    picture = np.zeros((80, 100), np.uint8)
    cv2.circle(picture, (30, 40), 3, 255, -1)
    points, origins = (np.concatenate([CORNERS, [each]]) for each in ((42, 47), (30, 40)))
    warped = cv2.remap(picture, warp_to(points, origins, (0, 0, 100, 80), unit=20), None, cv2.INTER_LINEAR)
    y, x = np.nonzero(warped > 127)
    assert (x.mean(), y.mean()) == pytest.approx((42, 47), abs=0.5)


def test_a_part_is_the_part_of_the_whole() -> None:
    points, origins = (np.concatenate([CORNERS, [each]]) for each in ((42, 47), (30, 40)))
    whole, part = (warp_to(points, origins, box, unit=20) for box in ((0, 0, 100, 80), (12, 18, 50, 70)))
    assert np.abs(part - whole[18:70, 12:50]).max() < 0.01


@pytest.mark.parametrize("box", [(0, 0, 100, 80), (0, 0, 700, 640)])
def test_between_the_places_where_it_is_evaluated_it_is_the_spline(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    unit = right / 3
    random = np.random.default_rng(2)
    points = np.concatenate([random.uniform((left, top), (right, bottom), (30, 2)), np.diag([right, bottom])])
    origins = points + random.normal(0, unit / 60, points.shape)
    y, x = np.mgrid[top:bottom:7, left:right:7]
    places = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float64)
    exact = places + ThinPlate(points, origins - points, unit).at(places)
    off = np.abs(warp_to(points, origins, box, unit)[::7, ::7].reshape(-1, 2) - exact)
    assert off.mean() < 0.02
    assert off.max() < 0.5
