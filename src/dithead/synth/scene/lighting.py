"""How open each vertex is to the sky and to the lamps: directions to look in, and what to make of the answers."""

from __future__ import annotations

import numpy as np

from dithead.synth.types import Floats


def fibonacci(count: int) -> Floats:
    """``count`` directions spread evenly over the sphere (count, 3)."""
    i = np.arange(count) + 0.5
    y, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], axis=1).astype(np.float32)


def cone(direction: tuple[float, float, float], spread: float, count: int) -> Floats:
    """``count`` unit directions within ``spread`` radians of ``direction`` (count, 3)."""
    d = np.array(direction)
    side = np.cross(d, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(side, d)
    i = np.arange(count) + 0.5
    r, turn = spread * np.sqrt(i / count), np.pi * (1 + 5**0.5) * i
    points = d + np.outer(r * np.cos(turn), side) + np.outer(r * np.sin(turn), up)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def ambience(seen: Floats, normal: Floats, sky: Floats) -> Floats:
    """Cosine-weighted share of the sky each vertex sees (V,), from its visibility (V, D) towards ``sky`` (D, 3)."""
    cosine = np.maximum(normal @ sky.T, 0)
    return np.asarray((cosine * seen).sum(axis=1) / np.maximum(cosine.sum(axis=1), 1e-6), np.float32)


def shadow(seen: Floats, normal: Floats, direction: tuple[float, float, float]) -> Floats:
    """Mean visibility, ignored near and past the terminator where shading alone must fade."""
    facing = np.clip((normal @ np.array(direction, np.float32) + 0.02) / 0.25, 0, 1)
    return np.asarray(1 - facing * (1 - seen.mean(axis=1)), np.float32)
