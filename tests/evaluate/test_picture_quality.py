"""Picture measures against closed forms and an independent implementation."""

import cv2
import numpy as np
import pytest
import torch

from dithead.evaluate import picture_quality as pictures


def textured(seed: int = 0, n: int = 3, side: int = 64) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (n, side, side, 3))
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in noise]).astype(np.uint8)


def test_psnr_of_a_constant_error_is_its_closed_form():
    black = np.zeros((2, 8, 8, 3), np.uint8)
    assert pictures.psnr(black + 5, black) == pytest.approx(20 * np.log10(255 / 5))


def test_psnr_of_equals_is_the_cap():
    assert pictures.psnr(textured(), textured()) == pictures.PERFECT_PSNR


def test_ssim_is_one_for_equals_and_falls_with_blur():
    sharp = textured(n=17)
    scores = [pictures.ssim(np.stack([cv2.GaussianBlur(f, (0, 0), s) for f in sharp]), sharp) for s in (0.5, 1, 2)]
    assert pictures.ssim(sharp, sharp) == pytest.approx(1)
    assert 1 > scores[0] > scores[1] > scores[2] > 0


def test_ssim_is_that_of_an_independent_implementation():
    measure = pytest.importorskip("torchmetrics.functional.image").structural_similarity_index_measure
    sharp = textured(side=96)
    for sigma in (0.5, 1, 2):
        soft = np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in sharp])
        ours, theirs = (torch.from_numpy(x @ np.array([0.299, 0.587, 0.114]))[:, None] for x in (soft, sharp))
        assert pictures.ssim(soft, sharp) == pytest.approx(float(measure(ours, theirs, data_range=255.0)), abs=5e-3)


def test_ssim_of_flat_pictures_is_its_luminance_term():
    a, b = (np.full((1, 32, 32, 3), grey, np.uint8) for grey in (100, 150))
    x, y, c = 100 / 255, 150 / 255, 0.01**2
    assert pictures.ssim(a, b) == pytest.approx((2 * x * y + c) / (x**2 + y**2 + c), abs=1e-3)


def test_detail_of_a_known_wave():
    x = np.arange(64)
    wave = 100 + 50 * np.sin(x * np.pi / 2)  # period 4: the Laplacian is -2 times the wave
    patch = np.repeat(np.broadcast_to(wave, (64, 64))[..., None], 3, axis=2).round().astype(np.uint8)
    laplacian, _ = pictures.measure_detail(patch)
    assert laplacian == pytest.approx(4 * 50**2 / 2, rel=0.02)


def test_sharpness_falls_with_every_blur():
    sharp = textured(n=1)[0]
    known = np.array([pictures.measure_detail(sharp)])
    ratios = [
        pictures.sharpness_ratio(np.array([pictures.measure_detail(cv2.GaussianBlur(sharp, (0, 0), s))]), known)[
            "sharpness"
        ]
        for s in (0.4, 0.8, 1.6)
    ]
    assert 1 > ratios[0] > ratios[1] > ratios[2] > 0


def test_sharpness_in_the_crop_looks_at_the_mouth_only():
    sharp = textured(n=2)
    soft_above, soft_mouth = sharp.copy(), sharp.copy()
    soft_above[:, :20] = 0
    soft_mouth[:, 25:55] = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in sharp])[:, 25:55]
    assert pictures.crop_sharpness(soft_above, sharp) == pytest.approx(1)
    assert pictures.crop_sharpness(soft_mouth, sharp) < 0.1
    assert np.isnan(pictures.crop_sharpness(sharp[:0], sharp[:0]))


def test_no_lips_no_sharpness():
    nothing = np.full((3, 2), np.nan)
    assert np.isnan(pictures.sharpness_ratio(nothing, nothing)["sharpness"])
    assert np.isnan(pictures.measure_detail(None)).all()


def test_flicker_sees_trembling_above_the_mask_only():
    still = textured(n=4)
    trembling, below = still.copy(), still.copy()
    trembling[1::2, :10] //= 2
    below[1::2, 40:] //= 2
    assert pictures.flicker(np.minimum(still, 200) + 10, np.minimum(still, 200)) == 0
    assert pictures.flicker(trembling, still) > 1
    assert pictures.flicker(below, still) == 0
