"""Directions in which to measure how open each vertex is to sky and lamps, and the light that follows from it.

Letters: V vertices, D directions.
"""

from __future__ import annotations

import numpy as np

from dithead.synth.types import Floats


def sphere_directions(count: int) -> Floats:
    """Return ``count`` unit directions spread evenly over the sphere, a Fibonacci lattice: (count, 3)."""
    i = np.arange(count) + 0.5
    y, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], axis=1).astype(np.float32)


def cone_directions(direction: tuple[float, float, float], spread: float, count: int) -> Floats:
    """Return ``count`` unit directions within ``spread`` radians of ``direction``, spread evenly: (count, 3)."""
    axis = np.array(direction)
    side = np.cross(axis, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(side, axis)
    i = np.arange(count) + 0.5
    r, turn = spread * np.sqrt(i / count), np.pi * (1 + 5**0.5) * i
    points = axis + np.outer(r * np.cos(turn), side) + np.outer(r * np.sin(turn), up)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def ambient_visibility(visible: Floats, normal: Floats, sky: Floats) -> Floats:
    """Compute the cosine-weighted share of the sky that each vertex sees.

    Args:
        visible: How far each vertex is open towards each direction (V, D), 0 to 1.
        normal: Unit normals (V, 3).
        sky: Unit directions (D, 3).

    Returns:
        Shares (V,), 0 to 1.
    """
    cosine = np.maximum(normal @ sky.T, 0)
    return np.asarray((cosine * visible).sum(axis=1) / np.maximum(cosine.sum(axis=1), 1e-6), np.float32)


def shadow_visibility(visible: Floats, normal: Floats, direction: tuple[float, float, float]) -> Floats:
    """Compute how far each vertex is lit by a soft lamp.

    Near the terminator and behind it the result fades to 1, because there the shading alone must darken the surface.

    Args:
        visible: How far each vertex is open towards points of the lamp (V, D), 0 to 1.
        normal: Unit normals (V, 3).
        direction: Unit direction towards the lamp.

    Returns:
        Mean visibility (V,), 0 to 1.
    """
    facing = np.clip((normal @ np.array(direction, np.float32) + 0.02) / 0.25, 0, 1)
    return np.asarray(1 - facing * (1 - visible.mean(axis=1)), np.float32)
