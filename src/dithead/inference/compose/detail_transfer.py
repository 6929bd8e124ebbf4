"""Transfers the person's own fine detail to a drawn mouth, from a source picture whose mouth is about as open.

A decoder of this size draws the shape of a mouth, but not the grain of lips, teeth and skin. Other frames of the source
have that grain. Optical flow aligns one of them with the drawn mouth, and its fine contrast replaces the drawn one
wherever both agree at a coarse scale. The detail comes from one frame, not from a mixture of several, and it is warped
only once, from that frame to this one, because mixing blurs and so does warping twice. Letters: S crop side; h, w a
part of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_scale
from dithead.face.optical_flow import Match, grid, match
from dithead.inference.synthesise.reference_bank import FrameReference
from dithead.inference.synthesise.reference_set import SourcePicture
from dithead.types import RGB, Mask

_FINE = 2.5 / 160  # sigma, as a fraction of S, below which contrast is transferred
_AGREE, _DISAGREE = 18.0, 50.0  # 8-bit differences up to which it is transferred in full, and from which not at all
_SMOOTH, _SEARCH_BLUR = 0.012, 0.0075  # sigmas, as fractions of S, see ``optical_flow.match``
_COMPARED = 4  # crop pixels on a side that are averaged when pictures are compared for similarity


@dataclass(frozen=True)
class DetailTransfer:
    """The fine detail of a source picture that a drawn crop gets."""

    picture: RGB  # (h, w, 3) of the same person
    where: NDArray[np.float32]  # (S, S, 2): for each pixel of the crop, its x and y in the picture
    coarse: NDArray[np.float32]  # (S, S, 3): the coarse difference, which is not transferred
    weight: Mask  # (S, S): how much is transferred
    scale: float  # pixels of the picture per crop pixel


def transfer_detail(reference: FrameReference, mouth: RGB, core: Mask, size: int | None = None) -> DetailTransfer:
    """Choose the source picture for a drawn crop and find what to transfer from it.

    Where the predicted opening is not known, the picture is the one most similar to the drawing around the lips.

    Args:
        reference: The person's pictures for this frame.
        mouth: The drawn crop (S, S, 3), or the part of it that the reference's pictures show, too.
        core: (S, S) the lips and a margin.
        size: S, where ``mouth`` is a part.
    """
    picture = reference.donor or most_similar(reference.pictures, mouth, core)
    return detail_from(mouth, picture, size)


def most_similar(pictures: Sequence[SourcePicture], mouth: RGB, core: Mask) -> SourcePicture:
    """Return the one of ``pictures`` that is most similar to a drawn crop ``mouth`` (S, S, 3) under ``core`` (S, S)."""
    target, weight = _reduced(mouth), _reduced(core)
    distances = [(np.abs(_reduced(each.crop) - target).mean(axis=2) * weight).sum() for each in pictures]
    return pictures[int(np.argmin(distances))]


def detail_from(mouth: RGB, source: SourcePicture, size: int | None = None) -> DetailTransfer:
    """Find the detail in a ``source`` picture of the person for the drawn ``mouth`` (S, S, 3), or a part of both."""
    matched = match_pictures(mouth, source.crop, _SMOOTH, size)
    where = cv2.transform(grid(*mouth.shape[:2]) + matched.flow, invert(source.transform))
    scale = 1 / transform_scale(source.transform)
    return DetailTransfer(source.picture, where.astype(np.float32), matched.coarse, matched.agreement, scale)


def match_pictures(mouth: RGB, other: RGB, smooth: float, size: int | None = None) -> Match:
    """Find a drawn crop in another picture of the person by optical flow.

    Args:
        mouth: The drawn crop (S, S, 3).
        other: The picture (S, S, 3).
        smooth: Sigma that smooths the flow, as a fraction of S.
        size: S, where the two are parts of crops.
    """
    return match(
        mouth, other, smooth=smooth, agree=_AGREE, disagree=_DISAGREE, search_blur=_SEARCH_BLUR, fine=_FINE, size=size
    )


def _reduced(picture: NDArray[np.uint8] | Mask) -> NDArray[np.float32]:
    height, width = (max(1, side // _COMPARED) for side in picture.shape[:2])
    return cv2.resize(picture.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
