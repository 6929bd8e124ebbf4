"""Sample the lower face on a grid that moves with it, and bring what was computed there back into the frame.

The grid is fixed to the eyes and the bridge of the nose, so resizing, cropping, rotating or moving the picture does not
change what it shows. Letters: H, W frame; h, w grid.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points, transform_scale
from dithead.types import Similarity

Grid = NDArray[np.float32]  # (h, w)

HEIGHT, WIDTH = 80, 112
"""Rows and columns of the grid; even, as the cosine transform needs. Our choice."""
CROP_SIDE = 160
"""Side, in grid pixels, of the aligned crop that the grid is a part of. Our choice."""
_LEFT, _TOP = 24, 72  # of the grid in that crop: the lower face, symmetric about the nose
_REDUCED_BELOW = 0.75  # grid pixels per frame pixel from which the frame is reduced by averaging first
_OVERSAMPLED = 1.5  # frame pixels per grid pixel that are left then
_COARSE, _NEAR = 2.5, 3.0  # sigmas, in grid pixels, of what counts as coarse, and of the neighbourhood


def grid_transform(transform: Similarity, size: int) -> Similarity:
    """Return the transform (2, 3) from frame pixels to the grid, from that to an aligned crop of side ``size``."""
    scaled = transform * (CROP_SIDE / size)
    scaled[:, 2] -= (_LEFT, _TOP)
    return np.asarray(scaled, np.float64)


def sample(luma: NDArray[Any], to_grid: Similarity) -> Grid:
    """Return what the grid shows of a picture.

    Args:
        luma: (H, W) of any number type.
        to_grid: (2, 3) from frame pixels to the grid.

    Returns:
        (h, w) in the picture's unit. Outside the picture its border is repeated.
    """
    top, left, bottom, right = covered_box(to_grid, luma.shape)
    part, local = luma[top:bottom, left:right], to_grid.copy()
    local[:, 2] += to_grid[:, :2] @ (left, top)
    scale = transform_scale(to_grid)
    if scale < _REDUCED_BELOW and min(part.shape) > 1:
        part, local = _reduced(part, local, min(1.0, _OVERSAMPLED * scale))
    shown = cv2.warpAffine(part, local, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shown, np.float32)


def detail(grid: Grid) -> tuple[Grid, Grid]:
    """Split what the grid shows into its detail, without coarse shading, and the local strength of that detail."""
    fine = grid - cv2.GaussianBlur(grid, (0, 0), _COARSE, borderType=cv2.BORDER_REFLECT)
    power = cv2.GaussianBlur(fine * fine, (0, 0), _NEAR, borderType=cv2.BORDER_REFLECT)
    return np.asarray(fine, np.float32), np.asarray(np.sqrt(power), np.float32)


def covered_box(to_grid: Similarity, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the box (top, left, bottom, right) of the frame that the grid covers; it has at least one pixel."""
    corners = transform_points(np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]]), invert(to_grid))
    (x0, y0), (x1, y1) = np.floor(corners.min(axis=0)) - 2, np.ceil(corners.max(axis=0)) + 3
    left, right = np.clip((x0, x1), 0, shape[1]).astype(int)
    top, bottom = np.clip((y0, y1), 0, shape[0]).astype(int)
    left, top = min(left, shape[1] - 1), min(top, shape[0] - 1)
    return int(top), int(left), max(int(bottom), int(top) + 1), max(int(right), int(left) + 1)


def add_to_frame(luma: NDArray[Any], change: Grid, to_grid: Similarity, most: int) -> None:
    """Add a change to a picture in place; pixels that it moves by less than half a level keep their bits.

    Args:
        luma: (H, W) of whole numbers.
        change: (h, w) in the picture's unit.
        to_grid: (2, 3) from frame pixels to the grid.
        most: Largest value of a pixel.
    """
    top, left, bottom, right = covered_box(to_grid, luma.shape)
    back = invert(to_grid)
    back[:, 2] -= (left, top)
    moved = cv2.warpAffine(change, back, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    region = luma[top:bottom, left:right]
    region[:] = np.clip(np.rint(region + moved), 0, most).astype(luma.dtype)


def _reduced(part: NDArray[Any], local: Similarity, factor: float) -> tuple[NDArray[Any], Similarity]:
    """A picture reduced by about ``factor`` by averaging, and the transform from its pixels."""
    height, width = (max(1, round(side * factor)) for side in part.shape)
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    ratio = np.array([part.shape[1] / width, part.shape[0] / height])
    linear = local[:, :2] * ratio
    return small, np.column_stack([linear, local[:, 2] + local[:, :2] @ (ratio / 2 - 0.5)])
