"""Decides where the drawn mouth shows in its frame, and where the source's own pixels stay.

The model works on a small crop, so it draws skin, beard, nostrils and ears softer than they were, most of all in large
faces. Only the mouth and what moves with it must be new. Wherever the drawn crop and the source agree, the source's
pixels stay. Letters: S crop side; B frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.compositing import edge_band
from dithead.face.masks import jaw_mask, lip_mask, polygon_mask
from dithead.face.optical_flow import largest_channel
from dithead.inference.analyse.tracklet import Tracklet
from dithead.types import RGB, Mask, Similarity

T = TypeVar("T", bound=np.generic)

FEATHER = 0.06
"""Width of the blend inside the mask's edge, as a fraction of S (our choice)."""
SAME, DIFFERENT = 5.0, 13.0
"""8-bit differences up to which the source stays, and from which the drawn crop replaces it (docs/log)."""
_COMPARISON_BLUR = 0.012  # sigma, as a fraction of S, of the comparison: detail finer than the crop must not count
_EDGE_BLUR = 0.02  # sigma, as a fraction of S, of the border between drawn and kept pixels
_ABOVE_TOLERANCE = 8.0  # factor of both differences above the mouth, where a nose drawn from another view would show
_MARGIN = 0.05  # margin around the lips that is always drawn, as a fraction of S


class CropBox(NamedTuple):
    """A part of a crop: rows ``top`` to ``bottom`` - 1 and columns ``left`` to ``right`` - 1."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def around(cls, mask: Mask, margin: int) -> CropBox | None:
        """Find the box of what a ``mask`` (S, S) covers, with a margin in pixels; None where it covers nothing."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        limits = [(max(0, int(k[0]) - margin), min(len(mask), int(k[-1]) + 1 + margin)) for k in (rows, columns)]
        return cls(*limits[0], *limits[1])

    def cut(self, picture: NDArray[T]) -> NDArray[T]:
        """Return the part of a ``picture`` (S, S, ...)."""
        return np.ascontiguousarray(picture[self.top : self.bottom, self.left : self.right])

    def put(self, part: NDArray[T], picture: NDArray[T]) -> NDArray[T]:
        """Return a copy of a ``picture`` (S, S, ...) with another ``part``."""
        whole = picture.copy()
        whole[self.top : self.bottom, self.left : self.right] = part
        return whole

    def shifted(self, transform: Similarity) -> Similarity:
        """Return the transform (2, 3) to the part, for a ``transform`` to the crop."""
        return transform - np.array([[0, 0, self.left], [0, 0, self.top]])


@dataclass(frozen=True)
class MouthRegion:
    """The masks of one frame of a tracklet, each (S, S) from 0 to 1."""

    mask: Mask  # what the model draws, hard-edged
    allowed: Mask  # how much of it may show: feathered, inside the face, and not over occluders
    core: Mask  # 1 on the lips and a margin around them, fading outwards
    band: NDArray[np.bool_]  # just inside the edge of ``mask``

    def part(self, box: CropBox) -> MouthRegion:
        """Return the masks of a part of the crop."""
        return MouthRegion(box.cut(self.mask), box.cut(self.allowed), box.cut(self.core), box.cut(self.band))


def mouth_region(tracklet: Tracklet, index: int, size: int) -> MouthRegion:
    """Make the masks of frame ``index`` of a ``tracklet``, for crops of side ``size``."""
    if tracklet.frame_polygons is None:
        mask, soft, band = _static_masks(tracklet, size)
    else:
        mask, soft, band = _masks(tracklet.mask_polygon(index), size)
    return MouthRegion(mask, soft * _allowed(tracklet, index, size), _core(tracklet, size), band)


