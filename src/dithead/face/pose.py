"""Measures where a head points, from its landmarks: turn to the side, and direction of the nose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dithead.face.mesh_indices import LEFT_EYE_OUTER, NOSE_TIP, RIGHT_EYE_OUTER, eye_distance
from dithead.types import FloatArray


def head_turn(landmarks: FloatArray) -> float:
    """Return the sine of the yaw of a head: 0 is frontal, 1 or -1 full profile.

    Args:
        landmarks: (478, 3) with depth in the unit of x and y, as ``FaceLandmarker`` gives them; the outer eye corners
            decide. Positive where the person's left eye is the farther one.
    """
    axis = landmarks[LEFT_EYE_OUTER] - landmarks[RIGHT_EYE_OUTER]
    return float(axis[2] / max(float(np.linalg.norm(axis)), 1e-6))


def nose_direction(landmarks: FloatArray) -> NDArray[np.float64]:
    """Return where the tip of the nose lies from the middle of the eyes, for landmarks without depth.

    Args:
        landmarks: (478, 2) in any unit.

    Returns:
        (2,) in eye distances, along the line of the eyes (0 is frontal) and at right angles to it, downwards.
    """
    right, left = landmarks[RIGHT_EYE_OUTER], landmarks[LEFT_EYE_OUTER]
    width = eye_distance(landmarks)
    nose = landmarks[NOSE_TIP] - (right + left) / 2
    along = (left - right) / width
    return np.array([nose @ along, nose @ (-along[1], along[0])]) / width
