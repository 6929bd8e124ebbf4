"""Measures how similar two pictures of the same face are, and how sharp a mouth is: 8-bit pictures in, numbers out.

Letters: N frames, S side of the aligned crop, h, w size of a part of it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dithead.critics.ssim import structural_similarity
from dithead.types import RGB

Crops = NDArray[np.uint8]  # (N, S, S, 3)

PERFECT_PSNR = 100.0
"""dB; stands for infinity, which JSON cannot hold."""
MOUTH_BOX = (0.45, 0.80, 0.28, 0.72)
"""First and last row, first and last column of the mouth in the aligned crop, as fractions of S (our choice)."""
ABOVE_MASK = 0.28
"""Rows above this fraction of S are outside every mask, so a generated video must leave them as they are."""
MIN_SIDE = 4  # pixels; in a smaller patch there are no second differences to measure
EPSILON = 1e-9  # denominators are at least this
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G and B (ITU-R BT.601)


def psnr(generated: Crops, truth: Crops) -> float:
    """Return the peak signal-to-noise ratio in dB of the mean squared error over all frames."""
    if not len(generated):
        return float("nan")
    squares = [np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(generated, truth, strict=True)]
    error = float(np.mean(squares))
    return PERFECT_PSNR if error <= 0 else min(PERFECT_PSNR, 10 * float(np.log10(255**2 / error)))


def ssim(generated: Crops, truth: Crops) -> float:
    """Return the mean structural similarity of luma over all frames, by OpenCV (Gaussian window of 11, sigma 1.5)."""
    if not len(generated):
        return float("nan")
    pairs = zip(generated, truth, strict=True)
    return float(np.mean([structural_similarity(_luma(b), _luma(a)).mean(dtype=np.float64) for a, b in pairs]))


def crop_mouth(crops: Crops) -> Crops:
    """Return the box of the mouth in aligned crops: (N, h, w, 3)."""
    side = crops.shape[1]
    top, bottom, left, right = (int(f * side) for f in MOUTH_BOX)
    return crops[:, top:bottom, left:right]


def flicker(generated: Crops, source: Crops) -> float:
    """Return the mean change from frame to frame of (generated - source) above the mask, in grey levels of 255.

    It is zero when the part of the picture that must not change does not change.
    """
    if len(generated) < 2:
        return float("nan")
    rows = int(ABOVE_MASK * generated.shape[1])
    rest = generated[:, :rows].astype(np.int16) - source[:, :rows]
    return float(np.mean([np.abs(b - a).mean() for a, b in pairwise(rest)]))


def measure_detail(patch: NDArray[np.uint8] | None) -> tuple[float, float]:
    """Return the Laplacian variance and the mean gradient energy of a patch's luma; NaN when it is too small.

    Args:
        patch: (h, w, 3), or None where there is no face.
    """
    if patch is None or min(patch.shape[:2]) < MIN_SIDE:
        return float("nan"), float("nan")
    grey = patch.astype(np.float32) @ LUMA
    centre = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * centre
    gradient = (grey[1:-1, 2:] - grey[1:-1, :-2]) ** 2 + (grey[2:, 1:-1] - grey[:-2, 1:-1]) ** 2
    return float(laplacian.var()), float(gradient.mean() / 4)


def sharpness_ratio(generated: NDArray[np.float64], source: NDArray[np.float64]) -> dict[str, float]:
    """Compare the sharpness of a mouth with its source's, over the frames that both have.

    Args:
        generated: (N, 2), ``measure_detail`` of each frame.
        source: The same of the source.

    Returns:
        ``sharpness``, the ratio of the mean Laplacian variances, and ``sharpness_gradient``, that of gradient energies.
    """
    known = np.isfinite(generated).all(axis=1) & np.isfinite(source).all(axis=1)
    if not known.any():
        return {"sharpness": float("nan"), "sharpness_gradient": float("nan")}
    laplacian, gradient = generated[known].mean(axis=0) / np.maximum(source[known].mean(axis=0), EPSILON)
    return {"sharpness": float(laplacian), "sharpness_gradient": float(gradient)}


def crop_sharpness(generated: Crops, source: Crops) -> float:
    """Return the ratio of mean Laplacian variances in the mouth's box of aligned crops: what a small window shows."""
    pairs = zip(crop_mouth(generated), crop_mouth(source), strict=True)
    details = np.array([(measure_detail(a)[0], measure_detail(b)[0]) for a, b in pairs]).reshape(-1, 2)
    ours, theirs = details.mean(axis=0) if len(details) else (np.nan, np.nan)
    return float(ours / max(theirs, EPSILON))


def _luma(crop: RGB) -> NDArray[np.uint8]:
    return (crop.astype(np.float32) @ LUMA + 0.5).astype(np.uint8)
