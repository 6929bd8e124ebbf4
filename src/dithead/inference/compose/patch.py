"""Turns a drawn crop into the change of its frame, with detail at the frame's own resolution.

A crop is too small for the pores, hairs and grain of a large face. They are taken from the source frame itself, warped
along the optical flow from the drawn mouth to the source's, and left out where the two differ too much. Where detail of
another frame is transferred, the frame's own detail is left out. The change is linear in the pictures, so it is the
same computation for RGB (here) and for luma and chroma (``plane_changes``). Letters: S crop side; h, w the patch of the
frame; C channels, for which pictures of a single one have no axis.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_scale
from dithead.face.compositing import BLURRED_ABOVE, Patch, covered_box, prefiltered, warp_cubic, weighted
from dithead.face.optical_flow import match, warp_by_flow
from dithead.inference.compose.detail_transfer import DetailTransfer
from dithead.types import RGB, Mask, RGBLike, Similarity

_LARGER = 0.9  # crop pixels per frame pixel from which the frame has no detail that the crop lacks
_AGREE, _DISAGREE = 10.0, 30.0  # 8-bit differences up to which detail is kept in full, and from which not at all
_NOTHING = 0.01  # mean weight up to which the frame's own detail is left out: it would change no pixel by a level
_HALVED_FROM = 2.0  # enlargement from which smooth fields are warped at half the size
_SHARPENED = 0.15  # added contrast against the softness of linear interpolation (docs/log)
_SMOOTH = 0.02  # sigma that smooths the flow, as a fraction of S


_kept: deque[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = deque(maxlen=24)  # pictures and doubles, see ``_doubled``
_MIDDLE = np.array([[-3, 19, 19, -3]]) / 32  # OpenCV's cubic half-way between two pixels


class FrameCrop(NamedTuple):
    """A part of a frame, its crop or a part of that, and the transform between them."""

    frame: RGBLike  # (H, W, 3)
    crop: RGB  # (S, S, 3)
    transform: Similarity  # (2, 3) from the frame's pixels to the crop


class OwnDetail(NamedTuple):
    """How far the detail that the frame has and its crop lacks moves along with the mouth, and where it counts."""

    flow: NDArray[np.float32]  # (S, S, 2) crop pixels from a place in the mouth to its place in the source
    weight: Mask  # (S, S)


class MouthParts(NamedTuple):
    """The pictures that a change is made of, all in the same samples: RGB, or one plane in steps of 8 bits."""

    mouth: NDArray[np.uint8]  # (S, S, C) the drawn crop
    crop: NDArray[np.uint8]  # (S, S, C) the source's
    donor: NDArray[np.uint8] | None  # (h, w, C) the picture whose detail is transferred
    coarse: NDArray[np.float32] | None  # (S, S, C) see ``DetailTransfer``


def patch_with_detail(
    view: FrameCrop, mouth: RGB, mask: Mask, transfer: DetailTransfer | None = None, size: int | None = None
) -> Patch | None:
    """Make the patch that puts a drawn mouth into its frame.

    Args:
        view: The frame around the face.
        mouth: The drawn crop (S, S, 3).
        mask: (S, S) where it shows, 0 to 1.
        transfer: Detail of another frame for it.
        size: S, where crop, mouth and mask are parts.

    Returns:
        The change of the frame's pixels, or None when the mask lies outside the picture.
    """
    mask = np.asarray(mask, np.float32)
    box = covered_box(mask, view.transform, view.frame.shape)
    if box is None:
        return None
    top, left, bottom, right = box
    parts = MouthParts(mouth, view.crop, *((None, None) if transfer is None else (transfer.picture, transfer.coarse)))
    change = Change(box, view.transform, mask, transfer, own_detail(view, mouth, mask, transfer, size))
    old = np.asarray(view.frame[top:bottom, left:right], np.float32)
    return Patch(change.of(parts, old), top, left)


def own_detail(
    view: FrameCrop, mouth: RGB, mask: Mask, transfer: DetailTransfer | None, size: int | None
) -> OwnDetail | None:
    """Find what of the frame's own detail moves along with the mouth; None where there is none worth it.

    See ``patch_with_detail`` for the arguments.
    """
    if transform_scale(view.transform) > _LARGER:
        return None
    free = mask if transfer is None else mask * (1 - transfer.weight)
    if free.mean() <= _NOTHING:
        return None
    matched = match(mouth, view.crop, smooth=_SMOOTH, agree=_AGREE, disagree=_DISAGREE, size=size or len(mouth))
    return OwnDetail(matched.flow, np.asarray(matched.agreement * free, np.float32))


class Change:
    """The change of one region of a frame, or of one of its planes: all that does not depend on the samples."""

    def __init__(
        self,
        box: tuple[int, int, int, int],
        transform: Similarity,
        mask: Mask,
        transfer: DetailTransfer | None,
        own: OwnDetail | None,
        reduced: tuple[int, int] = (1, 1),
    ) -> None:
        """Warp the fields to the region.

        Args:
            box: The region (top, left, bottom, right).
            transform: (2, 3) from the frame's or the plane's samples to the crop.
            mask: (S, S) where the drawn crop shows.
            transfer: Detail of another frame.
            own: Detail of this frame.
            reduced: Rows and columns of its picture that share one sample of the donor in ``MouthParts``.
        """
        self.warp, self._donor, self._own = ToRegion(box, transform), None, None
        fields = [mask]
        if transfer is not None:
            self._ratio = transfer.scale * self.warp.scale / reduced[1]  # donor's samples per sample of the region
            self._doubled = self._ratio <= BLURRED_ABOVE
            x, y = cv2.split(transfer.where)
            fields += [self._sample(x, reduced[1]), self._sample(y, reduced[0]), cv2.multiply(transfer.weight, mask)]
        self.weight, *self._donor = self.warp.fields(fields)  # then x and y in the donor, and the weight of its detail
        if own is not None:
            flow = cv2.transform(own.flow, self.warp.back[:, :2])
            self._own = self.warp.fields([*cv2.split(flow), own.weight])

    def _sample(self, place: NDArray[np.float32], shared: int) -> NDArray[np.float32]:
        """Places in the donor's samples, each of which lies in the middle of ``shared`` pixels."""
        factor = (2 if self._doubled else 1) / shared
        return place * np.float32(factor) - np.float32(factor * (shared - 1) / 2)

    def of(self, parts: MouthParts, old: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change (h, w, C) of the samples ``old`` (h, w, C); ``parts`` are in the same samples."""
        face = self.warp.picture(parts.mouth)
        change = weighted(cv2.subtract(face, old, dtype=cv2.CV_32F), self.weight)
        if self._donor and parts.donor is not None and parts.coarse is not None:
            picture = _doubled(parts.donor) if self._doubled else prefiltered(parts.donor, self._ratio)
            *place, weight = self._donor
            seen = cv2.remap(picture, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            fine = cv2.subtract(cv2.subtract(seen, face, dtype=cv2.CV_32F), self.warp.field(parts.coarse))
            change += weighted(fine, weight)
        if self._own is not None:
            detail = cv2.subtract(old, self.warp.picture(parts.crop), dtype=cv2.CV_32F)
            *flow, weight = self._own
            change += weighted(warp_by_flow(detail, cv2.merge(flow)), weight)
        return np.asarray(change, np.float32)


class ToRegion:
    """Warps pictures and fields from a crop to a region of the frame, or of one of its planes.

    Where the crop is much enlarged, that is done at half the size and then doubled, which takes a third of the time.
    """

    def __init__(self, box: tuple[int, int, int, int], transform: Similarity) -> None:
        """Prepare, for a region ``box`` (top, left, bottom, right); ``transform``: see ``Change``."""
        top, left, bottom, right = box
        self.scale, self.back = transform_scale(transform), invert(transform)
        self.back[:, 2] -= (left, top)
        self.size = self._warped = (right - left, bottom - top)
        self._back = self.back
        self._halved = 1 / self.scale >= _HALVED_FROM
        if self._halved:
            self._back = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]]) @ np.vstack([self.back, [0, 0, 1]])
            self._warped = (-(-self.size[0] // 2), -(-self.size[1] // 2))

    def picture(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Warp a ``picture`` (S, S, C) to the region by cubics; beyond its edge the edge is repeated."""
        warped = warp_cubic(prefiltered(picture, self.scale), self._back, self._warped)
        return np.asarray(self._whole(warped, cv2.INTER_CUBIC), np.uint8)

    def field(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        """Warp a ``field`` (S, S, C) without detail, such as a blurred mask; beyond its edge the edge is repeated."""
        return np.asarray(self._whole(self._linear(field), cv2.INTER_LINEAR), np.float32)

    def fields(self, fields: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Warp up to four fields (S, S) at once."""
        return [self._whole(each, cv2.INTER_LINEAR) for each in cv2.split(self._linear(cv2.merge(fields)))]

    def _linear(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        border = cv2.BORDER_REPLICATE
        warped = cv2.warpAffine(field, self._back, self._warped, flags=cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(warped, np.float32)

    def _whole(self, warped: NDArray[Any], way: int) -> NDArray[Any]:
        if not self._halved:
            return warped
        (width, height), (columns, rows) = self._warped, self.size
        return cv2.resize(warped, (2 * width, 2 * height), interpolation=way)[:rows, :columns]


def _doubled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put a pixel between each two of a picture by cubics, so that linear interpolation is enough from then on.

    They are kept: a donor stays the same for many frames, a tracklet has few, and warping linearly takes a third of the
    time. What linear interpolation takes off fine contrast is added beforehand.
    """
    for kept, doubled in tuple(_kept):  # another thread may add one meanwhile
        if kept is picture:
            return doubled
    height, width, *channels = picture.shape
    rows = np.empty((height, 2 * width, *channels), np.uint8)
    doubled = np.empty((2 * height, 2 * width, *channels), np.uint8)
    rows[:, ::2] = picture
    rows[:, 1::2] = cv2.filter2D(picture, -1, _MIDDLE, anchor=(1, 0), borderType=cv2.BORDER_REPLICATE)
    doubled[::2] = rows
    doubled[1::2] = cv2.filter2D(rows, -1, _MIDDLE.T, anchor=(0, 1), borderType=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(doubled, (0, 0), 1.0)
    _kept.append((picture, np.asarray(cv2.addWeighted(doubled, 1 + _SHARPENED, soft, -_SHARPENED, 0), np.uint8)))
    return _kept[-1][1]
