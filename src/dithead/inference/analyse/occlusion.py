"""Finds what hides the mouth (hands, other occluders, heavy blur), where the source's pixels must stay.

Hands come from a hand detector, anything else is judged by colour (``occlusion_colour``). docs/explanation/occlusion.md
says how well this works. Letters: S crop side, T side of a kept mask.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import warp_crop
from dithead.face.hands import HandFinder, hand_mask
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.inference.analyse.false_hands import FalseHands
from dithead.inference.analyse.occlusion_colour import (
    NEIGHBOURS,
    inside,
    is_lip_paint,
    lip_tint,
    mean_of_channels,
    occluder_before_lips,
    occluder_beside_lips,
    skin_colour,
    soft_lab,
    tints_away,
    unlike_colour,
    unlike_skin,
)
from dithead.inference.analyse.overlays import overlay_mask
from dithead.stages import stage
from dithead.types import RGB, Mask, RGBLike, Similarity

HIDDEN, BLURRED = "mouth covered", "too blurred"
_SIDE = 80  # T, of the masks that are kept
RESIDUAL_BYTES = _SIDE * _SIDE // 8
"""Length of ``OcclusionMasks.residual`` in bytes: one bit for each of T x T cells."""
VIEW_SCALE = 0.6
"""Width of the crop over that of the view in which hands are searched (our choice)."""
_VIEW_SIDE = 256  # pixels of that view
_ALL_HIDDEN = 0.7  # covered share of the lips from which no part of the mouth is drawn (our choice)
_SHARPEST_BLUR = 0.08  # ``detail_share`` below which a face is blurred; sharp ones reach 0.19 and more (docs/log)
_PAINTED = 0.5  # share of a tracklet in which lips that look painted are painted, not covered (our choice)
_NEAR_CERTAIN = 250  # frames around a certain occluder beside the lips in which an uncertain one counts, too
_BEARDED = 0.25  # share of bearded frames in a tracklet from which no occluder beside the lips is believed


@dataclass(frozen=True)
class OcclusionFinding:
    """What hides the mouth in one frame."""

    cover: NDArray[np.bool_] | None = None  # (T, T): the occluders on or near the lips
    reason: str = ""  # why nothing should be drawn at all
    beside: NDArray[np.bool_] | None = None  # (T, T): what may lie over the face beside the lips
    certain: bool = False  # ``beside`` is an occluder for certain, see ``OccluderBeside``
    bearded: bool = False  # a beard would hide what is beside the lips
    tint: tuple[float, ...] = (np.nan,) * 3  # of the lips, see ``lip_tint``
    without_hands: OcclusionFinding | None = None  # the finding if the hands found were none; None without hands
    overlay: NDArray[np.bool_] | None = None  # (T, T): burned-in text over the lower face, which ``cover`` has, too
    if_covered: OcclusionFinding | None = None  # the finding if what looks like paint on the lips lay over them


class OcclusionDetector:
    """Finds what hides the mouths in a video's frames, one after the other; a context manager."""

    def __init__(self) -> None:
        self._finders: dict[int, HandFinder] = {}
        self._false_hands: dict[int, FalseHands] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for finder in self._finders.values():
            finder.__exit__(kind, error, trace)

    def load(self) -> None:
        """Load the networks for the main face now, not on first use. Raises ModelError as ``HandFinder.load`` does."""
        self._finders.setdefault(0, HandFinder()).load()

    def find(
        self, picture: RGBLike, points: NDArray[np.float32], transform: Similarity, size: int, face: int
    ) -> OcclusionFinding:
        """Find what hides one mouth.

        Args:
            picture: The frame (H, W, 3).
            points: (478, 2) landmarks in the crop.
            transform: (2, 3) from frame pixels to the crop.
            size: Crop side S.
            face: The face's number; each face has a hand detector of its own, which tracks.
        """
        with stage("occluders"):
            return self._find(picture, points, transform, size, face)

    def _find(
        self, picture: RGBLike, points: NDArray[np.float32], transform: Similarity, size: int, face: int
    ) -> OcclusionFinding:
        scale, margin = _view_place(size)
        wide = transform * scale
        wide[:, 2] += margin
        view = warp_crop(picture, wide, _VIEW_SIDE)
        crop = _crop_of_view(view, size)
        if detail_share(crop) < _SHARPEST_BLUR:
            return OcclusionFinding(reason=BLURRED)
        hands = self._hands(view, crop, points, face)
        found = finding_in(crop, points, hands)
        if not hands.any():
            return found
        return replace(found, without_hands=finding_in(crop, points, np.zeros_like(hands)))

    def _hands(self, view: RGB, crop: RGB, points: NDArray[np.float32], face: int) -> NDArray[np.bool_]:
        """Where hands are (S, S), searched in a wider view than the crop."""
        size = crop.shape[0]
        with stage("hands"):
            found = self._finders.setdefault(face, HandFinder()).find(view)
        scale, margin = _view_place(size)
        hands = [(hand - margin) / scale for hand in found]
        if hands:
            hands = self._false_hands.setdefault(face, FalseHands()).without(hands, points, soft_lab(crop))
        return hand_mask(hands, size) > 0


