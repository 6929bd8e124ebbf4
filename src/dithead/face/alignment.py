"""Align a face: from frame pixels to the aligned square crop and back.

The transform depends on the eye corners and the bridge of the nose only: mouth and jaw carry the motion of the lips and
must not move the crop. Letters: S crop side in pixels, N frames, K points.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.mesh_indices import ALIGNMENT_POINTS
from dithead.types import RGB, FloatArray, Landmarks, RGBLike, RGBWithMeans, Similarity

CANONICAL: NDArray[np.float64] = np.array(
    [
        (-0.499, 0.000, 0.000),
        (-0.189, 0.019, -0.059),
        (0.189, 0.019, -0.059),
        (0.499, 0.000, 0.000),
        (0.000, -0.045, -0.250),
        (0.000, 0.047, -0.297),
        (0.000, 0.132, -0.353),
        (0.000, 0.213, -0.414),
    ]
)
"""``ALIGNMENT_POINTS`` of a frontal face as FaceMesh sees it: the mean of about 20 people, made symmetric.

x, y, z are in units of the distance between the outer eye corners, from the point midway between them; z is negative
towards the viewer.
"""

# Measured over the same people: the mean chin lies 1.35 eye distances below the eyes and the longest 1.5. With the two
# numbers below, a closed chin lands at 0.81 S, and even a long face with the jaw dropped stays inside.
EYE_DISTANCE = 0.41
"""Distance between the outer eye corners in the crop, as a fraction of S. Our choice."""
EYE_LINE = 0.26
"""Height of the line of the eyes in the crop, as a fraction of S. Our choice."""
_CHUNK = 4096  # frames that are smoothed at once, so that memory stays constant
_BLUR_BELOW = 0.75  # crop pixels per frame pixel below which plain resampling skips pixels of the frame
_SQUARE = 0.013  # variance that is missing of a square's 1/12, as cubics sharpen the averages (found by trying)
_BLUR = 0.45  # sigma, in frame pixels at scale 1, of the blur that prevents aliasing


def crop_transform(landmarks: Landmarks, size: int) -> Similarity:
    """Return the similarity transform from frame pixels to the aligned crop of one face.

    Args:
        landmarks: (478, 3), or (478, 2) when the depth is unknown. With depth, scale and roll come from a rigid fit in
            three dimensions, so that a head turned sideways is not enlarged because its eyes look closer together.
        size: Side of the crop in pixels.

    Returns:
        (2, 3).

    Raises:
        FaceError: The landmarks are not finite or coincide.
    """
    points = np.asarray(landmarks, np.float64)[list(ALIGNMENT_POINTS)]
    if not np.isfinite(points).all() or np.ptp(points[:, 0]) < 1e-6:
        raise FaceError("the face landmarks are degenerate; leave this frame out")
    model = CANONICAL[:, : points.shape[1]]
    scale, rotation = _umeyama(points, model)
    linear = scale * EYE_DISTANCE * size * _nearest_rotation(rotation[:2, :2])
    centre = np.array([0.5, EYE_LINE]) * size + EYE_DISTANCE * size * CANONICAL[:, :2].mean(axis=0)
    return np.column_stack([linear, centre - linear @ points[:, :2].mean(axis=0)])


def smooth_transforms(transforms: Sequence[Similarity | None], sigma: float = 1.5) -> list[Similarity | None]:
    """Smooth the transforms of one shot over time.

    Args:
        transforms: (2, 3) of each frame; frames with None stay None and do not influence their neighbours.
        sigma: Of the Gaussian, in frames.
    """
    if not transforms or sigma <= 0:
        return list(transforms)
    moves = np.stack([np.full((2, 3), np.nan) if m is None else m for m in transforms])
    return [move if np.isfinite(move[0, 0]) else None for move in smooth_transform_array(moves, sigma)]


def smooth_transform_array(moves: NDArray[np.float64], sigma: float = 1.5) -> NDArray[np.float64]:
    """Do as ``smooth_transforms`` with an array (N, 2, 3), NaN where there is none, in constant extra memory."""
    smoothed, reach = np.empty_like(moves), int(4 * sigma + 1e-9)
    for start in range(0, len(moves), _CHUNK):
        stop = min(start + _CHUNK, len(moves))
        low = max(0, start - reach)
        smoothed[start:stop] = _smoothed(moves[low : stop + reach], sigma, reach)[start - low : stop - low]
    return smoothed


def warp_crop(frame: RGBLike, transform: Similarity, size: int) -> RGB:
    """Cut the aligned crop out of a frame.

    Where it is reduced, the frame is blurred first, just enough to prevent aliasing; where it is enlarged, it is
    interpolated by cubics. Outside the picture its border is repeated. A large face is first averaged over squares of
    pixels, and blurred by what is then missing of the same blur: that takes a third of the time.

    Args:
        frame: (H, W, 3).
        transform: (2, 3) from ``crop_transform`` for this size.
        size: Side of the crop in pixels.

    Returns:
        (size, size, 3).
    """
    scale = transform_scale(transform)
    (top, left, bottom, right), moved = source_window(frame, transform, size)
    sigma, side = _BLUR / scale, round(1 / scale)
    if side >= 2 and min(bottom - top, right - left) >= side:
        window, moved = _averaged(frame, (top, left, bottom, right), side), from_resized(moved, 1 / side)
        sigma = float(np.sqrt(sigma**2 - _SQUARE * side**2)) / side
    else:
        window = frame[top:bottom, left:right]
    if scale < _BLUR_BELOW:
        blurred = cv2.GaussianBlur(window, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        window = np.asarray(blurred, np.uint8)
    crop = cv2.warpAffine(window, moved, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def transform_points(points: FloatArray, transform: Similarity) -> NDArray[np.float32]:
    """Apply a transform (2, 3) to points (..., 2 or 3), of which only x and y are used; return (..., 2)."""
    xy = np.asarray(points, np.float64)[..., :2]
    return (xy @ transform[:, :2].T + transform[:, 2]).astype(np.float32)


def invert(transform: Similarity) -> Similarity:
    """Return the inverse, from crop pixels to frame pixels, of a transform (2, 3), or of each of (..., 2, 3)."""
    a, b, c, d = (transform[..., i, j] for i in (0, 1) for j in (0, 1))
    linear = np.stack([d, -b, -c, a], axis=-1).reshape(*transform.shape[:-1], 2)
    linear /= (a * d - b * c)[..., None, None]
    return np.concatenate([linear, -linear @ transform[..., 2:]], axis=-1)


def shifted_transform(transform: Similarity, by: NDArray[np.float32]) -> Similarity:
    """Return a transform (2, 3) that leads ``by`` (2,) pixels farther to the right and below."""
    return np.column_stack([transform[:, :2], transform[:, 2] + by])


def from_resized(transform: Similarity, factor: float) -> Similarity:
    """Return the transform (2, 3) for a picture that was resized by ``factor``, given that for the picture itself."""
    linear = transform[:, :2]
    shift = transform[:, 2:] + linear @ np.full((2, 1), 0.5 / factor - 0.5)  # pixels' centres lie at .5
    return np.concatenate([linear / factor, shift], axis=1)


def transform_scale(transform: Similarity) -> float:
    """Return the scale of a transform: crop pixels per frame pixel."""
    return float(np.hypot(transform[0, 0], transform[1, 0]))


def _umeyama(source: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Scale and rotation of the least-squares similarity from source to target (K, 2 or 3), after Umeyama (1991)."""
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    u, d, vt = np.linalg.svd(y.T @ x)
    sign = np.ones(len(d))
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        sign[-1] = -1.0
    return float((d * sign).sum() / (x**2).sum()), (u * sign) @ vt


