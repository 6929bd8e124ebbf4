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
EYES = 66.0
"""Grid pixels between the outer corners of the eyes, about."""
FACE_WIDTH = 1.5
"""Width of a face over the distance between its outer eye corners, about."""
CROP_SIDE = 160
"""Side, in grid pixels, of the aligned crop that the grid is a part of. Our choice."""
_LEFT, _TOP = 24.5, 72  # of the grid in that crop: the lower face, whose middle column lies on the middle of the nose
_REDUCED_BELOW = 0.75  # grid pixels per frame pixel from which the frame is reduced by averaging first
_OVERSAMPLED = 1.5  # frame pixels per grid pixel that are left then
_COARSE, _FINEST, _NEAR = 2.5, 1.3, 3.0  # sigmas, in grid pixels, of detail, of texture, and of a neighbourhood

_RELATIVE = 1.2  # strength of the mark over that of the texture beyond what counts as flat
_FLAT, _STRONGEST = 0.3, 2.5  # 8-bit levels of texture up to which there is no mark, and of the strongest mark


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
    return np.asarray(fine, np.float32), np.sqrt(nearby(fine * fine))


def texture(grid: Grid) -> Grid:
    """Return the local strength of the finest detail, in the unit of the grid: what a mark can hide in.

    A single strong edge, beside which a mark would be seen, counts little: the mean is that of square roots.
    """
    fine = grid - cv2.GaussianBlur(grid, (0, 0), _FINEST, borderType=cv2.BORDER_REFLECT)
    return np.asarray(nearby(np.sqrt(np.abs(fine))) ** 2, np.float32)


def nearby(grid: Grid) -> Grid:
    """Return the mean of the neighbourhood of each point."""
    return np.asarray(cv2.GaussianBlur(grid, (0, 0), _NEAR, borderType=cv2.BORDER_REFLECT), np.float32)


def hidden_by(local: Grid) -> Grid:
    """Return how strong a mark a local strength of texture or detail hides, both in 8-bit levels, at each point."""
    return np.clip(_RELATIVE * (local - _FLAT), 0, _STRONGEST)


def covered_box(
    to_grid: Similarity, shape: tuple[int, ...], part: tuple[int, int, int, int] = (0, 0, HEIGHT, WIDTH)
) -> tuple[int, int, int, int]:
    """Return the box of the frame that a part of the grid covers; it has at least one pixel.

    Args:
        to_grid: (2, 3) from frame pixels to the grid.
        shape: Of the frame.
        part: (top, left, bottom, right) in the grid; by default all of it.

    Returns:
        (top, left, bottom, right) in the frame.
    """
    y0, x0, y1, x1 = part
    corners = transform_points(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]), invert(to_grid))
    low, high = np.floor(corners.min(axis=0)) - 2, np.ceil(corners.max(axis=0)) + 3
    left, right = np.clip((low[0], high[0]), 0, shape[1]).astype(int)
    top, bottom = np.clip((low[1], high[1]), 0, shape[0]).astype(int)
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
    rows, columns = np.flatnonzero(change.any(axis=1)), np.flatnonzero(change.any(axis=0))
    if not len(rows):
        return
    changed = int(rows[0]) - 1, int(columns[0]) - 1, int(rows[-1]) + 2, int(columns[-1]) + 2
    top, left, bottom, right = covered_box(to_grid, luma.shape, changed)
    back = invert(to_grid)
    back[:, 2] -= (left, top)
    moved = _moved(change, back, bottom - top, right - left)
    region = luma[top:bottom, left:right]
    region[:] = np.minimum(cv2.add(region, moved, dtype=cv2.CV_8U if luma.itemsize == 1 else cv2.CV_16U), most)


def _moved(change: Grid, back: Similarity, height: int, width: int) -> NDArray[np.float32]:
    """A change (h, w) of the grid moved to a part of the frame: turned where it is small, then enlarged.

    Args:
        change: (h, w).
        back: (2, 3) from the grid to the part.
        height: Rows of the part.
        width: Columns of the part.
    """
    factor = min(1.0, _OVERSAMPLED / transform_scale(back))
    small = max(1, round(width * factor)), max(1, round(height * factor))
    ratio = np.array(small) / (width, height)
    shrunk = np.column_stack([back[:, :2] * ratio[:, None], (back[:, 2] + 0.5) * ratio - 0.5])
    turned = cv2.warpAffine(change, shrunk, small, flags=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(turned, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _reduced(part: NDArray[Any], local: Similarity, factor: float) -> tuple[NDArray[Any], Similarity]:
    """A picture reduced by about ``factor`` by averaging, and the transform from its pixels."""
    height, width = (max(1, round(side * factor)) for side in part.shape)
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    ratio = np.array([part.shape[1] / width, part.shape[0] / height])
    linear = local[:, :2] * ratio
    return small, np.column_stack([linear, local[:, 2] + local[:, :2] @ (ratio / 2 - 0.5)])
