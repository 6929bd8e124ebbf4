"""Measures the whites of the eyes: like teeth they are pale in everybody, so they tell of the light and its colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.masks import box_around
from dithead.face.mesh_indices import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, outline_aspect
from dithead.types import RGB, FloatArray

_OPEN = 0.11  # height over width of an eye from which on it is open (our choice)
_QUANTILE = 0.75  # of the brightness between the lids: lashes and the shade of the lid are darker (our choice)
_LEAST = 20  # pixels of both eyes (our choice)
_WIDER_IRIS = 1.1  # times the radius of an iris that is left out, because its edge is blurred (our choice)
_MARGIN = 2  # pixels around the eyes, so that their outline lies inside the part that is looked at
_BITS = 4  # of OpenCV's fixed point


def eye_is_open(outline: FloatArray) -> bool:
    """Return whether an eye with this outline (16, 2) is open."""
    return outline_aspect(outline) >= _OPEN


def eye_whites(picture: RGB, landmarks: FloatArray) -> NDArray[np.float32] | None:
    """Return the colour of the whites of the eyes (3,), 0 to 255; None where too little of them can be seen.

    Args:
        picture: (h, w, 3); eyes may lie partly beyond its edge.
        landmarks: (478, 2) in its pixels.
    """
    points = np.asarray(landmarks, np.float64)[:, :2]
    both = points[[*RIGHT_EYE, *LEFT_EYE]]
    left, top, right, bottom = box_around(np.concatenate([both - _MARGIN, both + _MARGIN]), picture.shape)
    part, points = picture[top:bottom, left:right], points - (left, top)
    seen = np.zeros(part.shape[:2], np.uint8)
    for eye in (RIGHT_EYE, LEFT_EYE):
        outline = points[list(eye)]
        if eye_is_open(outline):
            cv2.fillPoly(seen, _fixed(outline[None]), 1, shift=_BITS)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        centre, *edge = points[list(iris)]
        radius = _WIDER_IRIS * np.linalg.norm(edge - centre, axis=1).mean()
        x, y, r = _fixed(np.array([*centre, radius])).tolist()
        cv2.circle(seen, (x, y), r, 0, -1, shift=_BITS)
    whites = part[seen > 0].astype(np.float32)
    if len(whites) < _LEAST:
        return None
    brightness = whites.mean(axis=1)
    colour = np.maximum(whites[brightness >= np.median(brightness)].mean(axis=0), 1.0)
    return np.asarray(colour * (np.quantile(brightness, _QUANTILE) / colour.mean()), np.float32)


def _fixed(numbers: NDArray[np.float64]) -> NDArray[np.int32]:
    """Pixels in OpenCV's fixed point, so that they keep their fractions."""
    return np.round(numbers * 2**_BITS).astype(np.int32)
