"""Replaces a drawn mouth by the reference picture where the model failed, as a whole or in parts.

Each function is named for the fault that it corrects. The replacement is the picture that the model was conditioned on,
whose mouth is about as open as predicted. Letters: S crop side.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.inference.compose.blend_mask import coarse_difference
from dithead.inference.compose.detail_transfer import match_pictures
from dithead.types import RGB, Mask

T = TypeVar("T", np.uint8, np.float32)

_MEAN = np.full((1, 3), 1 / 3, np.float32)  # of a pixel's channels
_COARSE = 0.02  # sigma of the comparison, as a fraction of S
# 8-bit levels by which a drawing may differ more from the frame than the reference does, and from which it is replaced
# as a whole (docs/log)
_ACCEPTED, _LOST = 3.0, 8.0
_STIFF = 0.04  # sigma, as a fraction of S, that smooths the flow between a drawing and a reference that disagree


class Corrected(NamedTuple):
    """A drawing after one of the corrections, and how much of it the model did not draw."""

    mouth: RGB  # (S, S, 3)
    share: float  # 0: all of it is the model's; 1: all of it is the reference's


def replace_lost_identity(mouth: RGB, reference: RGB, source: RGB, around: Mask, size: int | None = None) -> Corrected:
    """Replace a drawing that shows another person, such as one without the beard, by the reference.

    For lip coefficients unlike any in its training, the denoiser now and then draws another face. The skin around its
    lips then differs much more from the frame than the reference's does.

    Args:
        mouth: The drawn crop (S, S, 3).
        reference: The picture the model was conditioned on (S, S, 3).
        source: The source's crop (S, S, 3).
        around: (S, S) weights of the skin around the lips.
        size: S, where all these are parts of crops.

    Returns:
        The drawing itself, the reference, or a mixture in between.
    """
    side = (size or len(mouth)) // 2  # a coarse comparison loses nothing at half the size
    half, weight = _halved(source), _halved(around)
    weight = weight / max(float(weight.sum()), 1e-6)
    differences = (np.abs(coarse_difference(_halved(each), half, _COARSE, side)) for each in (mouth, reference))
    drawn, known = (float(cv2.transform(each, _MEAN).ravel() @ weight.ravel()) for each in differences)
    lost = np.float32(np.clip((drawn - known - _ACCEPTED) / (_LOST - _ACCEPTED), 0, 1))
    if not lost:
        return Corrected(mouth, 0.0)
    mixed = np.rint(mouth + lost * (reference.astype(np.float32) - mouth))
    return Corrected(np.asarray(mixed, np.uint8), float(lost))


def replace_smeared_lips(mouth: RGB, reference: RGB, core: Mask, size: int | None = None) -> Corrected:
    """Replace black corners and smears on drawn lips by the reference, moved onto the drawing by optical flow.

    Args:
        mouth: The drawn crop (S, S, 3).
        reference: The picture the model was conditioned on (S, S, 3).
        core: (S, S) the lips and a margin; nothing else is replaced.
        size: S, where all these are parts of crops.

    Returns:
        The mended drawing, and the share of the lips that was replaced.
    """
    matched = match_pictures(mouth, reference, _STIFF, size)
    bad = (core * (1 - matched.agreement))[..., None]
    mended = np.rint(mouth + (matched.moved - mouth) * bad).clip(0, 255)
    return Corrected(np.asarray(mended, np.uint8), float(bad.sum() / max(float(core.sum()), 1e-6)))


def _halved(picture: NDArray[T]) -> NDArray[T]:
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
