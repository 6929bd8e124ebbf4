"""Augments target, masked frame and reference alike, so that appearance must come from the reference.

Letters: S0 side of the stored crop, S side that the model works at, C channels. All strengths are our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatMap = NDArray[np.float32]


@dataclass(frozen=True)
class PictureAugmentation:
    """One random change: a sampling map for the geometry, a colour matrix, offset and gamma for the light."""

    map_x: FloatMap  # (S, S) column of the crop that each pixel shows
    map_y: FloatMap  # (S, S) row
    matrix: NDArray[np.float64]  # (3, 3) on RGB
    offset: NDArray[np.float64]  # (3,) grey levels
    gamma: float

    def warp(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Warp (S0, S0, C) to (S, S, C)."""
        warped = cv2.remap(image, self.map_x, self.map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, np.uint8)

    def map_point(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return the pixel (x, y) of the result that shows ``point`` (x, y) of the stored crop."""
        squared = (self.map_x - point[0]) ** 2 + (self.map_y - point[1]) ** 2
        row, column = np.unravel_index(int(squared.argmin()), squared.shape)
        return float(column), float(row)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Warp and recolour an RGB crop (S0, S0, 3) to (S, S, 3)."""
        levels = np.linspace(0, 1, 256) ** self.gamma * 255
        light = cv2.LUT(self.warp(image), levels.astype(np.float32))
        coloured = cv2.transform(light, np.column_stack([self.matrix, self.offset]))
        return np.clip(coloured, 0, 255).astype(np.uint8)


def no_augmentation(source: int, size: int) -> PictureAugmentation:
    """Make the augmentation that only resizes from ``source`` (S0) to ``size`` (S) pixels."""
    grid = ((np.arange(size, dtype=np.float32) + 0.5) * (source / size)) - 0.5
    x, y = np.meshgrid(grid, grid)
    return PictureAugmentation(x, y, np.eye(3), np.zeros(3), 1.0)


def draw_augmentation(rng: np.random.Generator, source: int, size: int) -> PictureAugmentation:
    """Draw a random smooth change of pose, face shape and light, flipped half of the time.

    Args:
        rng: Decides the change.
        source: Side S0 of the stored crop.
        size: Side S of the result.
    """
    x, y = _random_geometry(rng, source, size)
    matrix, offset = _random_colour(rng)
    return PictureAugmentation(x, y, matrix, offset, float(np.exp(rng.normal(0, 0.2))))


def _random_geometry(rng: np.random.Generator, source: int, size: int) -> tuple[FloatMap, FloatMap]:
    """Draw the columns and rows (S, S) to sample: a similarity with some stretch, a flip, and a smooth bend."""
    u, v = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2)
    angle, scale = np.radians(rng.normal(0, 3)), np.exp(rng.normal(0, 0.05))
    stretch = np.exp(rng.normal(0, 0.04))
    shift = rng.normal(0, 0.03, 2)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    a = (np.cos(angle) * u - np.sin(angle) * v) * scale * stretch * flip + shift[0]
    b = (np.sin(angle) * u + np.cos(angle) * v) * scale / stretch + shift[1]
    bend = cv2.resize(rng.normal(0, 0.025, (4, 4, 2)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    half = (source - 1) / 2
    return _to_pixels(a + bend[..., 0], half), _to_pixels(b + bend[..., 1], half)


def _to_pixels(unit: NDArray[np.floating[Any]], half: float) -> FloatMap:
    """Turn coordinates from -1 to 1 into pixels of the stored crop."""
    return ((unit + 1) * half).astype(np.float32)


def _random_colour(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw a colour matrix (3, 3) and offset (3,): saturation, colour cast, contrast and brightness."""
    grey = np.full((3, 3), 1 / 3)
    saturation = np.exp(rng.normal(0, 0.3))
    matrix = grey + saturation * (np.eye(3) - grey) + rng.normal(0, 0.05, (3, 3))
    contrast = np.exp(rng.normal(0, 0.15))
    gain = np.exp(rng.normal(0, 0.1, 3)) * np.exp(rng.normal(0, 0.15))
    offset = rng.normal(0, 8, 3) + 110 * (1 - contrast)
    return gain[:, None] * matrix * contrast, offset
