"""Put a generated crop back into its frame: only pixels of the mask change, all others keep their bits.

Letters: H, W frame; S crop side; h, w the region of the frame that the mask covers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import from_resized, invert, transform_points, transform_scale
from dithead.types import RGB, Mask, RGBLike, Similarity

BAND = 0.06
"""Width of the band inside the mask in which colours are compared, as a fraction of S. Our choice."""
_MAX_TINT = 24  # 8-bit levels: a larger difference is not a tint, but something else in the picture
_MIN_PIXELS = 50  # for a median
_TINT_KEPT = 1.5  # levels that stay: a tint varies by that much between frames, and correcting it would flicker
_DOUBLED_FROM = 2.0  # enlargement from which cubic interpolation takes two steps
BLURRED_ABOVE = 1.35
"""Reduction from which pictures are blurred first."""
_BLUR = 0.45  # sigma of that blur at reduction 1


class Patch(NamedTuple):
    """A change to a region of a frame: ``frame[top:top + h, left:left + w] += difference``."""

    difference: NDArray[np.float32]  # (h, w, 3), already weighted by the mask
    top: int
    left: int


def composite(frame: RGB, crop: RGB, transform: Similarity, mask: Mask) -> RGB:
    """Blend a generated crop into a copy of its frame; pixels outside the mask keep every bit.

    Args:
        frame: (H, W, 3).
        crop: (S, S, 3), the generated one.
        transform: (2, 3) that made the crop.
        mask: (S, S), how far each pixel of the crop counts.

    Returns:
        (H, W, 3).
    """
    patch = paste_patch(frame, crop, transform, mask)
    return frame.copy() if patch is None else apply_patch(frame, patch)


def apply_patch(frame: RGB, patch: Patch) -> RGB:
    """Return a copy of a frame (H, W, 3) with the change of a patch in it."""
    result, (h, w) = frame.copy(), patch.difference.shape[:2]
    region = result[patch.top : patch.top + h, patch.left : patch.left + w]
    region[:] = np.clip(np.rint(region + patch.difference), 0, 255).astype(np.uint8)
    return result


class Pasted(NamedTuple):
    """A crop in its frame's pixels, not blended yet; (h, w) is the region of the frame that the mask covers."""

    face: RGB  # (h, w, 3) the crop
    old: NDArray[np.float32]  # (h, w, 3) the frame
    weight: NDArray[np.float32]  # (h, w) the mask
    top: int
    left: int


def paste_patch(frame: RGB, crop: RGB, transform: Similarity, mask: Mask) -> Patch | None:
    """Return the change that ``composite`` makes, for callers that work on other planes than RGB.

    Args:
        frame: (H, W, 3).
        crop: (S, S, 3), the generated one.
        transform: (2, 3) that made the crop.
        mask: (S, S), how far each pixel of the crop counts.

    Returns:
        The change, or None when the mask lies outside the picture.
    """
    pasted = paste(frame, crop, transform, mask)
    if pasted is None:
        return None
    return Patch(weighted(cv2.subtract(pasted.face, pasted.old, dtype=cv2.CV_32F), pasted.weight), *pasted[3:])


def weighted(picture: NDArray[Any], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply each channel of a picture (h, w, 3), or a picture (h, w), by weights (h, w)."""
    return np.asarray(cv2.multiply(picture, cv2.merge([weight] * 3) if picture.ndim == 3 else weight), np.float32)


def paste(frame: RGBLike, crop: RGB, transform: Similarity, mask: Mask) -> Pasted | None:
    """Warp a crop and its mask into the frame; see ``paste_patch`` for the arguments."""
    box = covered_box(mask, transform, frame.shape)
    if box is None:
        return None
    top, left, bottom, right = box
    back = invert(transform)
    back[:, 2] -= (left, top)
    size = (right - left, bottom - top)
    face = warp_cubic(prefiltered(crop, transform_scale(transform)), back, size)
    old = frame[top:bottom, left:right].astype(np.float32)
    return Pasted(face, old, warp_mask(mask, back, size), top, left)


def warp_mask(mask: Mask, transform: Similarity, size: tuple[int, int]) -> NDArray[np.float32]:
    """Warp a mask (S, S), which is 0 beyond its edge; see ``warp_cubic`` for the other arguments."""
    warped = cv2.warpAffine(mask, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(warped, np.float32)


def warp_cubic(picture: NDArray[np.uint8], transform: Similarity, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Warp a picture by cubic interpolation; beyond its edge the edge is repeated.

    A picture that is much enlarged is doubled by cubics first and then warped linearly: a third of the time for
    differences of about half a level.

    Args:
        picture: (h, w, 3) or (h, w).
        transform: (2, 3) from its pixels to those of the result.
        size: Width and height of the result.
    """
    way = cv2.INTER_CUBIC
    if transform_scale(transform) >= _DOUBLED_FROM:
        picture = np.asarray(cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
        transform, way = from_resized(transform, 2), cv2.INTER_LINEAR
    warped = cv2.warpAffine(picture, transform, size, flags=way, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def match_colour(crop: RGB, source: RGB, mask: Mask, band: NDArray[np.bool_]) -> RGB:
    """Remove the tint that the decoder gives to everything it draws.

    Just inside the edge of the mask, the crop and the source show mostly the same skin. The median of their small
    differences there is added to all that is drawn. Outside the mask, a decoder may copy the source.

    Args:
        crop: (S, S, 3), as it was decoded.
        source: (S, S, 3), the frame's own crop.
        mask: (S, S) of what is drawn.
        band: (S, S) where the two are compared, from ``edge_band``.

    Returns:
        (S, S, 3).
    """
    difference = source[band].astype(np.int16) - crop[band]
    small = difference[(np.abs(difference) < _MAX_TINT).all(axis=1)]
    if len(small) < _MIN_PIXELS:
        return crop
    tint = np.median(small, axis=0)
    tint = np.sign(tint) * np.maximum(np.abs(tint) - _TINT_KEPT, 0)
    if not tint.any():
        return crop
    return np.where((mask > 0)[..., None], cv2.add(crop, (*tint, 0.0)), crop)


def edge_band(mask: Mask) -> NDArray[np.bool_]:
    """Find the band (S, S) just inside the edge of a mask (S, S); beyond the picture, nothing is outside the mask."""
    hard, reach = (mask > 0.5).astype(np.uint8), max(2, round(BAND * len(mask)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    return np.asarray(hard > cv2.erode(hard, kernel))


def covered_box(mask: Mask, transform: Similarity, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Find the pixels of a frame that a mask can touch.

    Args:
        mask: (S, S).
        transform: (2, 3) from the frame's pixels to those of the mask.
        shape: Of the frame.

    Returns:
        The box (top, left, bottom, right), or None where the mask lies outside the picture.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    y0, y1, x0, x1 = rows[0] - 1, rows[-1] + 1, columns[0] - 1, columns[-1] + 1
    corners = transform_points(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]), invert(transform))
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(shape[1], int(high[0])), min(shape[0], int(high[1]))
    return (top, left, bottom, right) if top < bottom and left < right else None


def prefiltered(picture: NDArray[Any], scale: float) -> NDArray[Any]:
    """Blur a picture (h, w, ...) just enough to prevent aliasing where ``scale`` of its pixels become one."""
    return picture if scale <= BLURRED_ABOVE else cv2.GaussianBlur(picture, (0, 0), _BLUR * scale)
