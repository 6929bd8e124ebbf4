"""Every landmark index of MediaPipe FaceMesh that this project uses, and the distance between the eyes.

"Right" and "left" are the person's own: a frontal face has its right eye on the left of the picture. Outlines run
anticlockwise in the picture unless their comment says otherwise. Source of the numbering: MediaPipe's
``canonical_face_model`` and its ``FACEMESH_*`` connections. Letters: N frames.
"""

from __future__ import annotations

import numpy as np

from dithead.types import FloatArray

MESH_LANDMARKS = 468
"""Landmarks on the face itself."""
LANDMARKS = 478
"""Landmarks in all: the face's and five for each iris, which come last."""

RIGHT_EYE_OUTER, RIGHT_EYE_INNER = 33, 133  # eye corners
LEFT_EYE_INNER, LEFT_EYE_OUTER = 362, 263
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""Outline of the right eye from its outer corner along the lower lid."""
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""Outline of the left eye in the same order: clockwise in the picture."""
RIGHT_BROW, LEFT_BROW = (46, 53, 52, 65, 55), (276, 283, 282, 295, 285)
"""Lower edges of the eyebrows, from the temples to the nose."""
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)
"""Centre of an iris and four points on its edge."""
NOSE_BRIDGE = (168, 6, 197, 195)  # from between the eyes downwards
BETWEEN_EYES = NOSE_BRIDGE[0]
NOSE_TIP = 1
CHIN = 152  # lowest point of the jaw line

ALIGNMENT_POINTS = (RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER, *NOSE_BRIDGE)
"""Points that speech does not move: eye corners from right to left, then down the bridge of the nose."""

MOUTH_RIGHT, MOUTH_LEFT = 61, 291  # mouth corners, on the outer outline of the lips
MOUTH_CORNERS = (MOUTH_RIGHT, MOUTH_LEFT)
INNER_LIP_TOP, INNER_LIP_BOTTOM = 13, 14  # middle of the inner edges of the lips
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Outer outline of the lips: the right corner, the lower lip, the left corner, the upper lip."""
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
"""Inner outline of the lips, in the same order."""
LIP_INDICES = OUTER_LIPS + INNER_LIPS
LOWER_LIP = OUTER_LIPS[:11] + INNER_LIPS[10::-1]
"""Closed outline of the lower lip alone."""

JAW = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
"""Jaw line from the left ear through the chin to the right ear: clockwise in the picture."""
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
    150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the whole face from the middle of the forehead: clockwise in the picture."""
CHEEKS = (50, 280, 205, 425, 195, 117, 346, 4)
"""Points on the cheeks and the tip of the nose, where skin is bare: a person's skin colour is measured there."""
UPPER_CHEEKS = (116, 117, 118, 119, 100, 126, 198, 4, 420, 355, 329, 348, 347, 346, 345)
"""Line across the face just below the lower eyelids, from right to left, dipping over the nose at half its length."""


def eye_distance(landmarks: FloatArray) -> float:
    """Return the distance between the outer eye corners of one face: the unit of most measures of a face.

    Args:
        landmarks: (478, 2) or (478, 3) in any unit; with depth, the distance is measured in three dimensions.

    Returns:
        The distance in the unit of ``landmarks``.
    """
    return float(np.linalg.norm(landmarks[RIGHT_EYE_OUTER] - landmarks[LEFT_EYE_OUTER]))


def eye_distances(landmarks: FloatArray) -> FloatArray:
    """Return ``eye_distance`` (N,) for each of N faces (N, 478, 2 or 3)."""
    return np.asarray(np.linalg.norm(landmarks[:, RIGHT_EYE_OUTER] - landmarks[:, LEFT_EYE_OUTER], axis=-1))


def outline_aspect(outline: FloatArray) -> float:
    """Return height over width of an eye or of inner lips.

    Args:
        outline: (K, 2) from one corner all around, with the other corner half-way, as ``INNER_LIPS`` and ``LEFT_EYE``.
    """
    corner, below, other, above = outline[:: len(outline) // 4]
    return float(np.linalg.norm(below - above) / max(float(np.linalg.norm(corner - other)), 1e-6))