def _nearest_rotation(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """The in-plane rotation nearest to the upper left block of a 3-D rotation: the roll of the head."""
    angle = np.arctan2(block[1, 0] - block[0, 1], block[0, 0] + block[1, 1])
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _smoothed(moves: NDArray[np.float64], sigma: float, reach: int) -> NDArray[np.float64]:
    """Smooth the inverse transforms: that keeps the face in place instead of the frame's origin."""
    back = invert(moves).reshape(-1, 6)
    known = np.isfinite(back[:, 0])
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    columns = [*np.where(known[:, None], back, 0).T, known.astype(np.float64)]
    *sums, weight = (np.convolve(column, kernel)[reach : reach + len(moves)] for column in columns)
    mean = np.full_like(back, np.nan)
    mean[known] = (np.stack(sums, axis=1)[known]) / weight[known, None]
    return invert(mean.reshape(-1, 2, 3))


def _averaged(frame: RGBLike, box: tuple[int, int, int, int], side: int) -> RGB:
    """Average the squares of ``side`` pixels of a box; what is left over at its lower right is left out."""
    if isinstance(frame, RGBWithMeans):
        return frame.averaged(*box, side)
    top, left, bottom, right = box
    height, width = (bottom - top) // side, (right - left) // side
    whole = frame[top : top + height * side, left : left + width * side]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def source_window(frame: RGBLike, transform: Similarity, size: int) -> tuple[tuple[int, int, int, int], Similarity]:
    """Return the box (top, left, bottom, right) that the crop shows, with a margin, and the transform from it.

    A small part keeps the blur cheap on large frames. It begins at even pixels, as samples of colour do.
    """
    corners = transform_points(np.array([[0, 0], [size, 0], [0, size], [size, size]]), invert(transform))
    margin = 4 + 3 / transform_scale(transform)
    height, width = frame.shape[:2]
    x0, y0 = (np.clip(np.floor(corners.min(axis=0) - margin), 0, (width - 1, height - 1))).astype(int) // 2 * 2
    x1, y1 = (np.clip(np.ceil(corners.max(axis=0) + margin), (x0 + 1, y0 + 1), (width, height))).astype(int)
    shifted = transform.copy()
    shifted[:, 2] += transform[:, :2] @ (x0, y0)
    return (int(y0), int(x0), int(y1), int(x1)), shifted
