"""Closes the eyes of one picture by geometry: the lids are layers that slide over the eyes, which stay as they are.

Letters: K points, h, w a picture's part.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.eye_whites import eye_is_open
from dithead.face.level_turn import LevelTurn, height_at
from dithead.face.masks import box_around, smoothstep
from dithead.face.mesh_indices import LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE
from dithead.types import RGB, FloatArray

_UPPER = 0.85  # share of the way on which the upper lid comes down; the lower one comes up by the rest (our choice)
_TO_BROW = 0.75  # share of the skin up to the brow that gives way; the brow itself does not (our choice)
_LEAST_SKIN = 0.7  # of it, in heights of the open eye: less would be folded (our choice)
_BELOW = 0.8  # skin below the eye that gives way, in its heights (our choice)
_LASHES = 0.15  # share of a lid's skin at its edge that is not smoothed (our choice)
_SMOOTH = 0.02  # eye distances over which the rest is: lashes and folds are stretched to streaks (our choice)
_OVERLAP = 1.1  # times that way, because the eye shows a little beyond its outline (our choice)
_ROOM = 2  # pixels around what changes, for cubic interpolation
_SOFT = 0.006  # eye distances over which a lid's edge passes into the eye (our choice)


def with_closed_eyes(picture: RGB, landmarks: FloatArray, share: float) -> RGB:
    """Return the picture with its eyes closed; an eye that is nearly closed anyway stays as it is.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in pixels of the picture.
        share: 0 leaves the eyes open, 1 closes them.
    """
    points = np.asarray(landmarks, np.float64)[:, :2]
    level, changed = LevelTurn.of(points), picture.copy()
    for eye, brow in ((RIGHT_EYE, RIGHT_BROW), (LEFT_EYE, LEFT_BROW)):
        outline = points[list(eye)]
        if eye_is_open(outline):
            _close(changed, level, level.turned(outline), level.turned(points[list(brow)]), share)
    return changed


class _Lid(NamedTuple):
    """A lid that slides over an eye; h, w are those of the part that changes."""

    down: int  # 1 for the upper lid, -1 for the lower one
    edge: NDArray[np.float64]  # (h, w) level y of its edge in each column, while the eye is open
    way: NDArray[np.float64]  # (h, w) pixels that its edge goes
    skin: float  # pixels of skin from the edge that give way


def _close(
    picture: RGB, level: LevelTurn, outline: NDArray[np.float64], brow: NDArray[np.float64], share: float
) -> None:
    """Close one eye of the picture; its ``outline`` (16, 2) and its ``brow`` (5, 2) are in level coordinates."""
    half, height = len(outline) // 2, float(np.ptp(outline[:, 1]))
    above = max(_TO_BROW * float(outline[half:, 1].min() - brow[:, 1].max()), _LEAST_SKIN * height)
    below = _BELOW * height
    around = np.concatenate([outline - np.array([0.0, above + _ROOM]), outline + np.array([0.0, below + _ROOM])])
    left, top, right, bottom = box_around(level.back(around), picture.shape)
    place = level.turned(np.dstack(np.meshgrid(np.arange(left, right), np.arange(top, bottom))).astype(np.float64))
    lower, upper = (height_at(place[..., 0], np.roll(outline, -first, axis=0)[: half + 1]) for first in (0, half))
    way = share * _OVERLAP * np.maximum(lower - upper, 0)
    result = picture[top:bottom, left:right].astype(np.float32)
    for lid in (_Lid(-1, lower, (1 - _UPPER) * way, below), _Lid(1, upper, _UPPER * way, above)):
        depth = lid.down * (lid.edge - place[..., 1]) + lid.way  # within the lid, from where its edge goes
        shown = 0.5 + 0.5 * np.clip(depth / max(_SOFT * level.unit, 0.7), -1, 1)
        result += (_slid(picture, level, place, lid, depth) - result) * shown[..., None].astype(np.float32)
    picture[top:bottom, left:right] = np.rint(result).clip(0, 255).astype(np.uint8)


def _slid(
    picture: RGB, level: LevelTurn, place: NDArray[np.float64], lid: _Lid, depth: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The lid (h, w, 3) with its edge where it goes, and its skin stretched and smoothed behind it."""
    reach = lid.skin + lid.way
    origin = place.copy()
    origin[..., 1] -= lid.down * lid.way * smoothstep(1 - depth / reach)
    where = level.back(origin).astype(np.float32)
    skin = cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    lashes = _LASHES * lid.skin
    inner = np.clip(np.minimum(depth, reach - depth) / lashes - 1, 0, 1)
    smooth = (inner * (lid.way / lid.skin)).clip(0, 1).astype(np.float32)[..., None]
    return np.asarray(skin + (cv2.GaussianBlur(skin, (0, 0), _SMOOTH * level.unit) - skin) * smooth)
