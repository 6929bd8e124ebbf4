"""The person's own detail on the drawn mouth: lips, teeth and folds of a picture of them whose mouth is as open.

A decoder of this size draws what a mouth does and not how its skin is grained. The source shows that, on other frames:
such a picture is moved onto the drawn mouth by optical flow, and what it has of fine contrast replaces the little that
was drawn, where both agree in the large. Letters: S crop side, L the side of the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.generate.morph import match, moved
from dithead.generate.references import Graded
from dithead.types import RGB, Mask

_FINE = 2.5 / 160  # sigma, as a fraction of the side, below which contrast is lent
_ALIKE, _UNLIKE = 18.0, 50.0  # differences in 8-bit steps up to which it is lent in full, and from which not
_EVEN, _FINDER = 0.012, 0.0075  # sigmas, as fractions of S, see ``morph.match``
_LOOK = 4  # crop pixels of a side that are one when looks are compared


@dataclass(frozen=True)
class Loan:
    """What is lent to a drawn crop."""

    detail: NDArray[np.float32]  # (L, L, 3), to be added
    share: Mask  # (S, S): how far


def lend(graded: Graded, mouth: RGB, opening: float | None, core: Mask) -> Loan:
    """What a drawn crop (S, S, 3) gets from the picture that is open as it is meant to be.

    Where its ``opening`` is not known, from that which looks most like it around the lips, ``core`` (S, S). A mouth
    that never moves lends nothing there: its line would lie over lips that do.
    """
    if opening is None:
        look, weight = _coarse(mouth), _coarse(core)
        best = int(np.argmin([(np.abs(_coarse(c) - look).mean(axis=2) * weight).sum() for c in graded.crops]))
    else:
        best = int(graded.nearest(np.array([opening]))[0])
    made = loan(mouth, graded.crops[best], graded.pictures[best])
    if not graded.still:
        return made
    beside = 1 - _resized(core, graded.pictures.shape[1])[..., None]
    return Loan((made.detail * beside).astype(np.float32), (made.share * (1 - core)).astype(np.float32))


def loan(mouth: RGB, small: RGB, large: RGB) -> Loan:
    """What a picture, ``small`` (S, S, 3) and ``large`` (L, L, 3), has to lend to the drawn ``mouth`` (S, S, 3)."""
    side = large.shape[0]
    there, share = match(mouth, small, even=_EVEN, alike=_ALIKE, unlike=_UNLIKE, finder=_FINDER, fine=_FINE)
    lent = moved(large, _resized(there, side) * np.float32(side / mouth.shape[0]), cv2.INTER_CUBIC)
    drawn = _resized(mouth.astype(np.float32), side)
    gain = lent - drawn
    gain -= cv2.GaussianBlur(gain, (0, 0), _FINE * side)
    return Loan(gain * _resized(share, side)[..., None], share)


def _coarse(picture: NDArray[np.uint8] | Mask) -> NDArray[np.float32]:
    side = picture.shape[0] // _LOOK
    return cv2.resize(picture.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)


def _resized(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    if picture.shape[0] == side:
        return picture
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
