"""Changing luma and chroma themselves gives what changing RGB gives, in every format, and touches nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.optical_flow import grid
from dithead.inference.analyse.references import enlarged
from dithead.inference.compose.detail_transfer import DetailTransfer
from dithead.inference.compose.patch import FrameCrop, patch_with_detail
from dithead.inference.compose.plane_changes import plane_changes
from dithead.media.colour import encoding_of
from dithead.media.partial_rgb import PartialRGB
from dithead.media.planes import Planes, planes_of_rgb
from dithead.types import Similarity

SIZE, HEIGHT, WIDTH = 80, 240, 320
FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"]


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture with coarse colours and fine grain, without extremes."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(70, 180, (9, 12, 3)).astype(np.float32), (width, height))
    grain = cv2.GaussianBlur(rng.normal(0, 20, (height, width, 1)).astype(np.float32), (0, 0), 0.9)
    return np.clip(coarse + grain[..., None], 0, 255).astype(np.uint8)


def crop_of(picture: np.ndarray, transform: Similarity) -> np.ndarray:
    return cv2.warpAffine(picture, transform, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def soft_mask() -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[24:60, 20:58] = 1
    mask = cv2.GaussianBlur(mask, (0, 0), 4)
    mask[mask < 0.01] = 0
    return mask


def transfer_from(picture: np.ndarray, scale: float) -> DetailTransfer:
    where = (grid(SIZE, SIZE) * scale + (scale - 1) / 2 + 1.3).astype(np.float32)
    coarse = np.full((SIZE, SIZE, 3), (6, -4, 2), np.float32)
    weight = np.clip(grid(SIZE, SIZE)[..., 0] / 40, 0, 1)
    return DetailTransfer(picture, where, coarse, weight.astype(np.float32), scale)


def changed(planes: Planes, by) -> list[np.ndarray]:
    copy = Planes([a.copy() for a in planes.arrays], planes.pix_fmt, planes.encoding)
    by(copy)
    return copy.arrays


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("enlarged_by", [2.7, 1.0, 0.6])
@pytest.mark.parametrize("detail", ["own", "transferred"])
def test_planes_change_as_rgb_does(pix_fmt: str, enlarged_by: float, detail: str) -> None:
    frame, mask = scene(0), soft_mask()
    planes = planes_of_rgb(frame, pix_fmt, encoding_of(1, 1, pix_fmt, 1080))
    turned = np.array([[0.99, 0.06, -20.3], [-0.06, 0.99, -13.7]])
    transform = np.vstack([turned, [0, 0, 1]]) if enlarged_by < 2 else np.vstack([turned * [1, 1, 0.3], [0, 0, 1]])
    transform = (np.diag([1 / enlarged_by, 1 / enlarged_by, 1]) @ transform)[:2]
    crop = crop_of(frame, transform)
    mouth = cv2.GaussianBlur(np.roll(crop, 2, axis=0), (0, 0), 1.2)
    transfer = None if detail == "own" else transfer_from(scene(1), enlarged_by * 1.05)
    view = FrameCrop(PartialRGB(planes), crop, transform)

    def plainly(copy: Planes) -> None:
        copy.add_rgb_difference(*patch_with_detail(view, mouth, mask, transfer))

    def in_planes(copy: Planes) -> None:
        for each in plane_changes(copy, view, mouth, mask, transfer):
            copy.add(*each)

    wanted, made = changed(planes, plainly), changed(planes, in_planes)
    for old, a, b in zip(planes.arrays, wanted, made, strict=True):
        touched = (a != old) | (b != old)
        assert touched.mean() > 0.003
        assert np.abs(b.astype(float) - a)[touched].mean() < 0.55 * 2 ** (planes.depth - 8), "rounding, twice as often"


def test_nothing_changes_outside_the_mask_or_the_picture() -> None:
    frame, mask = scene(0), np.zeros((SIZE, SIZE), np.float32)
    mask[30:50, 30:50] = 1
    planes = planes_of_rgb(frame, "yuv420p", encoding_of(1, 1, "yuv420p", 1080))
    transform = enlarged(np.eye(2, 3), 0.5)
    crop = crop_of(frame, transform)
    changes = plane_changes(planes, FrameCrop(PartialRGB(planes), crop, transform), 255 - crop, mask)
    assert [each.plane for each in changes] == [0, 1, 2]
    for number, sides in zip(range(3), (2, 1, 1), strict=True):
        whole = np.zeros(planes.arrays[number].shape, np.float32)
        (each,) = [c for c in changes if c.plane == number]
        whole[each.top : each.top + each.difference.shape[0], each.left : each.left + each.difference.shape[1]] = (
            each.difference
        )
        inside = np.zeros(whole.shape, bool)
        inside[29 * sides : 51 * sides, 29 * sides : 51 * sides] = True
        assert np.abs(whole[inside]).mean() > 3
        assert not whole[~inside].any()
    away = transform + np.array([[0, 0, 900], [0, 0, 0]])
    assert plane_changes(planes, FrameCrop(PartialRGB(planes), crop, away), 255 - crop, mask) == []


def test_a_kept_donor_is_that_of_its_picture_and_encoding() -> None:
    planes = [planes_of_rgb(scene(0), "yuv420p", encoding_of(code, 1, "yuv420p", 1080)) for code in (1, 6, 1)]
    transform, mask = enlarged(np.eye(2, 3), 1 / 2.5), soft_mask()
    transfer, other = transfer_from(scene(1), 2.5), transfer_from(scene(2), 2.5)
    crop = crop_of(scene(0), transform)
    made = [
        plane_changes(p, FrameCrop(PartialRGB(p), crop, transform), crop, mask, t)[0].difference
        for p, t in ((planes[0], transfer), (planes[1], transfer), (planes[2], other), (planes[2], transfer))
    ]
    assert np.array_equal(made[0], made[3])
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
