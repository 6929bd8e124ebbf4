"""Warps pictures smoothly so that given points land on given places, by thin-plate splines.

Letters: K points, M places, h, w a picture's size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.types import FloatArray

_STIFFNESS = 1e-3
"""How much smoothness counts against landing exactly, for points about 1 apart (our choice)."""
_STEP = 6  # pixels between the places at which the spline is evaluated; in between it is smooth enough for lines


class ThinPlate:
    """The smoothest map of the plane that takes K points to K others (Bookstein 1989), in units of ``unit``."""

    def __init__(self, points: FloatArray, values: FloatArray, unit: float) -> None:
        """Fit the spline.

        Args:
            points: (K, 2), no two alike.
            values: (K, 2) how far each is moved, in the unit of the points.
            unit: Length that counts as 1.
        """
        self._points, self._unit, count = np.asarray(points, np.float64) / unit, unit, len(points)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _kernel(self._points, self._points) + _STIFFNESS * np.eye(count)
        system[:count, count:] = _affine(self._points)
        system[count:, :count] = system[:count, count:].T
        wanted = np.concatenate([np.asarray(values, np.float64) / unit, np.zeros((3, 2))])
        self._weights = np.linalg.solve(system, wanted)

    def at(self, places: FloatArray) -> NDArray[np.float64]:
        """Return how far ``places`` (M, 2) are moved (M, 2)."""
        scaled = np.asarray(places, np.float64) / self._unit
        basis = np.concatenate([_kernel(scaled, self._points), _affine(scaled)], axis=1)
        return np.asarray(basis @ self._weights * self._unit)


def warp_to(
    points: FloatArray, origins: FloatArray, box: tuple[int, int, int, int], unit: float
) -> NDArray[np.float32]:
    """Return the map for ``cv2.remap`` that shows each of ``origins`` at its one of ``points``.

    Args:
        points: (K, 2) x and y in the new picture, no two alike.
        origins: (K, 2) where the same points lie in the old one.
        box: Left, top, right and bottom of the part of the new picture, in pixels.
        unit: Length that counts as 1, such as the distance of the eyes.

    Returns:
        (h, w, 2): for each pixel of the part, its x and y in the old picture.
    """
    left, top, right, bottom = box
    columns, rows = (np.arange(a, b + _STEP, _STEP) for a, b in ((left, right), (top, bottom)))
    coarse = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)
    spline = ThinPlate(points, np.asarray(origins, np.float64) - points, unit)
    shift = spline.at(coarse).reshape(len(rows), len(columns), 2).astype(np.float32)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    fine = cv2.remap(shift, (x - left) / _STEP, (y - top) / _STEP, cv2.INTER_LINEAR)
    return np.asarray(np.dstack([x, y]) + fine, np.float32)


def _kernel(places: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distance times its logarithm, (M, K)."""
    squared = ((places[:, None] - points[None]) ** 2).sum(axis=-1)
    return np.asarray(squared * np.log(np.maximum(squared, 1e-12)))


def _affine(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """1, x and y of places, (M, 3)."""
    return np.concatenate([np.ones((len(places), 1)), places], axis=1)
