"""Where the generated picture says the same as the source, the source says it more sharply: keep that.

The generator works on a small crop, so skin, beard, nostrils and ears come out softer than they were, most of all in
large faces. Only the mouth, and whatever moves with it, has to be new. Letters: S crop side.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.masks import polygon_mask
from dithead.types import RGB, Mask

SAME, OTHER = 5.0, 13.0  # differences in 8-bit steps below which the source stays, and above which it goes
_LOOK = 0.012  # sigma at which the two are compared, as a fraction of S: detail the crop cannot hold must not count
_SPREAD = 0.02  # sigma of the border between them, as a fraction of S
_STILL = 8.0  # how much more may differ above the mouth: noses do not move with speech, and another view of one shows
_MARGIN = 0.05  # around the lips that is new in any case, as a fraction of S
_KIN, _LOST = 3.0, 8.0  # 8-bit steps by which a drawing may be less like the frame than another picture, and must not


def mouth_core(lips: NDArray[np.float32], size: int) -> Mask:
    """(S, S): 1 on the lips (20, 2) of a run and a margin around them, fading outwards."""
    reach = max(1, round(_MARGIN * size))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    wide = cv2.dilate((polygon_mask(lips, size) > 0.5).astype(np.float32), kernel)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), 0.5 * reach), np.float32)


def replace_lost_identity(mouth: RGB, shown: RGB, source: RGB, around: Mask) -> RGB:
    """A drawn ``mouth``, or the picture that was ``shown`` for it where the person got lost in drawing (all S, S, 3).

    Told lips that it has never seen, a transformer now and then draws another face, shaven or with a black mouth. Then
    what lies ``around`` (S, S) the lips is much less like the frame, ``source``, than it is in the picture shown.
    """
    weight = around / max(float(around.sum()), 1e-6)
    drawn, known = (
        float((np.abs(_blurred(picture, source, _SPREAD)).mean(axis=2) * weight).sum()) for picture in (mouth, shown)
    )
    lost = np.float32(np.clip((drawn - known - _KIN) / (_LOST - _KIN), 0, 1))
    return np.asarray(np.rint(mouth + lost * (shown.astype(np.float32) - mouth)), np.uint8) if lost else mouth


def _blurred(picture: RGB, source: RGB, sigma: float) -> NDArray[np.float32]:
    """(S, S, 3): what they differ by in the large."""
    gap = picture.astype(np.float32) - source
    return np.asarray(cv2.GaussianBlur(gap, (0, 0), sigma * gap.shape[0]), np.float32)


def change_mask(mouth: RGB, source: RGB, core: Mask) -> Mask:
    """(S, S): 1 where the generated crop must be shown, 0 where the source may stay (all of side S)."""
    size = core.shape[0]
    distance = np.abs(_blurred(mouth, source, _LOOK)).max(axis=2)
    reach = max(1, round(0.02 * size))
    distance = cv2.dilate(distance, np.ones((2 * reach + 1,) * 2, np.uint8))  # a moving edge needs both its sides
    new = np.clip((distance / _tolerance(core) - SAME) / (OTHER - SAME), 0, 1)
    new = cv2.GaussianBlur(new, (0, 0), _SPREAD * size)
    return np.asarray(np.maximum(new, core), np.float32)


def _tolerance(core: Mask) -> NDArray[np.float32]:
    """(S, 1): 1 from the mouth's upper edge down, rising to ``_STILL`` a twentieth of the crop above it."""
    size = core.shape[0]
    rows = np.flatnonzero(core.max(axis=1) > 0.5)
    top = rows[0] if len(rows) else 0
    above = np.clip((top - np.arange(size)) / (0.05 * size), 0, 1)
    return (1 + (_STILL - 1) * above).astype(np.float32)[:, None]
