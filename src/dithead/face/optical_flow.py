"""Pictures moved along optical flow: onto another that shows nearly the same, or between two. S: side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.types import RGB, Mask


class Match(NamedTuple):
    """Where in another picture lies what a drawn one shows, and how far the two agree."""

    flow: NDArray[np.float32]  # (S, S, 2) pixels from the drawn to the other's place
    share: Mask  # (S, S)


def match(
    drawn: RGB, other: RGB, *, even: float, alike: float, unlike: float, finder: float = 0.0, fine: float = 0.0
) -> Match:
    """Match two pictures (S, S, 3). They share in full where they differ by ``alike`` levels of 255, and not from
    ``unlike`` on. Sigmas, as fractions of S: ``even`` smooths the flow, whose noise would make skin crawl; ``finder``
    blurs ``other`` before it is found, so that a soft drawing finds a sharp one; below ``fine`` no difference counts.
    """
    size = drawn.shape[0]
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (drawn, _blurred(other, finder * size))]
    there = cv2.GaussianBlur(flow(*grey), (0, 0), even * size)
    pictures = [_blurred(picture, fine * size) for picture in (warp_by_flow(other, there), drawn.astype(np.float32))]
    gap = _blurred(np.abs(pictures[0] - pictures[1]).max(axis=2), 0.012 * size)
    share = np.clip((unlike - gap) / (unlike - alike), 0, 1)
    return Match(there, _blurred(share, 0.01 * size).astype(np.float32))


def _blurred(picture: NDArray[Any], sigma: float) -> NDArray[Any]:
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma else picture


def interpolate_pictures(a: RGB, b: RGB, shares: Sequence[float]) -> list[RGB]:
    """Pictures (S, S, 3) on the way from ``a`` (share 0) to ``b`` (1): both moved by their optical flow, and mixed."""
    grey_a, grey_b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (a, b))
    there, back = flow(grey_a, grey_b), flow(grey_b, grey_a)
    mixed = [(1 - s) * warp_by_flow(a, -s * there) + s * warp_by_flow(b, -(1 - s) * back) for s in shares]
    return [np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8) for picture in mixed]


def between(time_a: float, a: RGB, time_b: float, b: RGB, time: float) -> RGB:
    """The picture (S, S, 3) at ``time`` between ``a`` and ``b``."""
    return interpolate_pictures(a, b, [0.5 if time_b <= time_a else (time - time_a) / (time_b - time_a)])[0]


def flow(start: NDArray[np.uint8], end: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(S, S, 2): where in grey ``end`` (S, S) each pixel of ``start`` is, as seen from it."""
    finder: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(finder.calc(start, end, None), np.float32)


def warp_by_flow(
    picture: RGB | NDArray[np.float32], by: NDArray[np.float32], how: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """(S, S, 3): at each pixel what ``picture`` shows ``by`` (S, S, 2) pixels from it."""
    found = cv2.remap(picture, grid(*by.shape[:2]) + by, None, how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def grid(height: int, width: int) -> NDArray[np.float32]:
    """(h, w, 2): every pixel's own x and y."""
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
