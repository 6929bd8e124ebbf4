"""Pictures between two others, moved there along optical flow. S: side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.types import RGB


def morphs(a: RGB, b: RGB, shares: Sequence[float]) -> list[RGB]:
    """Pictures (S, S, 3) on the way from ``a`` (share 0) to ``b`` (1): both moved by their optical flow, and mixed."""
    grey_a, grey_b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (a, b))
    there, back = flow(grey_a, grey_b), flow(grey_b, grey_a)
    mixed = [(1 - s) * moved(a, -s * there) + s * moved(b, -(1 - s) * back) for s in shares]
    return [np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8) for picture in mixed]


def between(time_a: float, a: RGB, time_b: float, b: RGB, time: float) -> RGB:
    """The picture (S, S, 3) at ``time`` between ``a`` and ``b``."""
    return morphs(a, b, [0.5 if time_b <= time_a else (time - time_a) / (time_b - time_a)])[0]


def flow(start: NDArray[np.uint8], end: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(S, S, 2): where in grey ``end`` (S, S) each pixel of ``start`` is, as seen from it."""
    finder: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(finder.calc(start, end, None), np.float32)


def moved(
    picture: RGB | NDArray[np.float32], by: NDArray[np.float32], how: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """(S, S, 3): at each pixel what ``picture`` shows ``by`` (S, S, 2) pixels from it."""
    found = cv2.remap(picture, grid(*by.shape[:2]) + by, None, how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def grid(height: int, width: int) -> NDArray[np.float32]:
    """(h, w, 2): every pixel's own x and y."""
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
