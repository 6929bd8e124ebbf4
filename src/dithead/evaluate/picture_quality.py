"""How alike two pictures of the same face are, and how sharp a mouth is. uint8 in, numbers out.

Letters: N frames, S side of the aligned crop.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.types import RGB

Crops = NDArray[np.uint8]  # (N, S, S, 3)

PERFECT_PSNR = 100.0  # dB; stands for infinity, which JSON cannot hold
MOUTH = (0.45, 0.80, 0.28, 0.72)  # first and last row, first and last column, as fractions of S
ABOVE_MASK = 0.28  # rows above this fraction of S are outside every mask
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def psnr(generated: Crops, truth: Crops) -> float:
    """Peak signal-to-noise ratio in dB of the mean squared error over all frames."""
    if not len(generated):
        return float("nan")
    squares = [np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(generated, truth, strict=True)]
    error = float(np.mean(squares))
    return PERFECT_PSNR if error <= 0 else min(PERFECT_PSNR, 10 * float(np.log10(255**2 / error)))


def ssim(generated: Crops, truth: Crops) -> float:
    """Mean structural similarity of luma (Gaussian window of 11, sigma 1.5) by OpenCV, over all frames."""
    if not len(generated):
        return float("nan")
    pairs = zip(generated, truth, strict=True)
    return float(np.mean([cv2.quality.QualitySSIM_compute(_luma(b), _luma(a))[0][0] for a, b in pairs]))


def mouth_of(crops: Crops) -> Crops:
    """The mouth's box of aligned crops: (N, h, w, 3)."""
    side = crops.shape[1]
    top, bottom, left, right = (int(f * side) for f in MOUTH)
    return crops[:, top:bottom, left:right]


def flicker(generated: Crops, source: Crops) -> float:
    """Mean change from frame to frame of (generated - source) above the mask, in grey levels of 255.

    Zero when the untouched part of the picture is untouched.
    """
    if len(generated) < 2:
        return float("nan")
    rows = int(ABOVE_MASK * generated.shape[1])
    rest = generated[:, :rows].astype(np.int16) - source[:, :rows]
    return float(np.mean([np.abs(b - a).mean() for a, b in pairwise(rest)]))


def detail(patch: NDArray[np.uint8] | None) -> tuple[float, float]:
    """Laplacian variance and mean gradient energy of a picture's luma (h, w, 3); NaN when it is too small."""
    if patch is None or min(patch.shape[:2]) < 4:
        return float("nan"), float("nan")
    grey = patch.astype(np.float32) @ _LUMA
    centre = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * centre
    gradient = (grey[1:-1, 2:] - grey[1:-1, :-2]) ** 2 + (grey[2:, 1:-1] - grey[:-2, 1:-1]) ** 2
    return float(laplacian.var()), float(gradient.mean() / 4)


def detail_ratio(generated: NDArray[np.float64], source: NDArray[np.float64]) -> dict[str, float]:
    """Sharpness of a mouth against its source's: (N, 2) series of ``detail`` each, over the frames both have.

    ``sharpness`` is the ratio of the mean Laplacian variances, ``sharpness_gradient`` of gradient energies.
    """
    known = np.isfinite(generated).all(axis=1) & np.isfinite(source).all(axis=1)
    if not known.any():
        return {"sharpness": float("nan"), "sharpness_gradient": float("nan")}
    ours, theirs = generated[known].mean(axis=0), source[known].mean(axis=0)
    laplacian, gradient = ours / np.maximum(theirs, 1e-9)
    return {"sharpness": float(laplacian), "sharpness_gradient": float(gradient)}


def crop_sharpness(generated: Crops, source: Crops) -> float:
    """As ``sharpness``, but of the mouth's box in the aligned crops (N, S, S, 3): what a small window shows."""
    pairs = zip(mouth_of(generated), mouth_of(source), strict=True)
    details = np.array([(detail(a)[0], detail(b)[0]) for a, b in pairs]).reshape(-1, 2)
    ours, theirs = details.mean(axis=0) if len(details) else (np.nan, np.nan)
    return float(ours / max(theirs, 1e-9))


def _luma(crop: RGB) -> NDArray[np.uint8]:
    return (crop.astype(np.float32) @ _LUMA + 0.5).astype(np.uint8)
