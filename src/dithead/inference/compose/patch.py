"""Turns a drawn crop into the change of its frame's pixels, with detail at the frame's own resolution.

A crop is too small for the pores, hairs and grain of a large face. They are taken from the source frame itself, warped
along the optical flow from the drawn mouth to the source's, and left out where the two differ too much. Where detail of
another frame is transferred, the frame's own detail is left out. Letters: S crop side; h, w the patch of the frame.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_scale
from dithead.face.compositing import Patch, paste_patch, prefiltered
from dithead.face.optical_flow import match, warp_by_flow
from dithead.inference.compose.detail_transfer import DetailTransfer
from dithead.types import RGB, Mask, Similarity

_LARGER = 0.9  # crop pixels per frame pixel from which the frame has no detail that the crop lacks
_AGREE, _DISAGREE = 10.0, 30.0  # 8-bit differences up to which detail is kept in full, and from which not at all
_SMOOTH = 0.02  # sigma that smooths the flow, as a fraction of S


class FrameCrop(NamedTuple):
    """A part of a frame, its crop, and the transform between them."""

    frame: RGB  # (h, w, 3)
    crop: RGB  # (S, S, 3)
    transform: Similarity  # (2, 3) from the frame's pixels to the crop


def patch_with_detail(view: FrameCrop, mouth: RGB, mask: Mask, transfer: DetailTransfer | None = None) -> Patch | None:
    """Make the patch that puts a drawn mouth into its frame.

    Args:
        view: The frame around the face.
        mouth: The drawn crop (S, S, 3).
        mask: (S, S) where it shows, 0 to 1.
        transfer: Detail of another frame for it.

    Returns:
        The change of the frame's pixels, or None when the mask lies outside the picture.
    """
    patch = paste_patch(view.frame, mouth, view.transform, mask)
    if patch is None:
        return None
    added = np.zeros_like(patch.difference) if transfer is None else _transferred(transfer, patch, view, mouth, mask)
    if transform_scale(view.transform) <= _LARGER:
        free = mask if transfer is None else mask * (1 - transfer.weight)
        added = added + _own_detail(view, patch, mouth, free)
    return Patch(patch.difference + added, patch.top, patch.left)


def _own_detail(view: FrameCrop, patch: Patch, mouth: RGB, mask: Mask) -> NDArray[np.float32]:
    """The detail (h, w, 3) that the frame has and its crop lacks, moved along with the mouth."""
    height, width = patch.difference.shape[:2]
    matched = match(mouth, view.crop, smooth=_SMOOTH, agree=_AGREE, disagree=_DISAGREE)
    old = view.frame[patch.top : patch.top + height, patch.left : patch.left + width].astype(np.float32)
    detail = old - _on_patch(view.crop, patch, view.transform, cv2.INTER_CUBIC).astype(np.float32)
    flow = (_on_patch(matched.flow, patch, view.transform) @ invert(view.transform)[:, :2].T).astype(np.float32)
    weight = _on_patch(matched.agreement, patch, view.transform) * _on_patch(mask, patch, view.transform)
    return np.asarray(warp_by_flow(detail, flow) * weight[..., None], np.float32)


def _transferred(
    transfer: DetailTransfer, patch: Patch, view: FrameCrop, mouth: RGB, mask: Mask
) -> NDArray[np.float32]:
    """The detail of another frame, warped to this one (h, w, 3)."""
    scale = transform_scale(view.transform)
    picture = prefiltered(transfer.picture, transfer.scale * scale)
    where = _on_patch(transfer.where, patch, view.transform)
    seen = cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    drawn = _on_patch(prefiltered(mouth, scale).astype(np.float32), patch, view.transform, cv2.INTER_CUBIC)
    weight = _on_patch(transfer.weight * mask, patch, view.transform)
    coarse = _on_patch(transfer.coarse, patch, view.transform)
    return np.asarray((seen - drawn - coarse) * weight[..., None], np.float32)


def _on_patch(
    picture: NDArray[Any], patch: Patch, transform: Similarity, interpolation: int = cv2.INTER_LINEAR
) -> NDArray[Any]:
    """Warp a picture from crop pixels to the patch of the frame (h, w, ...)."""
    back, (height, width) = invert(transform), patch.difference.shape[:2]
    back[:, 2] -= (patch.left, patch.top)
    return cv2.warpAffine(picture, back, (width, height), flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
