"""The crop lies where its template says and depends on eyes and nose only; expected values are closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.errors import FaceError
from dithead.face import alignment as align
from dithead.face.alignment import crop_transform, invert, smooth_transforms, transform_points, warp_crop
from dithead.face.mesh_indices import ALIGNMENT_POINTS

S = 192


def head(scale: float = 70, roll: float = 0, yaw: float = 0, at=(150, 120), columns: int = 3) -> np.ndarray:
    """Landmarks whose alignment points are the template's, seen at an angle (degrees); the others are far away."""
    y, r = np.radians(yaw), np.radians(roll)
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    lean = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    points = np.full((478, 3), 1000.0)
    points[list(ALIGNMENT_POINTS)] = scale * align.CANONICAL @ turn.T @ lean.T + (*at, 0)
    return points[:, :columns].astype(np.float32)


def target() -> np.ndarray:
    return S * (align.EYE_DISTANCE * align.CANONICAL[:, :2] + (0.5, align.EYE_LINE))


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize(("scale", "roll", "at"), [(70, 0, (150, 120)), (400, 25, (900, 500)), (30, -40, (5, 9))])
def test_a_frontal_face_lands_on_the_template(scale, roll, at, columns):
    face = head(scale, roll, 0, at, columns)
    moved = transform_points(face[list(ALIGNMENT_POINTS)], crop_transform(face, S))
    np.testing.assert_allclose(moved, target(), atol=1e-2)


@pytest.mark.parametrize("yaw", [-45, -20, 30, 50])
def test_a_turned_head_is_neither_enlarged_nor_tilted(yaw):
    frontal, turned = crop_transform(head(), S), crop_transform(head(yaw=yaw), S)
    np.testing.assert_allclose(turned[:, :2], frontal[:, :2], rtol=1e-3, atol=1e-3)


def test_mouth_and_jaw_do_not_move_the_crop():
    face, other = head(), head()
    rest = np.setdiff1d(np.arange(478), ALIGNMENT_POINTS)
    other[rest] += np.random.default_rng(0).normal(0, 40, (len(rest), 3)).astype(np.float32)
    np.testing.assert_array_equal(crop_transform(face, S), crop_transform(other, S))


@pytest.mark.parametrize("bad", [np.zeros((478, 3)), np.full((478, 3), np.nan)])
def test_degenerate_landmarks_are_named(bad):
    with pytest.raises(FaceError, match="degenerate"):
        crop_transform(bad.astype(np.float32), S)


def test_invert_gives_the_inverse():
    transform = crop_transform(head(200, 17, 10), S)
    points = np.random.default_rng(1).uniform(0, 500, (50, 2))
    back = transform_points(transform_points(points, transform), invert(transform))
    np.testing.assert_allclose(back, points, atol=1e-3)


def test_smoothing_keeps_a_still_face_and_reduces_jitter():
    rng = np.random.default_rng(2)
    still = [crop_transform(head(), S)] * 20
    for kept in smooth_transforms(still):
        np.testing.assert_allclose(kept, still[0], atol=1e-9)
    shaky = [crop_transform(head(at=150 + rng.normal(0, 1, 2)), S) for _ in range(60)]
    before, after = (np.stack(m)[:, :, 2].std(axis=0) for m in (shaky, smooth_transforms(shaky)))
    assert (after < 0.6 * before).all()


def test_smoothing_follows_steady_motion_and_skips_gaps():
    moving = [crop_transform(head(at=(100 + 2 * i, 120)), S) for i in range(40)]
    smooth = smooth_transforms(moving)
    np.testing.assert_allclose(smooth[20], moving[20], atol=1e-6)
    broken = [None if 10 <= i < 15 else m for i, m in enumerate(moving)]
    result = smooth_transforms(broken)
    assert [m is None for m in result] == [m is None for m in broken]
    np.testing.assert_array_equal(result[30], smooth[30])


def test_warp_puts_every_pixel_where_the_transform_says():
    y, x = np.mgrid[:240, :240]
    frame = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)  # the colour is the place
    transform = crop_transform(head(80, 12, 0, (120, 90)), S)
    crop = warp_crop(frame, transform, S)
    inside = np.array([(60, 60), (100, 90), (96, 120), (130, 70)])
    seen = crop[inside[:, 1], inside[:, 0], :2].astype(float)
    np.testing.assert_allclose(seen, transform_points(inside, invert(transform)), atol=1.0)


def test_warp_does_not_alias_when_shrinking_and_repeats_the_border():
    board = (np.indices((600, 600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    fine = np.repeat(board[..., None], 3, axis=2)
    crop = warp_crop(fine, crop_transform(head(280, 0, 0, (300, 200)), S), S)
    assert crop[40:120, 60:130].std() < 8
    plain = np.full((100, 100, 3), 77, np.uint8)
    assert (warp_crop(plain, crop_transform(head(70, 0, 0, (0, 0)), S), S) == 77).all()
    outside = warp_crop(plain, crop_transform(head(70, 0, 0, (-4000, 9000)), S), S)
    assert (outside == 77).all()
