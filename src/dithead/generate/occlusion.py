"""What hides the mouth: hands, things before the lips, heavy blur. There the source must stay.

Hands come from MediaPipe Hands. Anything else is judged by colour: the lower lip is never bearded, and never as dark
or as differently tinted as a microphone compared with the same frame's cheeks, so where a good part of it is, something
lies over it; the thing is all that is joined to it and coloured unlike skin. Measured in ``docs/generate.md``.
Letters: S crop side, T side of a kept mask.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.align import warp_crop
from dithead.face.hands import HandFinder, hand_mask
from dithead.face.masks import jaw_line
from dithead.types import RGB, Mask, Similarity

Occlusion = Literal["auto", "off"]
"""auto: hands and things before the lips stay visible, a hidden or blurred mouth is left alone.  off: draw always."""
OCCLUSIONS: tuple[str, ...] = get_args(Occlusion)

HIDDEN, BLURRED = "mouth covered", "too blurred"
_SIDE = 80  # T
_WIDE, _WIDE_SIDE = 0.6, 256  # crop pixels to pixels of the wider view in which hands are looked for, and its side
_LIP_HIDDEN = 0.3  # share of the lower lip unlike lips from which something lies over it; real clips stay below 0.15
_ALL_HIDDEN = 0.7  # share of the lips that is covered from which no part of the mouth is worth drawing
_SHARPEST_BLUR = 0.08  # ``detail_share`` below which a face is blurred; sharp ones reach 0.19 and more
_LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78)
_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_CHEEKS = (50, 280, 205, 425, 195, 117, 346, 4)


@dataclass(frozen=True)
class Look:
    """What one look at a mouth found: ``cover`` (T, T) of what hides it, or None, and why not to draw at all."""

    cover: NDArray[np.bool_] | None = None
    reason: str = ""


class Lookout:
    """Looks at the mouths of a video's frames, one after the other; a context manager."""

    def __init__(self) -> None:
        self._finders: dict[int, HandFinder] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for finder in self._finders.values():
            finder.__exit__(kind, error, trace)

    def look(self, picture: RGB, points: NDArray[np.float32], move: Similarity, size: int, face: int) -> Look:
        """``points`` (478, 2): landmarks in the crop of ``size`` that ``move`` cuts from ``picture`` (H, W, 3)."""
        crop = warp_crop(picture, move, size)
        if detail_share(crop) < _SHARPEST_BLUR:
            return Look(reason=BLURRED)
        cover = self._hands(picture, move, size, face) | thing_before_lips(crop, points)
        lips = _inside(points[list(_LIPS)], size)
        if cover[lips].mean() > _ALL_HIDDEN:
            return Look(reason=HIDDEN)
        touches = cover[_inside(points[list(_LIPS)], size, grow=size // 5)].any()
        return Look(cv2.resize(cover.astype(np.uint8), (_SIDE, _SIDE)) > 0 if touches else None)

    def _hands(self, picture: RGB, move: Similarity, size: int, face: int) -> NDArray[np.bool_]:
        scale = _WIDE * _WIDE_SIDE / size
        wide = move * scale
        wide[:, 2] += (1 - _WIDE) / 2 * _WIDE_SIDE
        hands = self._finders.setdefault(face, HandFinder()).find(warp_crop(picture, wide, _WIDE_SIDE))
        back = [(hand - (1 - _WIDE) / 2 * _WIDE_SIDE) / scale for hand in hands]
        return hand_mask(back, size) > 0


def thing_before_lips(crop: RGB, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(S, S): what lies over the lips of a crop with landmarks ``points`` (478, 2); nothing where that is not sure."""
    size = crop.shape[0]
    near = _inside(jaw_line(points), size, grow=size // 10)  # beyond it the source stays in any case
    unlike = unlike_skin(crop, points) & near
    lower = _inside(points[list(_LOWER_LIP)], size)
    if not lower.any() or unlike[lower].mean() < _LIP_HIDDEN:
        return np.zeros((size, size), bool)
    reach = max(1, size // 50)
    whole = cv2.morphologyEx(unlike.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((2 * reach + 1,) * 2, np.uint8))
    _, parts = cv2.connectedComponents(whole)
    over = np.unique(parts[lower & (whole > 0)])
    return np.isin(parts, over[over > 0])


def unlike_skin(crop: RGB, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(S, S): pixels far darker than the cheeks, far brighter, or of a tint that neither skin nor lips have."""
    soft = cv2.GaussianBlur(crop, (0, 0), crop.shape[0] / 160).astype(np.float32) / 255
    lab = cv2.cvtColor(soft, cv2.COLOR_RGB2Lab)
    spots = [_around(lab, point) for point in points[list(_CHEEKS)]]
    skin = np.median(np.concatenate(spots), axis=0)
    light, red, yellow = np.moveaxis(lab - skin, 2, 0)
    dark = lab[..., 0] < 0.42 * skin[0]
    return np.asarray(dark | (light > 30) | (red < -10) | (np.abs(yellow) > 24))


def detail_share(crop: RGB) -> float:
    """How much of the contrast of the upper face (S, S, 3) is fine: 0.19 to 0.38 in clips, below 0.1 in heavy blur."""
    size = crop.shape[0]
    grey = crop[size // 8 : size // 2, size // 5 : -size // 5].astype(np.float32).mean(axis=2)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 0.0125 * size)
    return float(fine.std() / max(float(grey.std()), 1.0))


@dataclass
class Covers:
    """What hides the mouth in the frames of a run, by frame counted from the run's first; small when little does."""

    parts: dict[int, bytes] = field(default_factory=dict)  # packed (T, T) masks
    whole: set[int] = field(default_factory=set)  # frames in which nothing is drawn

    def add(self, offset: int, look: Look) -> None:
        if look.reason:
            self.whole.add(offset)
        elif look.cover is not None:
            self.parts[offset] = zlib.compress(np.packbits(look.cover).tobytes(), 1)

    def free(self, offset: int, size: int) -> Mask | None:
        """(S, S): how much of the drawn mouth may show in a frame, or None for all of it.

        It changes over a few frames around those in which something is seen, so that nothing pops.
        """
        hidden = max((1 - abs(j) / 5 for j in range(-4, 5) if offset + j in self.whole), default=0.0)
        near = [(1 - abs(j) / 3, offset + j) for j in (-2, -1, 0, 1, 2) if offset + j in self.parts]
        if not hidden and not near:
            return None
        cover = np.full((size, size), hidden, np.float32)
        for weight, k in near:
            cover = np.maximum(cover, weight * self._soft(k, size))
        return 1 - cover

    def _soft(self, offset: int, size: int) -> Mask:
        """The cover of one frame, a little wider and soft at its edge."""
        bits = np.frombuffer(zlib.decompress(self.parts[offset]), np.uint8)
        mask = np.unpackbits(bits, count=_SIDE * _SIDE).reshape(_SIDE, _SIDE)
        wide = cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(np.float32)
        soft = cv2.resize(cv2.GaussianBlur(wide, (0, 0), 1.0), (size, size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(1.5 * soft, 0, 1), np.float32)


def _inside(corners: NDArray[np.float32], size: int, grow: int = 0) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    if grow:
        mask = cv2.dilate(mask, np.ones((2 * grow + 1,) * 2, np.uint8))
    return mask > 0


def _around(picture: NDArray[np.float32], point: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3): the pixels within two of a point, or the nearest ones to it."""
    row, column = (int(np.clip(v, 2, picture.shape[0] - 3)) for v in (point[1], point[0]))
    return picture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3)
