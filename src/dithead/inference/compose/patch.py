"""Turns a drawn crop into the change of its frame's pixels, with detail at the frame's own resolution.

A crop is too small for the pores, hairs and grain of a large face. They are taken from the source frame itself, warped
along the optical flow from the drawn mouth to the source's, and left out where the two differ too much. Where detail of
another frame is transferred, the frame's own detail is left out. Letters: S crop side; h, w the patch of the frame.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_scale
from dithead.face.compositing import BLURRED_ABOVE, Pasted, Patch, paste, prefiltered, warp_cubic, weighted
from dithead.face.optical_flow import match, warp_by_flow
from dithead.inference.compose.detail_transfer import DetailTransfer
from dithead.types import RGB, Mask, RGBLike, Similarity

_LARGER = 0.9  # crop pixels per frame pixel from which the frame has no detail that the crop lacks
_AGREE, _DISAGREE = 10.0, 30.0  # 8-bit differences up to which detail is kept in full, and from which not at all
_NOTHING = 0.01  # mean weight up to which the frame's own detail is left out: it would change no pixel by a level
_HALVED_FROM = 2.0  # enlargement from which smooth fields are warped at half the size
_SHARPENED = 0.15  # added contrast against the softness of linear interpolation (docs/log)
_SMOOTH = 0.02  # sigma that smooths the flow, as a fraction of S


_kept: deque[tuple[RGB, RGB]] = deque(maxlen=8)  # pictures and their doubles, see ``_doubled``
_MIDDLE = np.array([[-3, 19, 19, -3]]) / 32  # OpenCV's cubic half-way between two pixels


class FrameCrop(NamedTuple):
    """A part of a frame, its crop or a part of that, and the transform between them."""

    frame: RGBLike  # (H, W, 3)
    crop: RGB  # (S, S, 3)
    transform: Similarity  # (2, 3) from the frame's pixels to the crop


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
    pasted = paste(view.frame, mouth, view.transform, mask)
    if pasted is None:
        return None
    warp = _ToPatch(view.transform, pasted)
    change = weighted(cv2.subtract(pasted.face, pasted.old, dtype=cv2.CV_32F), pasted.weight)
    if transfer is not None:
        change += _transferred(transfer, warp, mask)
    if transform_scale(view.transform) <= _LARGER:
        free = mask if transfer is None else mask * (1 - transfer.weight)
        if free.mean() > _NOTHING:
            change += _own_detail(view, warp, mouth, free, size or len(mouth))
    return Patch(change, pasted.top, pasted.left)


class _ToPatch:
    """Warps pictures from crop pixels to a patch of the frame (h, w, ...)."""

    def __init__(self, transform: Similarity, pasted: Pasted) -> None:
        self.pasted, self.scale, self.back = pasted, transform_scale(transform), invert(transform)
        self.back[:, 2] -= (pasted.left, pasted.top)
        self.size = pasted.weight.shape[::-1]

    def picture(self, picture: RGB) -> RGB:
        """Warp a ``picture`` (S, S, 3); beyond its edge the edge is repeated."""
        return warp_cubic(picture, self.back, self.size)

    def field(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        """Warp a ``field`` (S, S, ...) without detail, such as a blurred mask; beyond its edge the edge is repeated.

        Much enlarged, it is warped at half the size and doubled, which takes half the time.
        """
        (width, height), back = self.size, self.back
        if halved := 1 / self.scale >= _HALVED_FROM:
            half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
            back = half[:, :2] @ back + np.array([[0, 0, half[0, 2]], [0, 0, half[1, 2]]])
            width, height = -(-width // 2), -(-height // 2)
        warped = cv2.warpAffine(field, back, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if halved:
            whole = cv2.resize(warped, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
            warped = whole[: self.size[1], : self.size[0]]
        return np.asarray(warped, np.float32)


def _own_detail(view: FrameCrop, warp: _ToPatch, mouth: RGB, mask: Mask, size: int) -> NDArray[np.float32]:
    """The detail (h, w, 3) that the frame has and its crop lacks, moved along with the mouth."""
    matched = match(mouth, view.crop, smooth=_SMOOTH, agree=_AGREE, disagree=_DISAGREE, size=size)
    detail = cv2.subtract(warp.pasted.old, warp.picture(view.crop), dtype=cv2.CV_32F)
    flow = cv2.transform(matched.flow, warp.back[:, :2])
    flow_and_weights = warp.field(cv2.merge([*cv2.split(flow), matched.agreement, mask]))
    flow = flow_and_weights[..., :2]
    weight = cv2.multiply(*cv2.split(flow_and_weights)[2:])
    return weighted(warp_by_flow(detail, flow), weight)


def _doubled(picture: RGB) -> RGB:
    """Put a pixel between each two of a picture by cubics, so that linear interpolation is enough from then on.

    They are kept: a donor stays the same for many frames, a tracklet has few, and warping linearly takes a third of the
    time. What linear interpolation takes off fine contrast is added beforehand.
    """
    for kept, doubled in tuple(_kept):  # another thread may add one meanwhile
        if kept is picture:
            return doubled
    height, width = picture.shape[:2]
    rows, doubled = np.empty((height, 2 * width, 3), np.uint8), np.empty((2 * height, 2 * width, 3), np.uint8)
    rows[:, ::2] = picture
    rows[:, 1::2] = cv2.filter2D(picture, -1, _MIDDLE, anchor=(1, 0), borderType=cv2.BORDER_REPLICATE)
    doubled[::2] = rows
    doubled[1::2] = cv2.filter2D(rows, -1, _MIDDLE.T, anchor=(0, 1), borderType=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(doubled, (0, 0), 1.0)
    _kept.append((picture, np.asarray(cv2.addWeighted(doubled, 1 + _SHARPENED, soft, -_SHARPENED, 0), np.uint8)))
    return _kept[-1][1]


def _transferred(transfer: DetailTransfer, warp: _ToPatch, mask: Mask) -> NDArray[np.float32]:
    """The detail of another frame, warped to this one (h, w, 3)."""
    picture, doubled = transfer.picture, transfer.scale * warp.scale <= BLURRED_ABOVE
    picture = _doubled(picture) if doubled else prefiltered(picture, transfer.scale * warp.scale)
    where = 2 * transfer.where if doubled else transfer.where
    place_and_weight = warp.field(cv2.merge([*cv2.split(where), cv2.multiply(transfer.weight, mask)]))
    seen = cv2.remap(picture, place_and_weight[..., :2], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    fine = cv2.subtract(cv2.subtract(seen, warp.pasted.face, dtype=cv2.CV_32F), warp.field(transfer.coarse))
    return weighted(fine, place_and_weight[..., 2])
