"""Turns a picture's coordinates so that the eyes are level: x runs along them, y downwards. K points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.face.mesh_indices import LEFT_EYE_OUTER, RIGHT_EYE_OUTER


class LevelTurn(NamedTuple):
    """The turn that makes the eyes of one face level."""

    axes: NDArray[np.float64]  # (2, 2) from pixels to level coordinates, as a product from the right
    unit: float  # pixels between the outer eye corners

    @classmethod
    def of(cls, landmarks: NDArray[np.float64]) -> LevelTurn:
        """Find the turn of a face with these landmarks (478, 2)."""
        eyes = landmarks[LEFT_EYE_OUTER] - landmarks[RIGHT_EYE_OUTER]
        unit = float(np.linalg.norm(eyes))
        c, s = eyes / max(unit, 1e-9)
        return cls(np.array([[c, -s], [s, c]]), unit)

    def turned(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (..., 2) in level coordinates."""
        return np.asarray(points @ self.axes)

    def back(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (..., 2) of level coordinates in pixels."""
        return np.asarray(points @ self.axes.T)


def height_at(x: NDArray[np.float64], chain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the y at each ``x`` of the line through a ``chain`` of points (K, 2); beyond its ends, that of the end."""
    chain = chain[np.argsort(chain[:, 0], kind="stable")]
    return np.interp(x, chain[:, 0], chain[:, 1])
