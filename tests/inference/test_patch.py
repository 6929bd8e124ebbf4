"""Detail of the source: given back where the drawn mouth is the same or moved, not where it differs."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from dithead.face.alignment import invert
from dithead.face.compositing import paste_patch, warp_cubic
from dithead.face.optical_flow import grid
from dithead.inference.analyse.references import enlarged
from dithead.inference.compose import patch as patch_module
from dithead.inference.compose.detail_transfer import DetailTransfer
from dithead.inference.compose.patch import FrameCrop, ToRegion, patch_with_detail

SIZE, SCALE = 96, 4
MOVE = np.array([[1 / SCALE, 0, 0], [0, 1 / SCALE, 0]])


def scene() -> np.ndarray:
    """A frame (384, 384, 3) with coarse shapes and fine grain."""
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.uniform(60, 190, (12, 12)).astype(np.float32), (384, 384), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 30, (384, 384)).astype(np.float32), (0, 0), 0.8)
    return np.clip(np.repeat((coarse + grain)[..., None], 3, axis=2), 0, 255).astype(np.uint8)


def small(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def pasted(frame, mouth, how):
    patch = how(frame, mouth, MOVE, np.ones((SIZE, SIZE), np.float32))
    h, w = patch.difference.shape[:2]
    return (frame[patch.top : patch.top + h, patch.left : patch.left + w] + patch.difference)[40:-40, 40:-40]


def grain_of(picture) -> float:
    grey = picture.astype(np.float32)[..., 0]
    return float((grey - cv2.GaussianBlur(grey, (0, 0), 3)).std())


def test_the_same_mouth_is_as_sharp_as_the_source():
    frame = scene()
    plain = pasted(frame, small(frame), paste_patch)
    sharp = pasted(frame, small(frame), lambda f, m, t, k: patch_with_detail(FrameCrop(f, small(f), t), m, k))
    truth = frame[40:-40, 40:-40]
    assert grain_of(plain) < 0.6 * grain_of(truth)
    assert 0.85 * grain_of(truth) < grain_of(sharp) < 1.15 * grain_of(truth)
    assert np.abs(sharp - truth).mean() < 0.35 * np.abs(plain - truth).mean()


def test_a_different_mouth_gets_no_detail():
    frame = scene()
    other = 255 - small(frame)
    plain = pasted(frame, other, paste_patch)
    sharp = pasted(frame, other, lambda f, m, t, k: patch_with_detail(FrameCrop(f, small(f), t), m, k))
    borrowed = grain_of(sharp) - grain_of(plain)
    assert borrowed < 0.25 * grain_of(frame[40:-40, 40:-40])


def test_small_faces_are_left_alone():
    frame = scene()[:SIZE, :SIZE]
    still = np.array([[1.0, 0, 0], [0, 1, 0]])
    mask = np.ones((SIZE, SIZE), np.float32)
    a, b = paste_patch(frame, frame, still, mask), patch_with_detail(FrameCrop(frame, frame, still), frame, mask)
    assert np.array_equal(a.difference, b.difference)


def test_transferred_detail_comes_from_the_place_it_names_and_is_as_sharp_as_there():
    frame, whole, nothing = scene(), np.ones((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE, 3), np.float32)
    move, away = enlarged(np.eye(2, 3), 1 / SCALE), (7, 12)  # pixels of the other frame, whole ones: none is in between
    other = np.roll(frame, away, axis=(0, 1))
    where = (grid(SIZE, SIZE) @ invert(move)[:, :2].T + invert(move)[:, 2] + away[::-1]).astype(np.float32)
    transfer = DetailTransfer(other, where, nothing, whole, SCALE)
    made = patch_with_detail(FrameCrop(frame, small(frame), move), small(frame), whole, transfer)
    lost = frame - small(frame).repeat(SCALE, 0).repeat(SCALE, 1).astype(float)
    assert np.abs(made.difference[40:-40, 40:-40]).mean() < 0.15 * np.abs(lost).mean(), "the frame is what it was"
    inverse = 255 - small(frame)
    half = patch_with_detail(FrameCrop(frame, small(frame), move), inverse, whole, replace(transfer, weight=whole / 2))
    plain = paste_patch(frame, inverse, move, whole)
    gap = np.abs(half.difference - plain.difference / 2)[40:-40, 40:-40]
    assert gap.mean() < 0.05 * np.abs(plain.difference).mean(), "of half of it, half"


def test_detail_transferred_to_a_smaller_face_does_not_alias():
    grain = np.random.default_rng(0).integers(0, 255, (384, 384, 1), np.uint8).repeat(3, 2)
    frame, whole, nothing = np.full((SIZE, SIZE, 3), 128, np.uint8), np.ones((SIZE, SIZE)), np.zeros((SIZE, SIZE, 3))
    where = (grid(SIZE, SIZE) * SCALE + (SCALE - 1) / 2).astype(np.float32)
    transfer = DetailTransfer(grain, where, nothing.astype(np.float32), whole.astype(np.float32), SCALE)
    made = patch_with_detail(FrameCrop(frame, frame, np.eye(2, 3)), frame, whole.astype(np.float32), transfer)
    assert made.difference.std() < 0.35 * grain.std()


TURNED = np.array([[3.6, -0.2, 5.3], [0.2, 3.6, 3.1]])  # from crop pixels to a patch of the frame


def warped(picture: np.ndarray, way: int) -> np.ndarray:
    return cv2.warpAffine(picture, TURNED, (340, 330), flags=way, borderMode=cv2.BORDER_REPLICATE)


def test_enlarging_in_two_steps_is_cubic_interpolation_within_a_level():
    picture = cv2.GaussianBlur(scene()[:SIZE, :SIZE], (0, 0), 1)
    apart = np.abs(warp_cubic(picture, TURNED, (340, 330)).astype(int) - warped(picture, cv2.INTER_CUBIC))
    linear = np.abs(warped(picture, cv2.INTER_LINEAR).astype(int) - warped(picture, cv2.INTER_CUBIC))
    assert apart.mean() < 0.7
    assert apart.mean() < 0.5 * linear.mean()


def test_pictures_enlarged_at_half_the_size_lie_where_cubic_interpolation_puts_them():
    picture = cv2.GaussianBlur(scene()[:SIZE, :SIZE], (0, 0), 1)
    made = ToRegion((0, 0, 330, 340), invert(TURNED)).picture(picture)
    assert np.abs(made.astype(int) - warped(picture, cv2.INTER_CUBIC)).mean() < 0.8


def test_fields_warped_at_half_the_size_lie_where_the_others_do():
    field = cv2.GaussianBlur(np.random.default_rng(1).random((SIZE, SIZE, 3)).astype(np.float32), (0, 0), 2)
    apart = np.abs(ToRegion((0, 0, 330, 340), invert(TURNED)).field(field) - warped(field, cv2.INTER_LINEAR))
    assert apart.mean() < 0.03 * field.std()
    assert apart.max() < 0.2 * field.std()


def test_the_frames_own_detail_counts_only_where_none_is_transferred(monkeypatch):
    frame, whole, nothing = scene(), np.ones((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE, 3), np.float32)
    where = (grid(SIZE, SIZE) * SCALE).astype(np.float32)
    asked, match = [], patch_module.match
    monkeypatch.setattr(patch_module, "match", lambda *a, **k: asked.append(True) or match(*a, **k))
    for weight in (whole, 0.995 * whole, 0.9 * whole):
        transfer = DetailTransfer(frame, where, nothing, weight, SCALE)
        patch_with_detail(FrameCrop(frame, small(frame), MOVE), small(frame), whole, transfer)
    assert len(asked) == 1, "half a per cent of it would change nothing by a level"


def test_a_doubled_picture_has_its_pixels_and_cubics_between_them(monkeypatch) -> None:
    monkeypatch.setattr(patch_module, "_SHARPENED", 0.0)
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8), (0, 0), 1)
    doubled = patch_module._doubled(picture)
    wanted = cv2.warpAffine(picture, np.eye(2, 3) * 2, (60, 80), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    assert np.array_equal(doubled[::2, ::2], picture)
    assert np.abs(doubled.astype(int) - wanted).max() <= 4
    assert patch_module._doubled(picture) is doubled