def mouth_core(lips: NDArray[np.float32], size: int) -> Mask:
    """Draw the lips and a margin around them.

    Args:
        lips: Outline of the lips (20, 2) in crop pixels.
        size: Crop side S.

    Returns:
        (S, S): 1 on the lips and the margin, fading outwards.
    """
    reach = max(1, round(_MARGIN * size))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    wide = cv2.dilate((polygon_mask(lips, size) > 0.5).astype(np.float32), kernel)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), 0.5 * reach), np.float32)


def change_mask(mouth: RGB, source: RGB, core: Mask, size: int | None = None) -> Mask:
    """Return the mask (S, S) of what has changed: 1 where the drawn crop must show, 0 where the source may stay.

    Args:
        mouth: The drawn crop (S, S, 3).
        source: The source's crop (S, S, 3).
        core: (S, S) the lips and a margin, where the drawn crop always shows.
        size: S, where all these are parts of crops.
    """
    size = size or core.shape[0]
    distance = largest_channel(np.abs(coarse_difference(mouth, source, _COMPARISON_BLUR, size)))
    reach = max(1, round(0.02 * size))
    distance = cv2.dilate(distance, np.ones((2 * reach + 1,) * 2, np.uint8))  # a moving edge needs both its sides
    new = np.clip((distance / _tolerance(core, size) - SAME) / (DIFFERENT - SAME), 0, 1)
    new = cv2.GaussianBlur(new, (0, 0), _EDGE_BLUR * size)
    return np.asarray(np.maximum(new, core), np.float32)


def coarse_difference(picture: RGB, source: RGB, sigma: float, size: int | None = None) -> NDArray[np.float32]:
    """Return ``picture`` minus ``source`` (both (S, S, 3)), blurred by ``sigma``, a fraction of S.

    ``size`` is S, where the two are parts of crops.
    """
    difference = cv2.subtract(picture, source, dtype=cv2.CV_32F)
    return np.asarray(cv2.GaussianBlur(difference, (0, 0), sigma * (size or len(picture))), np.float32)


def _tolerance(core: Mask, size: int) -> NDArray[np.float32]:
    """(h, 1): 1 from the mouth's upper edge down, rising to ``_ABOVE_TOLERANCE`` a twentieth of the crop above it."""
    rows = np.flatnonzero(core.max(axis=1) > 0.5)
    top = rows[0] if len(rows) else 0
    above = np.clip((top - np.arange(len(core))) / (0.05 * size), 0, 1)
    return (1 + (_ABOVE_TOLERANCE - 1) * above).astype(np.float32)[:, None]


def _allowed(tracklet: Tracklet, index: int, size: int) -> Mask:
    """How much of the drawn crop may show (S, S): less near an end, beyond the face, and over an occluder."""
    offset = index - tracklet.start
    mask = np.full((size, size), tracklet.opacity(index), np.float32)
    if tracklet.jaws is not None:
        mask *= jaw_mask(tracklet.jaws[offset], size, _lips(tracklet, size))
    visible = tracklet.occlusion.visible(offset, size)
    return mask if visible is None else mask * visible


class _Masks(NamedTuple):
    """The masks of one polygon, each (S, S)."""

    mask: Mask  # hard-edged
    soft: Mask  # feathered
    band: NDArray[np.bool_]  # just inside the edge


def _masks(polygon: NDArray[np.float32], size: int) -> _Masks:
    mask = polygon_mask(polygon, size)
    return _Masks(mask, polygon_mask(polygon, size, feather=FEATHER * size), edge_band(mask))


@lru_cache(maxsize=8)  # a tracklet's frames follow one another, and few faces are drawn at once
def _static_masks(tracklet: Tracklet, size: int) -> _Masks:
    return _masks(tracklet.polygon, size)


@lru_cache(maxsize=8)
def _core(tracklet: Tracklet, size: int) -> Mask:
    return mouth_core(tracklet.lips, size)


@lru_cache(maxsize=8)
def _lips(tracklet: Tracklet, size: int) -> Mask:
    return lip_mask(tracklet.lips, size)
