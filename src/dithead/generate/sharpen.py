"""The source's own detail on the drawn mouth, where the face is larger in the frame than in the crop.

What the crop cannot hold (pores, hairs, the grain of lips) is taken from the source frame itself, moved along by
optical flow from the drawn mouth to the source's, and left out where the two differ too much to share it. Letters: S
crop side; h, w the patch of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.align import invert, transform_scale
from dithead.face.composite import Patch, paste_patch
from dithead.generate.lend import Loan
from dithead.generate.morph import flow, moved
from dithead.types import RGB, Mask, Similarity

_SHRUNK = 1.35  # lent pixels per frame pixel from which on they would alias
_LARGER = 0.9  # crop pixels per frame pixel from which on the frame shows nothing the crop does not
_ALIKE, _UNLIKE = 10.0, 30.0  # differences in 8-bit steps up to which detail is shared in full, and from which not
_EVEN = 0.02  # sigma by which the flow is smoothed, as a fraction of S: its noise would make skin crawl


@dataclass(frozen=True)
class Kinship:
    """Where the detail of a drawn crop lies in the source's crop, and how far it fits."""

    flow: NDArray[np.float32]  # (S, S, 2) crop pixels from the drawn to the source's place
    share: Mask  # (S, S)


def kinship(mouth: RGB, source: RGB) -> Kinship:
    """Match a drawn crop with the source's (both (S, S, 3))."""
    size = mouth.shape[0]
    new, old = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (mouth, source))
    there = cv2.GaussianBlur(flow(new, old), (0, 0), _EVEN * size)
    gap = cv2.GaussianBlur(np.abs(moved(source, there) - mouth).max(axis=2), (0, 0), 0.012 * size)
    share = np.clip((_UNLIKE - gap) / (_UNLIKE - _ALIKE), 0, 1)
    return Kinship(there, cv2.GaussianBlur(share, (0, 0), 0.01 * size).astype(np.float32))


def detailed_patch(
    frame: RGB, mouth: RGB, source: RGB, move: Similarity, mask: Mask, lent: Loan | None = None
) -> Patch | None:
    """``paste_patch`` of ``mouth`` (S, S, 3) with the detail that ``source``, the frame's own crop, has lost, and with
    what is ``lent`` from other frames: where it is, the frame's own stays out.
    """
    patch = paste_patch(frame, mouth, move, mask)
    if patch is None:
        return None
    height, width = patch.difference.shape[:2]
    back = invert(move)
    back[:, 2] -= (patch.left, patch.top)
    added = np.zeros_like(patch.difference) if lent is None else _pasted(lent, move, back, (height, width), mask)
    if transform_scale(move) <= _LARGER:
        free = mask if lent is None else mask * (1 - lent.share)
        added = added + _own(frame, patch, mouth, source, back, free)
    return Patch(patch.difference + added, patch.top, patch.left)


def _own(frame: RGB, patch: Patch, mouth: RGB, source: RGB, back: Similarity, mask: Mask) -> NDArray[np.float32]:
    """(h, w, 3): what the frame shows and its crop does not, moved along with the mouth."""
    height, width = patch.difference.shape[:2]
    kin = kinship(mouth, source)
    old = frame[patch.top : patch.top + height, patch.left : patch.left + width].astype(np.float32)
    detail = old - _enlarged(source, back, (height, width), cv2.INTER_CUBIC).astype(np.float32)
    there = (_enlarged(kin.flow, back, (height, width)) @ back[:, :2].T).astype(np.float32)
    share = _enlarged(kin.share, back, (height, width)) * _enlarged(mask, back, (height, width))
    return np.asarray(moved(detail, there) * share[..., None], np.float32)


def _pasted(lent: Loan, move: Similarity, back: Similarity, shape: tuple[int, int], mask: Mask) -> NDArray[np.float32]:
    """(h, w, 3): what is lent, on the frame."""
    factor = lent.detail.shape[0] / mask.shape[0]
    shrunk = transform_scale(move) * factor
    detail = cv2.GaussianBlur(lent.detail, (0, 0), 0.45 * shrunk) if shrunk > _SHRUNK else lent.detail
    from_large = back.copy()
    from_large[:, :2] /= factor
    from_large[:, 2] += back[:, :2] @ np.full(2, 0.5 / factor - 0.5)
    weight = _enlarged(mask, back, shape)[..., None]
    return np.asarray(_enlarged(detail, from_large, shape, cv2.INTER_CUBIC) * weight, np.float32)


def _enlarged(picture: Any, back: Similarity, shape: tuple[int, int], how: int = cv2.INTER_LINEAR) -> NDArray[Any]:
    return cv2.warpAffine(picture, back, shape[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)
