"""Composing: nothing outside the allowed region changes, and crop and frame give the same picture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dithead.face.compositing import apply_patch
from dithead.face.masks import box_polygon, polygon_mask
from dithead.inference.analyse.references import enlarged
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.blend_mask import CropBox
from dithead.inference.compose.compose_mouth import SourceView, compose, composed_crop
from dithead.inference.synthesise.reference_bank import FrameReference
from dithead.inference.synthesise.reference_set import SourcePicture
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
    composed = compose(drawn(view.crop), replace(view, planes=None), None, tracklet)
    assert composed is not None
    made = apply_patch(frame, composed.change)
    alone = composed_crop(drawn(view.crop), view.crop, None, tracklet, 8)
    assert np.abs(made[top : top + SIZE, left : left + SIZE].astype(int) - alone).max() <= 4
    assert np.array_equal(made[:top], frame[:top])
    assert np.array_equal(made[:, :left], frame[:, :left])


def test_nothing_is_composed_where_the_mouth_lies_outside_the_picture(tracklet: Tracklet, crop: np.ndarray) -> None:
    view = SourceView(8, crop, np.array([[1.0, 0, 500], [0, 1.0, 500]]), crop)
    assert compose(drawn(crop), view, None, tracklet) is None


def smooth(seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).uniform(60, 190, (SIZE // 8, SIZE // 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(rough, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["none", "similar", "donor"])
def test_the_box_around_the_mask_gives_what_the_whole_crop_gives(tracklet: Tracklet, monkeypatch, kind: str) -> None:
    tracklet.polygon = np.array([(30, 48), (66, 48), (66, 84), (30, 84)], np.float32)
    large = cv2.resize(smooth(1), (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_CUBIC)
    view = SourceView(8, large, enlarged(np.eye(2, 3), 0.5), smooth(1))
    pictures = tuple(SourcePicture(np.roll(smooth(1), k, axis=1), large, enlarged(np.eye(2, 3), 0.5)) for k in (0, 2))
    reference = {
        "none": None,
        "similar": FrameReference(pictures),
        "donor": FrameReference(pictures, nearest=pictures[1].crop, donor=pictures[0]),
    }[kind]
    mouth = cv2.GaussianBlur(np.roll(smooth(1), 1, axis=0), (0, 0), 1)
    part = compose(mouth, view, reference, tracklet)
    monkeypatch.setattr(CropBox, "around", lambda mask, margin: CropBox(0, SIZE, 0, SIZE))
    whole = compose(mouth, view, reference, tracklet)
    assert part is not None
    assert whole is not None
    made, plain = (apply_patch(large, each.change).astype(int) for each in (part, whole))
    assert np.abs(plain - large).max() > 8
    assert np.abs(made - plain).mean() < 0.1 * np.abs(plain - large).mean()
