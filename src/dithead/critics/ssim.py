"""Structural similarity of two pictures, pixel by pixel, as OpenCV's quality module computes it.

Wang, Bovik, Sheikh and Simoncelli 2004. OpenCV has it in its contributed modules only, which are not installed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW, _SIGMA = (11, 11), 1.5  # Gaussian window, pixels: the paper's values
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the paper's constants for 8-bit pictures


def structural_similarity(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the similarity (H, W) of two grey pictures (H, W) at each pixel, 1 where they are alike."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variances = _blurred(a * a) - mean_a * mean_a + _blurred(b * b) - mean_b * mean_b
    covariance = _blurred(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    below = (mean_a * mean_a + mean_b * mean_b + _C1) * (variances + _C2)
    return np.asarray(above / below, np.float32)


def _blurred(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(picture, _WINDOW, _SIGMA), np.float32)
