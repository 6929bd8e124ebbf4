"""Makes the mask of the generated part of the crop: polygons from landmarks, and masks from polygons.

``stable_polygon`` is the default: one polygon for a whole shot, so that its edge says nothing about the jaw of a single
frame. ``frame_polygon`` is the paper's and leaks the shape of the mouth; ``box_polygon`` serves the ablation.
Letters: S crop side, N frames, K corners of the polygon.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.mesh_indices import JAW, MOUTH_CORNERS, OUTER_LIPS, UPPER_CHEEKS
from dithead.types import FloatArray, Mask

# Distances as fractions of S; our choice, but for the paper's mask, which hardly leaves the face.
_STABLE_MARGIN, _STABLE_CHIN_MARGIN = 0.06, 0.10  # beyond the median jaw of a shot: at the cheeks, below the chin
_FRAME_MARGIN = 0.01  # beyond one frame's own jaw, all around: the paper's mask
_JAW_MARGIN, _JAW_CHIN_MARGIN = -0.08, 0.09  # beyond one frame's own jaw, where the source's picture stays
_JAW_FEATHER = 0.02  # sigma of the soft edge there
_FAR_MARGIN, _FAR_CHIN_MARGIN = -0.02, 0.015  # the same at the far jaw of a turned head: straight down only
_LEAN, _FULL_LEAN = 0.15, 0.3  # of the chin from the middle between the ears, in halves, from which a head is turned
_FAR_LEAN, _FULL_FAR_LEAN = 0.25, 0.5  # from which it is turned so far that the chin counts as far, too
_LIP_MARGIN = 0.015  # around the lips, which always show
_LIP_BAND = np.array([-0.15, -0.05, 0.05, 0.15])  # above and below the lips, where that distance fades in and holds
_LIPS_INSIDE = 0.08  # the stable polygon keeps this distance from the lips, more than its edge is soft
_BORDER = 0.01  # the polygon keeps this distance from the border of the crop
_BOX = (0.14, 0.86, 0.44, 0.96)  # left, right, top, bottom of the rectangle of the ablation


def stable_polygon(crop_landmarks: FloatArray, size: int) -> NDArray[np.float32]:
    """Return the lower face of a shot: the polygon of its median landmarks, widened.

    Args:
        crop_landmarks: (N, 478, 2) in crop pixels; frames that are not finite are left out.
        size: S.

    Returns:
        (K, 2) in crop pixels.

    Raises:
        FaceError: No frame is left.
    """
    points = np.asarray(crop_landmarks, np.float64)[..., :2]
    points = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(points):
        raise FaceError("no frame has landmarks to build a mask from; leave this clip out")
    middle = np.median(points, axis=0)
    ring = _lower_face(middle, size, _STABLE_MARGIN, _STABLE_CHIN_MARGIN)
    return _around_lips(ring, middle[list(OUTER_LIPS)], size)


def frame_polygon(landmarks: FloatArray, size: int) -> NDArray[np.float32]:
    """Return the lower face (K, 2) of one frame's crop landmarks (478, 2), hardly widened: the paper's mask."""
    return _lower_face(np.asarray(landmarks, np.float64)[:, :2], size, _FRAME_MARGIN, _FRAME_MARGIN)


def jaw_line(landmarks: FloatArray) -> NDArray[np.float32]:
    """Return the jaw line (21, 2) of one frame's crop landmarks (478, 2), from ear to ear through the chin."""
    return np.asarray(landmarks, np.float32)[list(JAW), :2]


