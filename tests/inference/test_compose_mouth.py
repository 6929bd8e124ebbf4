"""Composing: nothing outside the allowed region changes, and crop and frame give the same picture."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.face.compositing import apply_patch
from dithead.face.masks import box_polygon, polygon_mask
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.compose_mouth import SourceView, compose, composed_crop
from dithead.media.planes import planes_of_rgb
from dithead.media.video import VideoInfo

SIZE = 96


@pytest.fixture
def tracklet() -> Tracklet:
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    lips = np.stack([48 + 14 * np.cos(angles), 66 + 6 * np.sin(angles)], axis=1).astype(np.float32)
    crop = np.zeros((SIZE, SIZE, 3), np.uint8)
    return Tracklet(0, 9, np.tile(np.eye(2, 3), (9, 1, 1)), box_polygon(SIZE), lips, crop, True, False)


@pytest.fixture
def crop() -> np.ndarray:
    return np.random.default_rng(0).integers(120, 160, (SIZE, SIZE, 3)).astype(np.uint8)


def drawn(crop: np.ndarray) -> np.ndarray:
    mouth = crop.copy()
    mouth[58:74, 36:60] = (90, 20, 20)
    return mouth


def test_the_mouth_is_new_and_all_outside_the_mask_keeps_every_bit(tracklet: Tracklet, crop: np.ndarray) -> None:
    made = composed_crop(drawn(crop), crop, None, tracklet, 8)
    outside = polygon_mask(tracklet.polygon, SIZE) == 0
    assert np.array_equal(made[outside], crop[outside])
    assert np.abs(made[66, 48].astype(int) - (90, 20, 20)).max() < 12


def test_the_mouth_fades_in_where_no_cut_hides_it(tracklet: Tracklet, crop: np.ndarray) -> None:
    change = [np.abs(composed_crop(drawn(crop), crop, None, tracklet, k).astype(int) - crop).sum() for k in (0, 2, 8)]
    assert 0 < change[0] < change[1] < change[2]


def test_a_patch_lies_at_its_place_in_the_whole_frame(tracklet: Tracklet, crop: np.ndarray) -> None:
    frame = np.full((240, 320, 3), 128, np.uint8)
    top, left = 100, 180
    frame[top : top + SIZE, left : left + SIZE] = crop
    transform = np.array([[1.0, 0, -left], [0, 1.0, -top]])
    view = SourceView.of_planes(planes_of_rgb(frame, "yuv444p", VideoInfo(320, 240, 25).encoding), transform, SIZE, 8)
    patch = compose(drawn(view.crop), view, None, tracklet)
    assert patch is not None
    made = apply_patch(frame, patch)
    alone = composed_crop(drawn(view.crop), view.crop, None, tracklet, 8)
    assert np.abs(made[top : top + SIZE, left : left + SIZE].astype(int) - alone).max() <= 4
    assert np.array_equal(made[:top], frame[:top])
    assert np.array_equal(made[:, :left], frame[:, :left])


def test_nothing_is_composed_where_the_mouth_lies_outside_the_picture(tracklet: Tracklet, crop: np.ndarray) -> None:
    view = SourceView(8, crop, 0, 0, np.array([[1.0, 0, 500], [0, 1.0, 500]]), crop)
    assert compose(drawn(crop), view, None, tracklet) is None
