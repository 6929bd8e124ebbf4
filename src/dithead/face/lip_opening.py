"""Numbers read off the lips. Landmark indices are FaceMesh's."""

from __future__ import annotations

import numpy as np

from dithead.types import FloatArray

OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LIP_INDICES = OUTER_LIPS + INNER_LIPS

_INNER_TOP, _INNER_BOTTOM = 13, 14
_LEFT_CORNER, _RIGHT_CORNER = 61, 291
_EYES = (33, 263)


def lip_aperture(landmarks: FloatArray) -> float:
    """Opening between the inner lips (landmarks 13 and 14) over the distance of the outer eye corners.

    ``landmarks`` is (478, 2) or (478, 3), in any unit. About 0.01 when closed and 0.3 when wide open.
    """
    return _ratio(landmarks, _INNER_TOP, _INNER_BOTTOM)


def lip_width(landmarks: FloatArray) -> float:
    """Distance of the mouth's corners over the distance of the outer eye corners; about 0.55 at rest."""
    return _ratio(landmarks, _LEFT_CORNER, _RIGHT_CORNER)


def _ratio(landmarks: FloatArray, first: int, second: int) -> float:
    points = np.asarray(landmarks, np.float64)[:, :2]
    eyes = float(np.linalg.norm(points[_EYES[0]] - points[_EYES[1]]))
    return float(np.linalg.norm(points[first] - points[second])) / max(eyes, 1e-9)
