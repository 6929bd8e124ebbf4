"""Replaces a drawn mouth by the reference picture where the model failed, as a whole or in parts.

Each function is named for the fault that it corrects. The replacement is the picture that the model was conditioned on,
whose mouth is about as open as predicted. Letters: S crop side.
"""

from __future__ import annotations

import numpy as np

from dithead.face.optical_flow import warp_by_flow
from dithead.inference.compose.blend_mask import coarse_difference
from dithead.inference.compose.detail_transfer import match_pictures
from dithead.types import RGB, Mask

_COARSE = 0.02  # sigma of the comparison, as a fraction of S
# 8-bit levels by which a drawing may differ more from the frame than the reference does, and from which it is replaced
# as a whole (docs/log)
_ACCEPTED, _LOST = 3.0, 8.0
_STIFF = 0.04  # sigma, as a fraction of S, that smooths the flow between a drawing and a reference that disagree


def replace_lost_identity(mouth: RGB, reference: RGB, source: RGB, around: Mask) -> RGB:
    """Replace a drawing that shows another person, such as one without the beard, by the reference.

    For lip coefficients unlike any in its training, the denoiser now and then draws another face. The skin around its
    lips then differs much more from the frame than the reference's does.

    Args:
        mouth: The drawn crop (S, S, 3).
        reference: The picture the model was conditioned on (S, S, 3).
        source: The source's crop (S, S, 3).
        around: (S, S) weights of the skin around the lips.

    Returns:
        The drawing itself, the reference, or a mixture in between.
    """
    weight = around / max(float(around.sum()), 1e-6)
    drawn, known = (
        float((np.abs(coarse_difference(picture, source, _COARSE)).mean(axis=2) * weight).sum())
        for picture in (mouth, reference)
    )
    lost = np.float32(np.clip((drawn - known - _ACCEPTED) / (_LOST - _ACCEPTED), 0, 1))
    return np.asarray(np.rint(mouth + lost * (reference.astype(np.float32) - mouth)), np.uint8) if lost else mouth


def replace_smeared_lips(mouth: RGB, reference: RGB, core: Mask) -> RGB:
    """Replace black corners and smears on drawn lips by the reference, moved onto the drawing by optical flow.

    Args:
        mouth: The drawn crop (S, S, 3).
        reference: The picture the model was conditioned on (S, S, 3).
        core: (S, S) the lips and a margin; nothing else is replaced.
    """
    matched = match_pictures(mouth, reference, _STIFF)
    bad = (core * (1 - matched.agreement))[..., None]
    moved = warp_by_flow(reference, matched.flow)
    return np.asarray(np.rint(mouth + (moved - mouth) * bad).clip(0, 255), np.uint8)
