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
_COARSEST = 8  # pixels at most between the places at which the spline is evaluated, see ``warp_to`` (docs/log)
_PLACES = 48  # such places along a side of a square part, beyond which they lie further apart (docs/log)
_AROUND = 4  # places beyond each side of the part, which Lanczos's interpolation looks at


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
        bends, slope = self._weights[:-3].astype(np.float32), self._weights[-3:]
        moved = _kernel(scaled, self._points) @ bends + _affine(scaled) @ slope
        return np.asarray(moved * self._unit, np.float64)


def warp_to(
    points: FloatArray, origins: FloatArray, box: tuple[int, int, int, int], unit: float
) -> NDArray[np.float32]:
    """Return the map for ``cv2.remap`` that shows each of ``origins`` at its one of ``points``.

    The spline is evaluated every few pixels; in between it is smooth enough to be interpolated.

    Args:
        points: (K, 2) x and y in the new picture, no two alike.
        origins: (K, 2) where the same points lie in the old one.
        box: Left, top, right and bottom of the part of the new picture, in pixels.
        unit: Length that counts as 1, such as the distance of the eyes.

    Returns:
        (h, w, 2): for each pixel of the part, its x and y in the old picture.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    step = int(np.clip((width * height) ** 0.5 / _PLACES, 1, _COARSEST))
    columns, rows = (np.arange(-_AROUND, -(-side // step) + _AROUND) for side in (width, height))
    middle = (step - 1) / 2  # of the pixels that share a place
    coarse = np.stack(np.meshgrid(left + middle + columns * step, top + middle + rows * step), axis=-1)
    spline = ThinPlate(points, np.asarray(origins, np.float64) - points, unit)
    shift = spline.at(coarse.reshape(-1, 2)).reshape(coarse.shape).astype(np.float32)
    fine = cv2.resize(shift, (step * len(columns), step * len(rows)), interpolation=cv2.INTER_LANCZOS4)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    first = _AROUND * step
    return np.asarray(np.dstack([x, y]) + fine[first : first + height, first : first + width], np.float32)


def _kernel(places: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Squared distance times its logarithm, (M, K).

    Distances come from one product of matrices in float32: a tenth of the time, and exact to hundredths of a pixel.
    """
    left = np.column_stack([places, (places**2).sum(axis=1), np.ones(len(places))])
    right = np.column_stack([-2 * points, np.ones(len(points)), (points**2).sum(axis=1)])
    squared = np.maximum(left.astype(np.float32) @ right.T.astype(np.float32), np.float32(1e-12))
    return np.asarray(squared * cv2.log(squared), np.float32)


def _affine(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """1, x and y of places, (M, 3)."""
    return np.concatenate([np.ones((len(places), 1)), places], axis=1)
