"""Which part of the crop is to be generated: polygons from landmarks, and masks from polygons.

``stable_polygon`` is the default: one polygon for a whole shot, so that its edge says nothing about the jaw
of a single frame. ``frame_polygon`` is the paper's and leaks the mouth's shape; ``box_polygon`` is for the
ablation. Letters: S crop side, N frames, K corners of the polygon.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.mesh_indices import JAW, MOUTH_CORNERS, UPPER_CHEEKS
from dithead.types import FloatArray, Mask

WIDEN = 0.06  # outwards at the jaw, as a fraction of S
WIDEN_CHIN = 0.10  # below the chin, as a fraction of S
WIDEN_OWN, WIDEN_OWN_CHIN = -0.08, 0.09  # the same from one frame's own jaw: beyond it the source stays
_EDGE = 0.01  # the polygon keeps this far from the crop's border


def stable_polygon(crop_landmarks: FloatArray, size: int) -> NDArray[np.float32]:
    """The lower face (K, 2) of a shot in crop pixels: the polygon of its median landmarks, widened.

    ``crop_landmarks`` is (N, 478, 2) in crop pixels; frames that are not finite are left out.
    Raises FaceError when none is left.
    """
    points = np.asarray(crop_landmarks, np.float64)[..., :2]
    points = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(points):
        raise FaceError("no frame with landmarks to build a mask from")
    return _lower_face(np.median(points, axis=0), size, WIDEN, WIDEN_CHIN)


def frame_polygon(landmarks: FloatArray, size: int) -> NDArray[np.float32]:
    """The lower face (K, 2) of one frame's crop landmarks (478, 2), hardly widened: the paper's mask."""
    return _lower_face(np.asarray(landmarks, np.float64)[:, :2], size, 0.01, 0.01)


def jaw_line(landmarks: FloatArray) -> NDArray[np.float32]:
    """The jaw (21, 2) of one frame's crop landmarks (478, 2), from ear to ear through the chin."""
    return np.asarray(landmarks, np.float32)[list(JAW), :2]


def jaw_mask(jaw: FloatArray, size: int) -> Mask:
    """(S, S): 1 within a frame's own face, as far as speech can move it, softly 0 beyond: hair, ears, background.

    ``jaw`` (21, 2) is its ``jaw_line``. Cheeks hardly widen with speech, but a chin may drop by a tenth of the crop.
    """
    line = np.asarray(jaw, np.float64)
    mouth = np.array([line[:, 0].mean(), 0.6 * line[:, 1].max() + 0.4 * line[[0, -1], 1].mean()])
    wide = _from(mouth, line, size, WIDEN_OWN, WIDEN_OWN_CHIN)
    return np.asarray(cv2.GaussianBlur(polygon_mask(wide, size), (0, 0), 0.02 * size), np.float32)


def box_polygon(size: int) -> NDArray[np.float32]:
    """A constant rectangle (4, 2) over the lower face."""
    x0, x1, y0, y1 = (f * size for f in (0.14, 0.86, 0.44, 0.96))
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)


def polygon_mask(polygon: FloatArray, size: int, feather: float = 0.0) -> Mask:
    """Mask (S, S) of a polygon in crop pixels: 1 inside, 0 outside, antialiased.

    ``feather`` is the width in pixels of a ramp on the inner side of the edge: nothing outside is ever
    touched.
    """
    fine = 8  # fixed-point bits: corners keep their fractions of a pixel
    corners: list[Any] = [np.round(np.asarray(polygon, np.float64) * 2**fine).astype(np.int32)]
    hard = np.zeros((size, size), np.uint8)
    if feather <= 0:
        cv2.fillPoly(hard, corners, 255, lineType=cv2.LINE_AA, shift=fine)
        return np.asarray(hard, np.float32) / np.float32(255)
    cv2.fillPoly(hard, corners, 255, lineType=cv2.LINE_8, shift=fine)
    inside = cv2.distanceTransform(cv2.copyMakeBorder(hard, 1, 1, 1, 1, cv2.BORDER_REPLICATE), cv2.DIST_L2, 5)
    ramp = np.clip(inside[1:-1, 1:-1] / feather, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)  # smooth step: no visible kink


def _lower_face(points: NDArray[np.float64], size: int, widen: float, chin: float) -> NDArray[np.float32]:
    jaw = _pushed_out(points, points[list(JAW)], size, widen, chin)
    ring = np.concatenate([points[list(UPPER_CHEEKS)], jaw])
    low, high = _EDGE * size, (1 - _EDGE) * size
    return np.clip(ring, low, high).astype(np.float32)


def _pushed_out(
    points: NDArray[np.float64], jaw: NDArray[np.float64], size: int, widen: float, chin: float
) -> NDArray[np.float64]:
    """Jaw points moved away from the mouth: by ``widen`` at the cheeks, by ``chin`` straight below."""
    return _from(points[list(MOUTH_CORNERS)].mean(axis=0), jaw, size, widen, chin)


def _from(
    mouth: NDArray[np.float64], jaw: NDArray[np.float64], size: int, widen: float, chin: float
) -> NDArray[np.float64]:
    ray = jaw - mouth
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    ray[:, 1] = np.maximum(ray[:, 1], 0)  # never up, where the eyes are
    down = np.clip(ray[:, 1:], 0, 1) ** 2
    return jaw + ray * size * (widen + (chin - widen) * down)
