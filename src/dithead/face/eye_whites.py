"""Measures how bright the whites of the eyes are: like teeth they are pale in everybody, so they tell of the light."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.mesh_indices import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from dithead.types import RGB, FloatArray

_QUANTILE = 0.75  # of the brightness between the lids: lashes and the shade of the lid are darker (our choice)
_OPEN = 0.12  # height over width of an eye from which on it is open (our choice)
_LEAST = 20  # pixels of both eyes (our choice)
_WIDER_IRIS = 1.1  # times the radius of an iris that is left out, because its edge is blurred (our choice)
_STEPS = 4  # bits of fractions of a pixel


def eye_whites(picture: RGB, landmarks: FloatArray) -> float | None:
    """Return how bright the whites of the eyes are, 0 to 255; None where too little of them can be seen.

    Args:
        picture: (h, w, 3); eyes may lie partly beyond its edge.
        landmarks: (478, 2) in its pixels.
    """
    seen = np.zeros(picture.shape[:2], np.uint8)
    points = np.asarray(landmarks, np.float64)[:, :2]
    for eye in (RIGHT_EYE, LEFT_EYE):
        outline = points[list(eye)]
        if _aspect(outline) >= _OPEN:
            cv2.fillPoly(seen, _fixed(outline[None]), 1, shift=_STEPS)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        centre, *edge = points[list(iris)]
        radius = _WIDER_IRIS * float(np.linalg.norm(np.array(edge) - centre, axis=1).mean())
        x, y = _fixed(centre)
        cv2.circle(seen, (int(x), int(y)), int(_fixed(np.float64(radius))), 0, -1, shift=_STEPS)
    whites = picture[seen > 0].astype(np.float32).mean(axis=1)
    return float(np.quantile(whites, _QUANTILE)) if len(whites) >= _LEAST else None


def _aspect(outline: NDArray[np.float64]) -> float:
    """Height over width of an eye, from its outline (n, 2), whose first corner is the outer one."""
    across = outline[len(outline) // 2] - outline[0]
    width = max(float(np.linalg.norm(across)), 1e-6)
    return float(np.ptp((outline - outline[0]) @ (-across[1], across[0]))) / width**2


def _fixed(points: NDArray[np.float64] | np.float64) -> Any:
    """Points as integers with fractions of a pixel, as OpenCV takes them."""
    return np.round(np.asarray(points) * 2**_STEPS).astype(np.int32)
