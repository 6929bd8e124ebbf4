"""Regions of interest: rotated rectangles that are cut out of a picture for a network, and points mapped back.

As in MediaPipe, a region is relative to the picture's width and height, and arithmetic is in 32-bit floats, so that
the cut-out pixels are the same as there. Letters: H, W picture height and width, S side of the network's input,
P points.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.types import RGB, RGBLike

Points = NDArray[np.float32]  # (P, 2) or (P, 3), x and depth relative to the width, y to the height of the picture
Float = np.float32

_SAME = 0.5  # intersection over union from which two regions show the same face or hand: MediaPipe's value
_AROUND = 2  # pixels around a region that its interpolation touches
_CORNERS = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class Region:
    """A rotated rectangle. All values are 32-bit floats; the angle is clockwise, in radians."""

    x: Float  # of the centre, relative to the width of the picture
    y: Float  # of the centre, relative to the height of the picture
    width: Float  # relative to the width of the picture
    height: Float  # relative to the height of the picture
    angle: Float


@dataclass(frozen=True)
class Growth:
    """How a box becomes a region: it is made square, enlarged, and moved along its own vertical axis."""

    scale: float
    shift: float = 0.0  # downwards, in heights of the box


def region_around(corner: Points, size: Points, angle: Float, growth: Growth, image: RGBLike) -> Region:
    """Return the square region around a box.

    Args:
        corner: x and y of the box's upper left corner (2,), relative to the picture.
        size: Its width and height (2,), relative to the picture.
        angle: Of the region, in radians.
        growth: How much larger than the box it is.
        image: The picture (H, W, 3).
    """
    x, y = corner + size / Float(2)
    return grown(Region(x, y, size[0], size[1], angle), growth, image)


def grown(region: Region, growth: Growth, image: RGBLike) -> Region:
    """Return the square region around a region; see ``Growth``."""
    rows, columns = (Float(n) for n in image.shape[:2])
    shift = rows * region.height * Float(growth.shift)
    cosine, sine = cosine_and_sine(region.angle)
    long_side = max(region.width * columns, region.height * rows)
    return Region(
        region.x - shift * sine / columns,
        region.y + shift * cosine / rows,
        long_side / columns * Float(growth.scale),
        long_side / rows * Float(growth.scale),
        region.angle,
    )


def angle_of(start: Points, end: Points, target: float, image: RGBLike) -> Float:
    """Return the angle by which a region must turn so that a line in it points as wanted.

    Args:
        start: First point (2,) of the line, relative to the picture.
        end: Its last point (2,).
        target: Wanted direction of the line, anticlockwise from the x axis in radians.
        image: The picture (H, W, 3).
    """
    x0, y0, x1, y1 = *(start[:2] * _size(image)), *(end[:2] * _size(image))
    return normalized(Float(target) - direction(x1 - x0, -(y1 - y0)))


def normalized(angle: Float) -> Float:
    """Return an angle in radians, brought to between -pi and pi."""
    return Float(float(angle) - 2 * math.pi * math.floor((float(angle) + math.pi) / (2 * math.pi)))


def direction(x: Float, y: Float) -> Float:
    """Return the angle in radians from the x axis to a vector, correctly rounded.

    NumPy's own functions for 32-bit floats, and some C libraries', differ from machine to machine in the last bit.
    """
    return Float(math.atan2(y, x))


def cosine_and_sine(angle: Float) -> tuple[Float, Float]:
    """Return both for an angle in radians, correctly rounded; see ``direction``."""
    return Float(math.cos(angle)), Float(math.sin(angle))


def letterbox(image: RGBLike) -> Region:
    """Return the smallest square around a whole picture."""
    rows, columns = image.shape[:2]
    side = max(rows, columns)
    return Region(Float(0.5), Float(0.5), Float(side / columns), Float(side / rows), Float(0))


def crop(image: RGBLike, region: Region, side: int, border: str = "replicate") -> RGB:
    """Cut a region out of a picture.

    Args:
        image: (H, W, 3).
        region: What to cut out.
        side: S.
        border: What is beyond the picture's edge: ``replicate`` its outermost pixels, or ``black``.

    Returns:
        (S, S, 3), interpolated linearly.
    """
    columns, rows = _size(image)
    source = cv2.boxPoints(
        (
            (float(region.x * columns), float(region.y * rows)),
            (float(region.width * columns), float(region.height * rows)),
            float(region.angle * Float(180)) / math.pi,
        )
    )
    target = np.array([[0, side], [0, 0], [side, 0], [side, side]], np.float32)
    limit = (image.shape[1], image.shape[0])
    left, top = (int(v) for v in np.clip(np.floor(source.min(axis=0)) - _AROUND, 0, np.subtract(limit, 1)))
    right, bottom = (int(v) for v in np.clip(np.ceil(source.max(axis=0)) + _AROUND, (left + 1, top + 1), limit))
    matrix = cv2.getPerspectiveTransform(source - np.array([left, top], np.float32), target)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    return np.asarray(cv2.warpPerspective(part, matrix, (side, side), borderMode=_CORNERS[border]), np.uint8)


def as_input(pixels: RGB, darkest: float = 0.0) -> NDArray[np.float32]:
    """Bring pixels into the range of a network.

    Args:
        pixels: (S, S, 3).
        darkest: What black becomes; white becomes 1.

    Returns:
        (1, S, S, 3).
    """
    return np.asarray(cv2.LUT(pixels, _ranges(darkest)), np.float32)[None]


@functools.cache
def _ranges(darkest: float) -> NDArray[np.float32]:
    """The value of each brightness, rounded once, as a processor's multiply-and-add does."""
    scale = float(Float((1 - darkest) / 255))
    return (np.arange(256) * scale + darkest).astype(np.float32)


def to_picture(points: Points, region: Region) -> Points:
    """Map points from a region to the picture.

    Args:
        points: (P, 2) or (P, 3), relative to the region: 0 to 1 from its left to its right and top to bottom edge.
        region: The region.

    Returns:
        The same points relative to the picture.
    """
    x, y = points[:, 0] - Float(0.5), points[:, 1] - Float(0.5)
    cosine, sine = cosine_and_sine(region.angle)
    columns = [
        (cosine * x - sine * y) * region.width + region.x,
        (sine * x + cosine * y) * region.height + region.y,
        *(points[:, k] * region.width for k in range(2, points.shape[1])),
    ]
    return np.stack(columns, axis=1)


def distinct(regions: Iterable[Region]) -> list[Region]:
    """Drop each region that overlaps a later one by more than half; rotation is ignored, as in MediaPipe."""
    kept: list[Region] = []
    for region in regions:
        kept = [other for other in kept if _overlap(region, other) <= _SAME]
        kept.append(region)
    return kept


def _overlap(one: Region, other: Region) -> float:
    """Intersection over union of the two rectangles without their rotation."""
    shared_width = min(one.x + one.width / 2, other.x + other.width / 2) - max(
        one.x - one.width / 2, other.x - other.width / 2
    )
    shared_height = min(one.y + one.height / 2, other.y + other.height / 2) - max(
        one.y - one.height / 2, other.y - other.height / 2
    )
    shared = max(float(shared_width), 0.0) * max(float(shared_height), 0.0)
    union = float(one.width * one.height) + float(other.width * other.height) - shared
    return shared / union if union > 0 else 0.0


def _size(image: RGBLike) -> NDArray[np.float32]:
    """Width and height of a picture."""
    return np.array([image.shape[1], image.shape[0]], np.float32)
