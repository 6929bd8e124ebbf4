"""What hides the mouth: hands, things before the lips, heavy blur. There the source must stay.

Hands come from MediaPipe Hands, anything else is judged by colour (``things``). Measured in ``docs/generate.md``.
Letters: S crop side, T side of a kept mask.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal, Self, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import warp_crop
from dithead.face.hands import HandFinder, hand_mask
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.inference.analyse.occlusion_colour import (
    NEIGHBOURS,
    inside,
    lip_tint,
    thing_before_lips,
    thing_beside_lips,
    tints_away,
    unlike_skin,
)
from dithead.types import RGB, Mask, Similarity

Occlusion = Literal["auto", "off"]
"""auto: hands and things before the lips stay visible, a hidden or blurred mouth is left alone.  off: draw always."""
OCCLUSIONS: tuple[str, ...] = get_args(Occlusion)

HIDDEN, BLURRED = "mouth covered", "too blurred"
_SIDE = 80  # T
HAUNTED = _SIDE * _SIDE // 8  # bytes of ``Covers.haunted``
_WIDE, _WIDE_SIDE = 0.6, 256  # crop pixels to pixels of the wider view in which hands are looked for, and its side
_ALL_HIDDEN = 0.7  # share of the lips that is covered from which no part of the mouth is worth drawing
_SHARPEST_BLUR = 0.08  # ``detail_share`` below which a face is blurred; sharp ones reach 0.19 and more
_NEAR_SURE = 250  # frames around one with a sure thing beside the lips in which less is taken for it too
_BEARDED = 0.25  # share of a run's frames that look bearded from which on nothing beside the lips is believed


@dataclass(frozen=True)
class Look:
    """What one look at a mouth found: ``cover`` (T, T) of what hides it, or None, and why not to draw at all.

    beside, sure, bearded: see ``things.Beside``.  tint: of the lips, see ``things.lip_tint``.
    handless: what would have been found without the hands that were; None if there were none.
    """

    cover: NDArray[np.bool_] | None = None
    reason: str = ""
    beside: NDArray[np.bool_] | None = None
    sure: bool = False
    bearded: bool = False
    tint: tuple[float, ...] = (np.nan,) * 3
    handless: Look | None = None


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
        hands = self._hands(picture, move, size, face)
        found = seen_in(crop, points, hands)
        return replace(found, handless=seen_in(crop, points, np.zeros_like(hands))) if hands.any() else found

    def _hands(self, picture: RGB, move: Similarity, size: int, face: int) -> NDArray[np.bool_]:
        scale = _WIDE * _WIDE_SIDE / size
        wide = move * scale
        wide[:, 2] += (1 - _WIDE) / 2 * _WIDE_SIDE
        hands = self._finders.setdefault(face, HandFinder()).find(warp_crop(picture, wide, _WIDE_SIDE))
        back = [(hand - (1 - _WIDE) / 2 * _WIDE_SIDE) / scale for hand in hands]
        return hand_mask(back, size) > 0


def seen_in(crop: RGB, points: NDArray[np.float32], hands: NDArray[np.bool_]) -> Look:
    """What hides the mouth in a crop (S, S, 3) with landmarks ``points`` (478, 2) and ``hands`` (S, S) found in it."""
    size, unlike = crop.shape[0], unlike_skin(crop, points[list(CHEEKS)])
    cover = hands | thing_before_lips(unlike, points)
    lips = inside(points[list(OUTER_LIPS)], size)
    if cover[lips].mean() > _ALL_HIDDEN:
        return Look(reason=HIDDEN)
    touches = cover[inside(points[list(OUTER_LIPS)], size, grow=size // 5)].any()
    found = thing_beside_lips(unlike, points)
    return Look(
        cover=_small(cover) if touches else None,
        beside=_small(found.thing) if found.thing.any() else None,
        sure=found.sure,
        bearded=found.bearded,
        tint=tuple(lip_tint(crop, points).tolist()),
    )


def _small(cover: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cv2.resize(cover.astype(np.uint8), (_SIDE, _SIDE)) > 0


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
    haunted: bytes = b""  # bits (T, T): wherever in the run a thing was beside the lips; the model may draw it again

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
            cover = np.maximum(cover, weight * _softened(_unpacked(self.parts[k]), size))
        return 1 - cover

    def ghostless(self, mouth: RGB, source: RGB, cheeks: NDArray[np.float32], core: Mask) -> Mask | None:
        """(S, S): 0 where the drawn crop shows a thing that the source's (both (S, S, 3)) has not there; else 1.

        core (S, S): the lips and a margin; an opened mouth is dark, and no thing.
        """
        if not self.haunted:
            return None
        size = mouth.shape[0]
        once = np.unpackbits(np.frombuffer(self.haunted, np.uint8), count=_SIDE * _SIDE).reshape(_SIDE, _SIDE)
        near = cv2.resize(cv2.dilate(once, np.ones((9, 9), np.uint8)), (size, size)) > 0
        lips = cv2.dilate((core > 0.05).astype(np.uint8), np.ones((size // 40 + 1,) * 2, np.uint8)) > 0
        ghost = near & ~lips & unlike_skin(mouth, cheeks, skin_of=source) & ~unlike_skin(source, cheeks)
        wide = cv2.dilate(ghost.astype(np.float32), np.ones((size // 16 + 1,) * 2, np.uint8))
        return 1 - np.asarray(cv2.GaussianBlur(wide, (0, 0), size / 60) * (1 - core), np.float32)


class Watch:
    """Collects looks at the frames of a run while they come, and makes covers of them.

    A hand seen on one frame and on none of those around it is none: an open mouth was taken for it.
    """

    def __init__(self) -> None:
        self._covers = Covers()
        self._coming: deque[Look] = deque()
        self._handed: deque[bool] = deque(maxlen=NEIGHBOURS)
        self._frames, self._bearded = 0, 0
        self._tints = array("f")
        self._beside: dict[int, bytes] = {}  # what may lie beside the lips, around the frames in which it surely does
        self._waiting: deque[tuple[int, bytes]] = deque(maxlen=_NEAR_SURE)
        self._sure, self._sure_until = 0, -1

    def add(self, look: Look | None) -> None:
        """The next frame; None: it was not looked at."""
        self._coming.append(look or Look())
        if len(self._coming) > NEIGHBOURS:
            self._take()

    def _take(self) -> None:
        """Note the first of the frames that are coming."""
        look = self._coming.popleft()
        lasts = any(self._handed) or any(each.handless is not None for each in self._coming)
        self._handed.append(look.handless is not None)
        self._note(look if look.handless is None or lasts else look.handless)

    def _note(self, look: Look) -> None:
        offset, self._frames = self._frames, self._frames + 1
        if look.reason:
            self._covers.whole.add(offset)
        elif look.cover is not None:
            self._covers.parts[offset] = _packed(look.cover)
        self._tints.extend(look.tint if look.cover is None and not look.reason else (np.nan,) * 3)
        self._bearded += look.bearded
        if look.sure:
            self._sure, self._sure_until = self._sure + 1, offset + _NEAR_SURE
        if look.beside is not None:
            self._waiting.append((offset, _packed(look.beside)))
        if offset <= self._sure_until:
            near = [item for item in self._waiting if item[0] > offset - _NEAR_SURE]
            self._beside.update(near)
            self._waiting.clear()

    def close(self) -> Covers:
        """What hides the mouth in the frames so far."""
        while self._coming:
            self._take()
        if self._sure > 1 and self._bearded <= _BEARDED * self._frames:
            anywhere = np.zeros((_SIDE, _SIDE), np.uint8)
            for offset, data in self._beside.items():
                anywhere |= _unpacked(data)
                known = self._covers.parts.get(offset)
                self._covers.parts[offset] = data if known is None else _packed(_unpacked(data) | _unpacked(known))
            self._covers.haunted = np.packbits(anywhere).tobytes()
        away = tints_away(np.frombuffer(self._tints, np.float32).reshape(-1, 3))
        self._covers.whole.update(np.flatnonzero(away).tolist())
        return self._covers


def _packed(cover: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    return zlib.compress(np.packbits(cover.astype(bool)).tobytes(), 1)


def _unpacked(data: bytes) -> NDArray[np.uint8]:
    bits = np.frombuffer(zlib.decompress(data), np.uint8)
    return np.unpackbits(bits, count=_SIDE * _SIDE).reshape(_SIDE, _SIDE)


def _softened(cover: NDArray[np.uint8], size: int) -> Mask:
    """A cover (T, T) as (S, S), a little wider and soft at its edge."""
    wide = cv2.dilate(cover, np.ones((3, 3), np.uint8)).astype(np.float32)
    soft = cv2.resize(cv2.GaussianBlur(wide, (0, 0), 1.0), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(1.5 * soft, 0, 1), np.float32)
