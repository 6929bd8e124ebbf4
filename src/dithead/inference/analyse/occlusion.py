"""Finds what hides the mouth in one frame (hands, other occluders, heavy blur), where the source's pixels must stay.

Hands come from a hand detector, anything else is judged by colour (``occlusion_colour``). docs/explanation/occlusion.md
says how well this works. Letters: S crop side, T side of a kept mask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import warp_crop
from dithead.face.fine_detail import mean_of_channels
from dithead.face.hands import HandFinder, hand_mask
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.inference.analyse.false_hands import FalseHands
from dithead.inference.analyse.occlusion_colour import (
    inside,
    is_lip_paint,
    lip_tint,
    occluder_before_lips,
    occluder_beside_lips,
    skin_tone,
    soft_lab,
    unlike_tone,
)
from dithead.inference.analyse.overlays import overlay_mask
from dithead.stages import stage
from dithead.types import RGB, RGBLike, Similarity

HIDDEN, BLURRED = "mouth covered", "too blurred"
MASK_SIDE = 80
"""Side T of the masks that are kept."""
VIEW_SCALE = 0.6
"""Width of the crop over that of the view in which hands are searched (our choice)."""
_VIEW_SIDE = 256  # pixels of that view
_SEARCHED = 160  # S of the crop that is searched, whatever the model's: at 64 pixels small letters are lost (docs/log)
_ENLARGED = VIEW_SCALE * _VIEW_SIDE / _SEARCHED  # pixels of the view for one of that crop
_MARGIN = (1 - VIEW_SCALE) / 2 * _VIEW_SIDE  # pixels: where in the view the crop begins
_ALL_HIDDEN = 0.7  # covered share of the lips from which no part of the mouth is drawn (our choice)
_SHARPEST_BLUR = 0.08  # ``detail_share`` below which a face is blurred; sharp ones reach 0.19 and more (docs/log)


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
            scale = _SEARCHED / size
            return self._find(picture, points * np.float32(scale), transform * scale, face)

    def _find(
        self, picture: RGBLike, points: NDArray[np.float32], transform: Similarity, face: int
    ) -> OcclusionFinding:
        """What hides one mouth, with landmarks and transform of the crop that is searched."""
        wide = transform * _ENLARGED
        wide[:, 2] += _MARGIN
        view = warp_crop(picture, wide, _VIEW_SIDE)
        crop = _crop_of_view(view)
        if detail_share(crop) < _SHARPEST_BLUR:
            return OcclusionFinding(reason=BLURRED)
        hands = self._hands(view, crop, points, face)
        found = finding_in(crop, points, hands)
        if not hands.any():
            return found
        return replace(found, without_hands=finding_in(crop, points, np.zeros_like(hands)))

    def _hands(self, view: RGB, crop: RGB, points: NDArray[np.float32], face: int) -> NDArray[np.bool_]:
        """Where hands are (S, S), searched in a wider view than the crop."""
        with stage("hands"):
            found = self._finders.setdefault(face, HandFinder()).find(view)
        hands = [(hand - _MARGIN) / _ENLARGED for hand in found]
        if hands:
            hands = self._false_hands.setdefault(face, FalseHands()).without(hands, points, soft_lab(crop))
        return hand_mask(hands, _SEARCHED) > 0


def _crop_of_view(view: RGB) -> RGB:
    """The crop (S, S, 3) out of the view around it, which spares a second warp of the frame."""
    place = np.array([[1 / _ENLARGED, 0, -_MARGIN / _ENLARGED], [0, 1 / _ENLARGED, -_MARGIN / _ENLARGED]])
    return np.asarray(cv2.warpAffine(view, place, (_SEARCHED, _SEARCHED), flags=cv2.INTER_CUBIC), np.uint8)


def finding_in(crop: RGB, points: NDArray[np.float32], hands: NDArray[np.bool_]) -> OcclusionFinding:
    """Find what hides the mouth in a crop.

    Args:
        crop: (S, S, 3).
        points: (478, 2) landmarks in the crop.
        hands: (S, S) pixels of the crop that show a hand.
    """
    lab = soft_lab(crop)
    unlike = unlike_tone(lab, skin_tone(lab, points[list(CHEEKS)]))
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
    found = occluder_beside_lips(unlike, points, lab)
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


def _reduced(cover: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask (S, S) at the side T that is kept."""
    return cv2.resize(cover.astype(np.uint8), (MASK_SIDE, MASK_SIDE)) > 0
