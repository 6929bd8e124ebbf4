"""The source's own detail on the drawn mouth, where the face is larger in the frame than in the crop.

What the crop cannot hold (pores, hairs, the grain of lips) is taken from the source frame itself, moved along by
optical flow from the drawn mouth to the source's, and left out where the two differ too much to share it. Letters: S
crop side; h, w the patch of the frame.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_scale
from dithead.face.compositing import Patch, paste_patch, prefiltered
from dithead.face.optical_flow import match, warp_by_flow
from dithead.inference.compose.detail_transfer import DetailTransfer
from dithead.types import RGB, Mask, Similarity

_LARGER = 0.9  # crop pixels per frame pixel from which on the frame shows nothing the crop does not
_ALIKE, _UNLIKE = 10.0, 30.0  # differences in 8-bit steps up to which detail is shared in full, and from which not
_EVEN = 0.02  # sigma by which the flow is smoothed, as a fraction of S


def patch_with_detail(
    frame: RGB, mouth: RGB, source: RGB, move: Similarity, mask: Mask, lent: DetailTransfer | None = None
) -> Patch | None:
    """``paste_patch`` of ``mouth`` (S, S, 3) with the detail that ``source``, the frame's own crop, has lost, and with
    what is ``lent`` from other frames: where it is, the frame's own stays out.
    """
    patch = paste_patch(frame, mouth, move, mask)
    if patch is None:
        return None
    added = np.zeros_like(patch.difference) if lent is None else _lent(lent, patch, mouth, move, mask)
    if transform_scale(move) <= _LARGER:
        free = mask if lent is None else mask * (1 - lent.share)
        added = added + _own(frame, patch, mouth, source, move, free)
    return Patch(patch.difference + added, patch.top, patch.left)


def _own(frame: RGB, patch: Patch, mouth: RGB, source: RGB, move: Similarity, mask: Mask) -> NDArray[np.float32]:
    """(h, w, 3): what the frame shows and its crop does not, moved along with the mouth."""
    height, width = patch.difference.shape[:2]
    kin = match(mouth, source, even=_EVEN, alike=_ALIKE, unlike=_UNLIKE)
    old = frame[patch.top : patch.top + height, patch.left : patch.left + width].astype(np.float32)
    detail = old - _placed(source, patch, move, cv2.INTER_CUBIC).astype(np.float32)
    there = (_placed(kin.flow, patch, move) @ invert(move)[:, :2].T).astype(np.float32)
    share = _placed(kin.share, patch, move) * _placed(mask, patch, move)
    return np.asarray(warp_by_flow(detail, there) * share[..., None], np.float32)


def _lent(lent: DetailTransfer, patch: Patch, mouth: RGB, move: Similarity, mask: Mask) -> NDArray[np.float32]:
    """(h, w, 3): what is lent, on the frame."""
    scale = transform_scale(move)
    picture = prefiltered(lent.picture, lent.scale * scale)
    seen = cv2.remap(picture, _placed(lent.where, patch, move), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    drawn = _placed(prefiltered(mouth, scale).astype(np.float32), patch, move, cv2.INTER_CUBIC)
    share = _placed(lent.share * mask, patch, move)
    return np.asarray((seen - drawn - _placed(lent.coarse, patch, move)) * share[..., None], np.float32)


def _placed(picture: NDArray[Any], patch: Patch, move: Similarity, how: int = cv2.INTER_LINEAR) -> NDArray[Any]:
    """A picture of the crop that ``move`` makes, on the patch of the frame (h, w, ...)."""
    back, (height, width) = invert(move), patch.difference.shape[:2]
    back[:, 2] -= (patch.left, patch.top)
    return cv2.warpAffine(picture, back, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
