"""The person's own detail on the drawn mouth: lips, teeth and folds of a picture of them whose mouth is as open.

A decoder of this size draws what a mouth does and not how its skin is grained. The source shows that, on other frames:
optical flow finds in such a frame what is drawn, and what it has of fine contrast replaces the little that was drawn,
where both agree in the large. It is one frame of the source, not a mixture of several, and its pixels are moved once,
from that frame to this: a mixture blurs, and so does moving twice. Letters: S crop side; h, w a part of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_scale
from dithead.face.optical_flow import Match, grid, match, warp_by_flow
from dithead.inference.analyse.references import ReferenceBank, SourcePicture
from dithead.types import RGB, Mask

if TYPE_CHECKING:
    from dithead.inference.analyse.tracklet import Tracklet

_FINE = 2.5 / 160  # sigma, as a fraction of the side, below which contrast is lent
_ALIKE, _UNLIKE = 18.0, 50.0  # differences in 8-bit steps up to which it is lent in full, and from which not
_EVEN, _FINDER = 0.012, 0.0075  # sigmas, as fractions of S, see ``morph.match``
_STIFF = 0.04  # sigma, as a fraction of S, that evens the flow where the two cannot be reconciled
_LOOK = 4  # crop pixels of a side that are one when looks are compared


@dataclass(frozen=True)
class DetailTransfer:
    """What is lent to a drawn crop."""

    picture: RGB  # (h, w, 3) of the same person
    where: NDArray[np.float32]  # (S, S, 2): the place in it of what the crop shows
    coarse: NDArray[np.float32]  # (S, S, 3): what it differs by in the large, which is not lent
    share: Mask  # (S, S): how far
    scale: float  # pixels of the picture per crop pixel


def transfer_detail(
    reference_bank: ReferenceBank, tracklet: Tracklet, mouth: RGB, opening: float | None, core: Mask
) -> DetailTransfer | None:
    """What the next drawn crop (S, S, 3) of ``run`` gets from the person's picture that is open as it is meant to be.

    Where its ``opening`` is not known, from that which looks most like it around the lips, ``core`` (S, S). A mouth
    that never moves lends nothing there: its line would lie over lips that do. None when no picture was kept.
    """
    reference_set = reference_bank.of(tracklet)
    if reference_set is None:
        return None
    own = most_similar(reference_set.own, mouth, core) if opening is None else reference_bank.lender(tracklet, opening)
    made = detail_from(mouth, own)
    return replace(made, share=(made.share * (1 - core)).astype(np.float32)) if reference_set.still else made


def replace_smeared_lips(mouth: RGB, shown: RGB, core: Mask) -> RGB:
    """A drawn ``mouth`` with the picture that was ``shown`` for it, moved onto it, where the two cannot be reconciled
    on the lips, ``core`` (all of side S): black corners and smears of mouths that the transformer cannot draw.
    """
    there, share = _matched(mouth, shown, _STIFF)
    bad = (core * (1 - share))[..., None]
    return np.asarray(np.rint(mouth + (warp_by_flow(shown, there) - mouth) * bad).clip(0, 255), np.uint8)


def most_similar(own: Sequence[SourcePicture], mouth: RGB, core: Mask) -> SourcePicture:
    """The picture that looks most like a drawn crop (S, S, 3) where ``core`` (S, S) is."""
    look, weight = _coarse(mouth), _coarse(core)
    gaps = [(np.abs(_coarse(each.crop) - look).mean(axis=2) * weight).sum() for each in own]
    return own[int(np.argmin(gaps))]


def detail_from(mouth: RGB, own: SourcePicture) -> DetailTransfer:
    """What a picture of the person has to lend to the drawn ``mouth`` (S, S, 3)."""
    size = mouth.shape[0]
    there, share = _matched(mouth, own.crop, _EVEN)
    back = invert(own.move)
    where = (grid(size, size) + there) @ back[:, :2].T + back[:, 2]
    coarse = cv2.GaussianBlur(warp_by_flow(own.crop, there) - mouth, (0, 0), _FINE * size)
    return DetailTransfer(own.picture, where.astype(np.float32), coarse, share, 1 / transform_scale(own.move))


def _matched(mouth: RGB, other: RGB, even: float) -> Match:
    return match(mouth, other, even=even, alike=_ALIKE, unlike=_UNLIKE, finder=_FINDER, fine=_FINE)


def _coarse(picture: NDArray[np.uint8] | Mask) -> NDArray[np.float32]:
    side = picture.shape[0] // _LOOK
    return cv2.resize(picture.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
