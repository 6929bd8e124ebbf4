"""Measures how far a mouth is open and how wide it is, from landmarks, in units of the distance between the eyes.

The lip opening is the one measure of an open mouth in this project: about 0.01 when the lips are closed
and 0.3 when the mouth is wide open. Letters: N frames.
"""

from __future__ import annotations

import numpy as np

from dithead.face.mesh_indices import (
    INNER_LIP_BOTTOM,
    INNER_LIP_TOP,
    LEFT_EYE_OUTER,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    RIGHT_EYE_OUTER,
)
from dithead.types import FloatArray


def lip_opening(landmarks: FloatArray) -> float:
    """Return the lip opening of one face: the gap between the inner lips over the distance of the outer eye corners.

    Args:
        landmarks: (478, 2) or (478, 3), in any unit; depth is ignored.
    """
    return _ratio(landmarks, INNER_LIP_TOP, INNER_LIP_BOTTOM)


def lip_width(landmarks: FloatArray) -> float:
    """Return the distance of the mouth corners over the distance of the outer eye corners; about 0.55 at rest."""
    return _ratio(landmarks, MOUTH_RIGHT, MOUTH_LEFT)


def inner_lip_gaps(landmarks: FloatArray) -> FloatArray:
    """Return the gap between the inner lips (N,) of N faces (N, 478, 2), in the unit of the landmarks."""
    return np.asarray(np.linalg.norm(landmarks[:, INNER_LIP_TOP] - landmarks[:, INNER_LIP_BOTTOM], axis=-1))


def _ratio(landmarks: FloatArray, first: int, second: int) -> float:
    """Distance of two landmarks over that of the outer eye corners, in two dimensions."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    eyes = float(np.linalg.norm(points[RIGHT_EYE_OUTER] - points[LEFT_EYE_OUTER]))
    return float(np.linalg.norm(points[first] - points[second])) / max(eyes, 1e-9)
