"""Measures how much fine detail a picture has, and the grey picture that such measures are taken of. h, w: its size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.types import RGB


def mean_of_channels(picture: RGB) -> NDArray[np.float32]:
    """Return the mean of the three colours of a picture (h, w, 3): (h, w)."""
    red, green, blue = cv2.split(picture)  # NumPy's mean over an axis of three is ten times as slow
    return np.asarray((red.astype(np.float32) + green + blue) / np.float32(3), np.float32)


def laplacian_variance(picture: RGB) -> float:
    """Return the variance of the Laplacian of a picture (h, w, 3): the sharper, the larger; 0 where it is empty."""
    return float(cv2.Laplacian(mean_of_channels(picture), cv2.CV_32F).var()) if picture.size else 0.0