def jaw_lean(jaw: FloatArray) -> float:
    """Return how far the chin of a ``jaw_line`` (21, 2) lies from the middle between the ears.

    The unit is half of their distance: a head that looks ahead has 0, one turned by 20 degrees about 0.35, one by 35
    degrees about 0.7.
    """
    line = np.asarray(jaw, np.float64)
    ears = line[[0, -1], 0]
    return float(2 * (line[len(line) // 2, 0] - ears.mean()) / max(float(np.ptp(ears)), 1e-6))


def jaw_mask(jaw: FloatArray, size: int, lips: Mask | None = None) -> Mask:
    """Return a mask of a frame's own face, as far as speech can move it; hair, ears and background lie outside.

    Speech hardly widens the cheeks, but it can lower the chin by a tenth of the crop. The far jaw of a turned head has
    nothing but background behind it, and the far lips can lie beyond it.

    Args:
        jaw: (21, 2), the frame's ``jaw_line``.
        size: S.
        lips: ``lip_mask`` (S, S) of what is inside in any case.

    Returns:
        (S, S): 1 inside, falling softly to 0 outside.
    """
    line = np.asarray(jaw, np.float64)
    mouth = np.array([line[:, 0].mean(), 0.6 * line[:, 1].max() + 0.4 * line[[0, -1], 1].mean()])
    outline = _pushed_out(mouth, line, size, _JAW_MARGIN, _JAW_CHIN_MARGIN)
    lean = jaw_lean(line)
    if (turned := _ramp(abs(lean), _LEAN, _FULL_LEAN)) > 0:
        far = _near_the_line(mouth, line, size)
        weight = turned * _far_side(line, lean)[:, None]
        outline = weight * far + (1 - weight) * outline
    mask = cv2.GaussianBlur(polygon_mask(outline, size), (0, 0), _JAW_FEATHER * size)
    return np.asarray(mask if lips is None else np.maximum(mask, lips), np.float32)


def _near_the_line(mouth: NDArray[np.float64], line: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The jaw line of the far side: a little inside it at the cheek, a little below it at the chin."""
    ray = line - mouth
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    below = np.clip(ray[:, 1], 0, 1) ** 2
    return line + ray * size * _FAR_MARGIN * (1 - below)[:, None] + np.array([[0, 1.0]]) * size * (
        _FAR_CHIN_MARGIN * below
    )[:, None]  # fmt: skip


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))


def _far_side(line: NDArray[np.float64], lean: float) -> NDArray[np.float64]:
    """How far each point (21,) of a jaw line belongs to the far side: 1 there, 0 at the near cheek.

    The chin of a head that is hardly turned can still be lowered before its neck; that of one turned far cannot.
    """
    last = len(line) - 1
    place = np.arange(len(line)) / last
    to_far = place if (line[last, 0] - line[0, 0]) * lean > 0 else 1 - place
    far = _ramp(abs(lean), _FAR_LEAN, _FULL_FAR_LEAN)
    return np.clip((to_far - (0.5 - 0.3 * far)) / (0.08 + 0.07 * far), 0, 1)


def lip_mask(lips: FloatArray, size: int) -> Mask:
    """Return the mask (S, S) of the lips, by their outline (20, 2) in crop pixels, and a little around them."""
    reach = max(1, round(_LIP_MARGIN * size))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    wide = cv2.dilate(polygon_mask(lips, size), kernel)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), 0.5 * reach), np.float32)


def box_polygon(size: int) -> NDArray[np.float32]:
    """Return a constant rectangle (4, 2) over the lower face, in crop pixels."""
    x0, x1, y0, y1 = (fraction * size for fraction in _BOX)
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)


def box_around(points: FloatArray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part of a picture around some points, one pixel at least.

    Args:
        points: (K, 2) in pixels, x before y; they may lie beyond the edge.
        shape: Of the picture.
    """
    limit = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(points.min(axis=0)), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), low + 1, limit).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def polygon_mask(polygon: FloatArray, size: int, feather: float = 0.0) -> Mask:
    """Draw a polygon as a mask.

    Args:
        polygon: (K, 2) in crop pixels.
        size: S.
        feather: Width in pixels of a ramp on the inner side of the edge, so that nothing outside is touched.

    Returns:
        (S, S): 1 inside, 0 outside; without ``feather``, antialiased.
    """
    bits = 8  # of OpenCV's fixed point: corners keep their fractions of a pixel
    corners: list[Any] = [np.round(np.asarray(polygon, np.float64) * 2**bits).astype(np.int32)]
    hard = np.zeros((size, size), np.uint8)
    if feather <= 0:
        cv2.fillPoly(hard, corners, 255, lineType=cv2.LINE_AA, shift=bits)
        return np.asarray(hard, np.float32) / np.float32(255)
    cv2.fillPoly(hard, corners, 255, lineType=cv2.LINE_8, shift=bits)
    inside = cv2.distanceTransform(cv2.copyMakeBorder(hard, 1, 1, 1, 1, cv2.BORDER_REPLICATE), cv2.DIST_L2, 5)
    return np.asarray(smoothstep(inside[1:-1, 1:-1] / feather), np.float32)


def soft_polygon(polygon: FloatArray, box: tuple[int, int, int, int], softness: float) -> Mask:
    """Draw a polygon with soft edges in a part of a picture.

    Args:
        polygon: (K, 2) in pixels of the picture.
        box: Left, top, right and bottom of the part.
        softness: Pixels: sigma of the Gaussian that blurs the edge.

    Returns:
        (bottom - top, right - left): 1 inside, 0 outside.
    """
    left, top, right, bottom = box
    hard = np.zeros((bottom - top, right - left), np.uint8)
    corners: list[Any] = [np.round((np.asarray(polygon) - (left, top)) * 16).astype(np.int32)]
    cv2.fillPoly(hard, corners, 255, lineType=cv2.LINE_AA, shift=4)
    return np.asarray(cv2.GaussianBlur(hard.astype(np.float32) / 255, (0, 0), softness), np.float32)


def smoothstep(ramp: FloatArray) -> FloatArray:
    """Return a ramp from 0 to 1, or beyond, so that its ends have no visible kink."""
    ramp = np.clip(ramp, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def _lower_face(points: NDArray[np.float64], size: int, widen: float, chin: float) -> NDArray[np.float32]:
    """The polygon (K, 2) of the lower face, with the margins ``widen`` at the cheeks and ``chin`` below the chin."""
    mouth = points[list(MOUTH_CORNERS)].mean(axis=0)
    jaw = _pushed_out(mouth, points[list(JAW)], size, widen, chin)
    ring = np.concatenate([points[list(UPPER_CHEEKS)], jaw])
    low, high = _BORDER * size, (1 - _BORDER) * size
    return np.clip(ring, low, high).astype(np.float32)


def _around_lips(ring: NDArray[np.float32], lips: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """A polygon that keeps its distance from the lips; those of a turned head can lie beyond its far jaw."""
    (left, top), (right, bottom) = lips.min(axis=0), lips.max(axis=0)
    beside = np.interp(ring[:, 1], np.array([top, top, bottom, bottom]) + size * _LIP_BAND, [0, 1, 1, 0])
    place = np.arange(len(ring)) - len(UPPER_CHEEKS) - len(JAW) // 2  # along the jaw, 0 at the chin
    is_right = place * np.sign(ring[-1, 0] - ring[len(UPPER_CHEEKS), 0]) > 0
    beyond = np.where(is_right, right + _LIPS_INSIDE * size, left - _LIPS_INSIDE * size)
    far = ring.astype(np.float64)
    far[:, 0] = np.where(is_right, np.maximum(ring[:, 0], beyond), np.minimum(ring[:, 0], beyond))
    beside = np.where(place < -(len(JAW) // 2), 0.0, beside)  # only the jaw
    low, high = _BORDER * size, (1 - _BORDER) * size
    return np.clip(ring + beside[:, None] * (far - ring), low, high).astype(np.float32)


def _pushed_out(
    mouth: NDArray[np.float64], jaw: NDArray[np.float64], size: int, widen: float, chin: float
) -> NDArray[np.float64]:
    """Points of the jaw moved away from the mouth: by ``widen`` at the cheeks, by ``chin`` straight below."""
    ray = jaw - mouth
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    ray[:, 1] = np.maximum(ray[:, 1], 0)  # never up, where the eyes are
    down = np.clip(ray[:, 1:], 0, 1) ** 2
    return jaw + ray * size * (widen + (chin - widen) * down)
