"""Augmentation shared by target, masked frame and reference, so that appearance can only come from the reference.

Shapes: S0 side of the stored crop, S side the model works at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatMap = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """One draw: a sampling map for the geometry, a colour matrix, offset and gamma for the light."""

    map_x: FloatMap
    map_y: FloatMap
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    gamma: float

    def geometry(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Warp (S0, S0, C) to (S, S, C)."""
        warped = cv2.remap(image, self.map_x, self.map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, np.uint8)

    def where(self, point: tuple[float, float]) -> tuple[float, float]:
        """The pixel (x, y) of the result that shows ``point`` (x, y) of the stored crop."""
        far = (self.map_x - point[0]) ** 2 + (self.map_y - point[1]) ** 2
        row, column = np.unravel_index(int(far.argmin()), far.shape)
        return float(column), float(row)

    def picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Warp and recolour an RGB crop (S0, S0, 3) to (S, S, 3)."""
        levels = np.linspace(0, 1, 256) ** self.gamma * 255
        light = cv2.LUT(self.geometry(image), levels.astype(np.float32))
        coloured = cv2.transform(light, np.column_stack([self.matrix, self.offset]))
        return np.clip(coloured, 0, 255).astype(np.uint8)


def identity(source: int, size: int) -> Augmentation:
    """No change but the resize from S0 to S."""
    grid = ((np.arange(size, dtype=np.float32) + 0.5) * (source / size)) - 0.5
    x, y = np.meshgrid(grid, grid)
    return Augmentation(x, y, np.eye(3), np.zeros(3), 1.0)


def draw(rng: np.random.Generator, source: int, size: int) -> Augmentation:
    """A random smooth change of pose, face shape and light. Flips half the time."""
    x, y = _geometry(rng, source, size)
    matrix, offset = _colour(rng)
    return Augmentation(x, y, matrix, offset, float(np.exp(rng.normal(0, 0.2))))


def _geometry(rng: np.random.Generator, source: int, size: int) -> tuple[FloatMap, FloatMap]:
    u, v = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2)
    angle, scale = np.radians(rng.normal(0, 3)), np.exp(rng.normal(0, 0.05))
    stretch = np.exp(rng.normal(0, 0.04))
    shift = rng.normal(0, 0.03, 2)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    a = (np.cos(angle) * u - np.sin(angle) * v) * scale * stretch * flip + shift[0]
    b = (np.sin(angle) * u + np.cos(angle) * v) * scale / stretch + shift[1]
    bend = cv2.resize(rng.normal(0, 0.025, (4, 4, 2)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    half = (source - 1) / 2
    return _map(a + bend[..., 0], half), _map(b + bend[..., 1], half)


def _map(unit: NDArray[np.floating[Any]], half: float) -> FloatMap:
    return ((unit + 1) * half).astype(np.float32)


def _colour(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    grey = np.full((3, 3), 1 / 3)
    saturation = np.exp(rng.normal(0, 0.3))
    matrix = grey + saturation * (np.eye(3) - grey) + rng.normal(0, 0.05, (3, 3))
    contrast = np.exp(rng.normal(0, 0.15))
    gain = np.exp(rng.normal(0, 0.1, 3)) * np.exp(rng.normal(0, 0.15))
    offset = rng.normal(0, 8, 3) + 110 * (1 - contrast)
    return gain[:, None] * matrix * contrast, offset
