"""Tileable random textures: smooth noise, and sums of its octaves."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.synth.types import RNG, Floats


def smooth_noise(rng: RNG, size: int, cells: int) -> Floats:
    """Draw tileable smooth noise (size, size) of zero mean and unit variance with ``cells`` periods a side."""
    grid = rng.normal(size=(cells, cells)).astype(np.float32)
    wide = np.pad(grid, 2, mode="wrap")
    scaled = cv2.resize(wide, None, fx=size / cells, fy=size / cells, interpolation=cv2.INTER_CUBIC)
    edge = int(2 * size / cells)
    tile = scaled[edge : edge + size, edge : edge + size]
    return np.asarray((tile - tile.mean()) / tile.std(), np.float32)


def fractal_noise(rng: RNG, size: int, cells: int, octaves: int = 4) -> Floats:
    """Draw a sum of octaves of `smooth_noise`, each half as strong as the one before.

    Args:
        rng: source of randomness.
        size: side of the texture in pixels.
        cells: periods of the first octave; each further one has twice as many.
        octaves: how many.

    Returns:
        (size, size) of zero mean and unit variance, tileable.
    """
    total = sum(smooth_noise(rng, size, min(cells << o, size)) * 0.5**o for o in range(octaves))
    return np.asarray(total / np.std(total), np.float32)
