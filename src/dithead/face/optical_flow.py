"""Finds one picture in another by optical flow, warps pictures along it, and interpolates between them. S: side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.types import RGB, Mask

_DIFFERENCE_BLUR, _AGREEMENT_BLUR = 0.012, 0.01  # sigmas, as fractions of S, that smooth the agreement (our choice)


_MEDIUM = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
_STIFF = 0.03  # smoothing, as a fraction of S, from which a quick search is as good


class Match(NamedTuple):
    """The place in another picture of each pixel of a drawn one, and how far the two agree."""

    flow: NDArray[np.float32]  # (S, S, 2) pixels from a place in the drawn picture to its place in the other
    agreement: Mask  # (S, S) from 0 to 1
    moved: NDArray[np.float32]  # (S, S, 3) the other picture, warped to where it lies in the drawn one
    coarse: NDArray[np.float32]  # (S, S, 3) ``moved`` minus the drawn picture, without what is finer than ``fine``


def match(
    drawn: RGB,
    other: RGB,
    *,
    smooth: float,
    agree: float,
    disagree: float,
    search_blur: float = 0.0,
    fine: float = 0.0,
    size: int | None = None,
) -> Match:
    """Find a drawn picture in another one by dense optical flow.

    Args:
        drawn: (S, S, 3), or a part of it.
        other: (S, S, 3), of nearly the same, or the same part.
        smooth: Sigma that smooths the flow, as a fraction of S: its noise would make skin crawl.
        agree: 8-bit difference up to which the two agree in full.
        disagree: 8-bit difference from which they do not agree at all.
        search_blur: Sigma, as a fraction of S, that blurs ``other`` for the search, so that a soft drawing finds a
            sharp picture.
        fine: Sigma, as a fraction of S, below which differences do not count.
        size: S, where the pictures are parts.
    """
    size = size or drawn.shape[0]
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (drawn, _blurred(other, search_blur * size))]
    stiff = smooth >= _STIFF
    found = (_widely_blurred if stiff else _blurred)(flow(*grey, quick=stiff), smooth * size)
    moved = warp_by_flow(other, found)
    coarse = _blurred(cv2.subtract(moved, drawn, dtype=cv2.CV_32F), fine * size)
    difference = _blurred(largest_channel(np.abs(coarse)), _DIFFERENCE_BLUR * size)
    agreement = np.clip((disagree - difference) / (disagree - agree), 0, 1)
    return Match(found, _blurred(agreement, _AGREEMENT_BLUR * size).astype(np.float32), moved, coarse)


def largest_channel(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest of the three channels of each pixel of a picture (h, w, 3)."""
    first, second, third = cv2.split(picture)
    return np.asarray(cv2.max(cv2.max(first, second), third), np.float32)


def interpolate_pictures(a: RGB, b: RGB, shares: Sequence[float]) -> list[RGB]:
    """Interpolate two pictures (S, S, 3): both are warped along their optical flow, and mixed.

    Args:
        a: The picture at share 0.
        b: The picture at share 1.
        shares: Where each of the pictures returned lies between the two, 0 to 1.
    """
    grey_a, grey_b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (a, b))
    forward, backward = flow(grey_a, grey_b), flow(grey_b, grey_a)
    mixed = [(1 - s) * warp_by_flow(a, -s * forward) + s * warp_by_flow(b, -(1 - s) * backward) for s in shares]
    return [np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8) for picture in mixed]


def picture_at(time: float, before: tuple[float, RGB], after: tuple[float, RGB]) -> RGB:
    """Return the picture (S, S, 3) at ``time`` between two pictures, each given with its own time."""
    (start, a), (end, b) = before, after
    return interpolate_pictures(a, b, [0.5 if end <= start else (time - start) / (end - start)])[0]


def flow(start: NDArray[np.uint8], end: NDArray[np.uint8], *, quick: bool = False) -> NDArray[np.float32]:
    """Return the flow (S, S, 2): where each pixel of grey ``start`` (S, S) lies in ``end``, relative to its place.

    Source: DIS optical flow (Kroeger et al. 2016), in OpenCV's medium preset with wider steps and fewer rounds, which
    takes six tenths of its time (docs/log); ``quick``, in its fast preset, which takes a fifth of it and is 0.2 pixels
    off on average.
    """
    finder: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST if quick else _MEDIUM)
    if not quick:
        finder.setPatchStride(4)
        finder.setGradientDescentIterations(12)
        finder.setVariationalRefinementIterations(3)
    return np.asarray(finder.calc(start, end, None), np.float32)


def warp_by_flow(
    picture: RGB | NDArray[np.float32], by: NDArray[np.float32], interpolation: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """Warp a picture: each pixel shows what lies ``by`` pixels from it.

    Args:
        picture: (S, S, 3) or (S, S).
        by: (S, S, 2), x and y.
        interpolation: OpenCV's code for the interpolation.

    Returns:
        Like ``picture``, in float32.
    """
    found = cv2.remap(picture, grid(*by.shape[:2]) + by, None, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


@lru_cache(maxsize=32)
def grid(height: int, width: int) -> NDArray[np.float32]:
    """Return the x and y of every pixel (height, width, 2); the array is shared, so it cannot be written to."""
    places = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    places.setflags(write=False)
    return places


def _blurred(picture: NDArray[Any], sigma: float) -> NDArray[Any]:
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma else picture


def _widely_blurred(picture: NDArray[Any], sigma: float) -> NDArray[Any]:
    """A picture blurred by several pixels, at half its size: that takes a fifth of the time."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
    return cv2.resize(_blurred(small, sigma / 2), (width, height), interpolation=cv2.INTER_LINEAR)