def _view_place(size: int) -> tuple[float, float]:
    """Pixels of the view for one of the crop, and where in the view the crop begins."""
    return VIEW_SCALE * _VIEW_SIDE / size, (1 - VIEW_SCALE) / 2 * _VIEW_SIDE


def _crop_of_view(view: RGB, size: int) -> RGB:
    """The crop (S, S, 3) out of the view around it, which spares a second warp of the frame."""
    scale, margin = _view_place(size)
    place = np.array([[1 / scale, 0, -margin / scale], [0, 1 / scale, -margin / scale]])
    if scale < 1:
        return np.asarray(cv2.warpAffine(view, place, (size, size), flags=cv2.INTER_CUBIC), np.uint8)
    return warp_crop(view, place, size)


def finding_in(crop: RGB, points: NDArray[np.float32], hands: NDArray[np.bool_]) -> OcclusionFinding:
    """Find what hides the mouth in a crop.

    Args:
        crop: (S, S, 3).
        points: (478, 2) landmarks in the crop.
        hands: (S, S) pixels of the crop that show a hand.
    """
    lab = soft_lab(crop)
    unlike = unlike_colour(lab, skin_colour(lab, points[list(CHEEKS)]))
    before, text = occluder_before_lips(unlike, points), overlay_mask(crop, points, unlike)
    if text.any():
        return _with_overlay(_finding(lab, points, unlike, hands | before | text), text, hands)
    found = _finding(lab, points, unlike, hands | before)
    if not is_lip_paint(before, lab, points):
        return found
    return replace(_finding(lab, points, unlike, hands), if_covered=found)


def _with_overlay(found: OcclusionFinding, text: NDArray[np.bool_], hands: NDArray[np.bool_]) -> OcclusionFinding:
    """A finding where there is text over the face: it stays, wherever it lies, but it does not hide a whole mouth."""
    if found.reason and not hands.any():
        found = OcclusionFinding()
    cover = _reduced(text) if found.cover is None else found.cover | _reduced(text)
    return replace(found, cover=None if found.reason else cover, overlay=_reduced(text))


def _finding(
    lab: NDArray[np.float32], points: NDArray[np.float32], unlike: NDArray[np.bool_], cover: NDArray[np.bool_]
) -> OcclusionFinding:
    """What hides the mouth in a crop, where ``cover`` (S, S) lies over the lips."""
    size = lab.shape[0]
    lips = inside(points[list(OUTER_LIPS)], size)
    if cover[lips].mean() > _ALL_HIDDEN:
        return OcclusionFinding(reason=HIDDEN)
    touches = cover[inside(points[list(OUTER_LIPS)], size, grow=size // 5)].any()
    found = occluder_beside_lips(unlike, points)
    return OcclusionFinding(
        cover=_reduced(cover) if touches else None,
        beside=_reduced(found.occluder) if found.occluder.any() else None,
        certain=found.certain,
        bearded=found.bearded,
        tint=tuple(lip_tint(lab, points).tolist()),
    )


def detail_share(crop: RGB) -> float:
    """Return the share of fine contrast in the upper face of a crop (S, S, 3): 0.19 to 0.38 if sharp."""
    size = crop.shape[0]
    grey = mean_of_channels(crop[size // 8 : size // 2, size // 5 : -size // 5])
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 0.0125 * size)
    return float(fine.std() / max(float(grey.std()), 1.0))


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
        once = np.unpackbits(np.frombuffer(self.residual, np.uint8), count=_SIDE * _SIDE).reshape(_SIDE, _SIDE)
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
            anywhere = np.zeros((_SIDE, _SIDE), np.uint8)
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


def _reduced(cover: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask (S, S) at the side T that is kept."""
    return cv2.resize(cover.astype(np.uint8), (_SIDE, _SIDE)) > 0


def _packed(cover: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    return zlib.compress(np.packbits(cover.astype(bool)).tobytes(), 1)


def _unpacked(data: bytes) -> NDArray[np.uint8]:
    bits = np.frombuffer(zlib.decompress(data), np.uint8)
    return np.unpackbits(bits, count=_SIDE * _SIDE).reshape(_SIDE, _SIDE)


def _softened(cover: NDArray[np.uint8], size: int) -> Mask:
    """A mask (T, T) as (S, S), a little wider and soft at its edge."""
    wide = cv2.dilate(cover, np.ones((3, 3), np.uint8)).astype(np.float32)
    soft = cv2.resize(cv2.GaussianBlur(wide, (0, 0), 1.0), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(1.5 * soft, 0, 1), np.float32)
