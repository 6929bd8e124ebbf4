"""Makes the masks of a tracklet from what was found to hide its mouth, frame by frame.

What one frame alone cannot tell is decided here: hands that are seen once, paint, beards, and lips whose colour is away
for a while. Letters: S crop side, T side of a kept mask.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.inference.analyse.occlusion import MASK_SIDE, OcclusionFinding
from dithead.inference.analyse.occlusion_colour import NEIGHBOURS, tints_away, unlike_skin
from dithead.types import RGB, Mask

RESIDUAL_BYTES = MASK_SIDE * MASK_SIDE // 8
"""Length of ``OcclusionMasks.residual`` in bytes: one bit for each of T x T cells."""
_PAINTED = 0.5  # share of a tracklet in which lips that look painted are painted, not covered (our choice)
_NEAR_CERTAIN = 250  # frames around a certain occluder beside the lips in which an uncertain one counts, too
_BEARDED = 0.25  # share of bearded frames in a tracklet from which no occluder beside the lips is believed


@dataclass
class OcclusionMasks:
    """What hides the mouth in a tracklet's frames, by frame counted from its first; small when little does."""

    parts: dict[int, bytes] = field(default_factory=dict)  # packed (T, T) masks
    hidden: set[int] = field(default_factory=set)  # frames in which nothing is drawn
    residual: bytes = b""  # bits (T, T): wherever an occluder was beside the lips; the model may draw it again

    def visible(self, offset: int, size: int) -> Mask | None:
        """Return how much of the drawn mouth may show in a frame.

        The mask changes over a few frames around those with an occluder, so that nothing appears suddenly.

        Args:
            offset: Number of the frame, counted from the tracklet's first.
            size: Crop side S.

        Returns:
            (S, S) from 0 to 1, or None where all of the mouth may show.
        """
        hidden = max((1 - abs(j) / 5 for j in range(-4, 5) if offset + j in self.hidden), default=0.0)
        near = [(1 - abs(j) / 3, offset + j) for j in (-2, -1, 0, 1, 2) if offset + j in self.parts]
        if not hidden and not near:
            return None
        cover = np.full((size, size), hidden, np.float32)
        for weight, k in near:
            cover = np.maximum(cover, weight * _softened(_unpacked(self.parts[k]), size))
        return 1 - cover

    def without_residual_occluder(
        self, mouth: RGB, source: RGB, cheeks: NDArray[np.float32], core: Mask
    ) -> Mask | None:
        """Return where the drawn crop may show, (S, S): 0 where the model has drawn an occluder that the source lacks.

        Args:
            mouth: The drawn crop (S, S, 3).
            source: The source's crop (S, S, 3).
            cheeks: (8, 2) where skin is.
            core: (S, S) the lips and a margin: an opened mouth is dark, but no occluder.

        Returns:
            The mask, or None when nothing was ever found beside these lips.
        """
        if not self.residual:
            return None
        size = mouth.shape[0]
        once = _mask_of_bits(self.residual)
        near = cv2.resize(cv2.dilate(once, np.ones((9, 9), np.uint8)), (size, size)) > 0
        lips = cv2.dilate((core > 0.05).astype(np.uint8), np.ones((size // 40 + 1,) * 2, np.uint8)) > 0
        drawn = near & ~lips & unlike_skin(mouth, cheeks, skin_of=source) & ~unlike_skin(source, cheeks)
        wide = cv2.dilate(drawn.astype(np.float32), np.ones((size // 16 + 1,) * 2, np.uint8))
        return 1 - np.asarray(cv2.GaussianBlur(wide, (0, 0), size / 60) * (1 - core), np.float32)


class OcclusionCollector:
    """Collects the findings of a tracklet's frames while they come, and makes masks of them.

    A hand that is found on one frame and on none of those around it is a mistake: an open mouth was taken for it. What
    ends where the lips end, in most frames of a tracklet, is their paint; in a few frames it is an occluder.
    """

    def __init__(self) -> None:
        self._masks = OcclusionMasks()
        self._pending: deque[OcclusionFinding] = deque()
        self._had_hand: deque[bool] = deque(maxlen=NEIGHBOURS)
        self._frames, self._bearded = 0, 0
        self._painted: dict[int, bytes] = {}  # by frame: the masks if it were no paint; empty: all is hidden
        self._tints = array("f")
        self._beside: dict[int, bytes] = {}  # what may lie beside the lips, near frames in which it certainly does
        self._waiting: deque[tuple[int, bytes]] = deque(maxlen=_NEAR_CERTAIN)
        self._certain, self._certain_until = 0, -1

    def add(self, finding: OcclusionFinding | None) -> None:
        """Take the next frame's finding; None for a frame that was not searched."""
        self._pending.append(finding or OcclusionFinding())
        if len(self._pending) > NEIGHBOURS:
            self._settle()

    def close(self) -> OcclusionMasks:
        """Return the masks of the frames so far."""
        while self._pending:
            self._settle()
        is_painted = len(self._painted) > _PAINTED * self._frames
        if not is_painted:
            for offset, data in self._painted.items():
                self._cover(offset, data)
        if self._certain > 1 and self._bearded <= _BEARDED * self._frames:
            anywhere = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
            for offset, data in self._beside.items():
                anywhere |= _unpacked(data)
                known = self._masks.parts.get(offset)
                self._masks.parts[offset] = data if known is None else _packed(_unpacked(data) | _unpacked(known))
            self._masks.residual = np.packbits(anywhere).tobytes()
        if not is_painted:  # paint changes its colour far more, with every opening of the mouth
            away = tints_away(np.frombuffer(self._tints, np.float32).reshape(-1, 3))
            self._masks.hidden.update(np.flatnonzero(away).tolist())
        return self._masks

    def _settle(self) -> None:
        """Note the earliest pending frame, whose neighbours on both sides are known now."""
        finding = self._pending.popleft()
        lasts = any(self._had_hand) or any(each.without_hands is not None for each in self._pending)
        self._had_hand.append(finding.without_hands is not None)
        self._note(finding if finding.without_hands is None or lasts else finding.without_hands)

    def _note(self, finding: OcclusionFinding) -> None:
        offset, self._frames = self._frames, self._frames + 1
        if finding.reason or finding.cover is not None:
            self._cover(offset, _cover_data(finding))
        if finding.if_covered is not None:
            self._painted[offset] = _cover_data(finding.if_covered)
        self._tints.extend(finding.tint if finding.cover is None and not finding.reason else (np.nan,) * 3)
        self._bearded += finding.bearded
        if finding.certain:
            self._certain, self._certain_until = self._certain + 1, offset + _NEAR_CERTAIN
        if finding.beside is not None:
            self._waiting.append((offset, _packed(finding.beside)))
        if offset <= self._certain_until:
            self._beside.update([item for item in self._waiting if item[0] > offset - _NEAR_CERTAIN])
            self._waiting.clear()

    def _cover(self, offset: int, data: bytes) -> None:
        """Note the packed mask of a frame, or that all of its mouth is hidden (no bytes)."""
        if data:
            self._masks.parts[offset] = data
        else:
            self._masks.hidden.add(offset)


def _cover_data(finding: OcclusionFinding) -> bytes:
    return b"" if finding.reason or finding.cover is None else _packed(finding.cover)


def _packed(cover: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    return zlib.compress(np.packbits(cover.astype(bool)).tobytes(), 1)


def _unpacked(data: bytes) -> NDArray[np.uint8]:
    return _mask_of_bits(zlib.decompress(data))


def _mask_of_bits(bits: bytes) -> NDArray[np.uint8]:
    whole = np.unpackbits(np.frombuffer(bits, np.uint8), count=MASK_SIDE * MASK_SIDE)
    return whole.reshape(MASK_SIDE, MASK_SIDE)


def _softened(cover: NDArray[np.uint8], size: int) -> Mask:
    """A mask (T, T) as (S, S), a little wider and soft at its edge."""
    wide = cv2.dilate(cover, np.ones((3, 3), np.uint8)).astype(np.float32)
    soft = cv2.resize(cv2.GaussianBlur(wide, (0, 0), 1.0), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(1.5 * soft, 0, 1), np.float32)
