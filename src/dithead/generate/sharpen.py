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
from dithead.types import RGB, Mask, Similarity

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
    flow = cv2.GaussianBlur(_matcher().calc(new, old, None), (0, 0), _EVEN * size)
    there = _grid(size, size) + flow
    moved = cv2.remap(source, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap = cv2.GaussianBlur(np.abs(moved.astype(np.float32) - mouth).max(axis=2), (0, 0), 0.012 * size)
    share = np.clip((_UNLIKE - gap) / (_UNLIKE - _ALIKE), 0, 1)
    return Kinship(flow, cv2.GaussianBlur(share, (0, 0), 0.01 * size).astype(np.float32))


def crispened(mouth: RGB, reference: RGB, core: Mask) -> RGB:
    """``mouth`` with the fine contrast that ``reference`` has in ``core`` (all of side S), at most doubled.

    The decoder loses a fifth of it. It can be given back, not made true: see ``docs/generate.md``.
    """
    here = core > 0.5
    fine, wanted = _fine(mouth), float(_fine(reference)[here].std())
    gain = np.clip(wanted / max(float(fine[here].std()), 1e-3) - 1, 0, 1)
    return np.asarray(np.clip(np.rint(mouth + gain * core[..., None] * fine), 0, 255), np.uint8)


def detailed_patch(frame: RGB, mouth: RGB, source: RGB, move: Similarity, mask: Mask) -> Patch | None:
    """``paste_patch`` of ``mouth`` (S, S, 3) with the detail that ``source``, the frame's own crop, has lost."""
    patch = paste_patch(frame, mouth, move, mask)
    if patch is None or transform_scale(move) > _LARGER:
        return patch
    kin = kinship(mouth, source)
    height, width = patch.difference.shape[:2]
    back = invert(move)
    back[:, 2] -= (patch.left, patch.top)

    def enlarged(picture: Any, how: int = cv2.INTER_LINEAR) -> NDArray[Any]:
        return cv2.warpAffine(picture, back, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)

    old = frame[patch.top : patch.top + height, patch.left : patch.left + width].astype(np.float32)
    detail = old - enlarged(source, cv2.INTER_CUBIC).astype(np.float32)
    there = _grid(height, width) + (enlarged(kin.flow) @ back[:, :2].T).astype(np.float32)
    detail = cv2.remap(detail, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    detail *= (enlarged(kin.share) * enlarged(mask))[..., None]
    return Patch(patch.difference + detail, patch.top, patch.left)


def _fine(picture: RGB) -> NDArray[np.float32]:
    whole = picture.astype(np.float32)
    return np.asarray(whole - cv2.GaussianBlur(whole, (0, 0), picture.shape[0] / 110), np.float32)


def _grid(height: int, width: int) -> NDArray[np.float32]:
    """(h, w, 2): every pixel's own x and y."""
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def _matcher() -> Any:
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
