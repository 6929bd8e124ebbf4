"""The mask covers mouth, jaw and chin but not the eyes, and does not depend on a single frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.errors import FaceError
from dithead.face import masks
from dithead.face.alignment import crop_transform, transform_points
from dithead.face.masks import box_polygon, frame_polygon, jaw_line, jaw_mask, lip_mask, polygon_mask, stable_polygon
from dithead.face.mesh_indices import LIP_INDICES, OUTER_LIPS

S = 192
EYES = (33, 133, 159, 145, 362, 263, 386, 374, 23, 253)  # corners, lids, and the lower rims
JAW = (152, 148, 377, 149, 378, 172, 397, 58, 288)


@pytest.fixture(scope="module")
def points(face):
    return transform_points(face, crop_transform(face, S))


def distance(polygon, point) -> float:
    """Distance from the edge of the polygon in pixels, positive inside."""
    return cv2.pointPolygonTest(polygon, (float(point[0]), float(point[1])), True)


@pytest.mark.parametrize("make", [lambda p: stable_polygon(p[None], S), lambda p: frame_polygon(p, S)])
def test_the_mask_covers_the_mouth_and_not_the_eyes(points, make):
    polygon = make(points)
    assert all(distance(polygon, points[i]) > 8 for i in LIP_INDICES)
    assert all(distance(polygon, points[i]) > 0 for i in JAW)
    assert all(distance(polygon, points[i]) < -2 for i in EYES)
    assert polygon.min() > 0
    assert polygon.max() < S


def test_stable_polygon_leaves_room_for_the_jaw(points):
    polygon = stable_polygon(points[None], S)
    assert distance(polygon, points[152]) > 0.06 * S or polygon[:, 1].max() > 0.985 * S
    dropped = points[152] + (0, 0.06 * S)  # an open mouth's chin
    assert distance(polygon, dropped) > 0


def test_one_open_mouth_does_not_change_the_stable_polygon(points):
    clip = np.repeat(points[None], 9, axis=0)
    spoken = clip.copy()
    spoken[4, list(JAW), 1] += 14
    np.testing.assert_array_equal(stable_polygon(clip, S), stable_polygon(spoken, S))
    assert not np.array_equal(frame_polygon(clip[4], S), frame_polygon(spoken[4], S))


def test_frames_without_landmarks_are_left_out(points):
    clip = np.stack([points, np.full_like(points, np.nan)])
    np.testing.assert_array_equal(stable_polygon(clip, S), stable_polygon(points[None], S))
    with pytest.raises(FaceError, match="no frame"):
        stable_polygon(clip[1:], S)


def test_mask_is_one_inside_and_zero_outside():
    mask = polygon_mask(np.array([(10, 20), (50, 20), (50, 60), (10, 60)]), 64)
    assert mask.shape == (64, 64)
    assert mask.dtype == np.float32
    assert (mask[22:58, 12:48] == 1).all()
    assert mask[:18].max() == mask[:, :8].max() == mask[63].max() == 0
    assert mask.sum() == pytest.approx(41 * 41, rel=0.03)


@pytest.mark.parametrize("feather", [3.0, 10.0])
def test_a_feather_only_takes_away(feather):
    polygon = box_polygon(S)
    hard, soft = polygon_mask(polygon, S), polygon_mask(polygon, S, feather)
    assert (soft <= (hard > 0)).all()
    assert soft.max() == 1
    row = soft[S // 2]
    rising = row[: S // 2]
    assert (np.diff(rising) >= 0).all()
    assert feather * 0.5 < ((rising > 0.01) & (rising < 0.99)).sum() < feather * 1.5


def test_box_covers_the_mouth(points):
    assert all(distance(box_polygon(S), points[i]) > 0 for i in LIP_INDICES)


@pytest.fixture(scope="module", params=[-40, 40])
def turned(request, face):
    """The landmarks of a face, turned by 40 degrees to either side."""
    angle, middle = np.radians(request.param), face.mean(axis=0)
    c, s = np.cos(angle), np.sin(angle)
    away = (face - middle) @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) + middle
    return transform_points(away, crop_transform(away, S))


def test_of_a_turned_head_all_of_the_lips_show_and_nothing_beyond_the_far_jaw(turned):
    lips, jaw = turned[list(OUTER_LIPS)], jaw_line(turned)
    mask, plain = jaw_mask(jaw, S, lip_mask(lips, S)), jaw_mask(jaw, S)
    at_lips = [mask[min(S - 1, round(y)), min(S - 1, round(x))] for x, y in lips.tolist()]
    assert min(at_lips) > 0.6
    assert (mask >= plain).all()
    side = np.sign(jaw[10, 0] - jaw[[0, -1], 0].mean())
    far = max(side * jaw[:, 0].min(), side * jaw[:, 0].max())
    columns = np.arange(S)
    chin = slice(round(float(jaw[10, 1] - 0.03 * S)), None)
    assert plain[chin][:, side * columns > far + 0.05 * S].max(initial=0) < 0.1
    polygon = stable_polygon(turned[None], S)
    assert min(distance(polygon, point) for point in lips) > 0.05 * S


def test_a_face_that_looks_ahead_keeps_its_mask(points, turned, monkeypatch):
    ahead, aside = jaw_mask(jaw_line(points), S), jaw_mask(jaw_line(turned), S)
    monkeypatch.setattr(masks, "_LEAN", 9.0)
    monkeypatch.setattr(masks, "_FULL_LEAN", 10.0)
    assert np.array_equal(jaw_mask(jaw_line(points), S), ahead)
    assert not np.array_equal(jaw_mask(jaw_line(turned), S), aside)


def test_beside_the_far_jaw_of_a_head_turned_a_little_nothing_shows_but_its_chin_may_sink(points):
    """A shifted neck of another frame would show there as a pale patch before the background."""
    line = jaw_line(points).astype(np.float64)
    shift = (0.3 - masks.jaw_lean(line)) * abs(line[0, 0] - line[-1, 0]) / 2
    line[:, 0] += shift * np.sin(np.linspace(0, np.pi, len(line)))  # towards the first point, which is farther right
    assert 0.25 < masks.jaw_lean(line) < 0.35
    mask = jaw_mask(line, S)
    chin = line[len(line) // 2]
    side = line[round(0.38 * len(line))]
    assert mask[round(chin[1] + 0.05 * S), round(chin[0])] > 0.35
    assert mask[round(side[1] + 0.05 * S), round(side[0])] < 0.2
    assert jaw_mask(jaw_line(points), S)[round(chin[1] + 0.05 * S), round(chin[0])] > 0.5
