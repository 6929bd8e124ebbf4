"""What colour tells of things before the mouth: over the lips, beside them, and of skin colour upon them.

The lower lip is never bearded, and never as dark or as differently tinted as a microphone compared with the same
frame's cheeks, so where a good part of it is, something lies over it; the thing is all that is joined to it and
coloured unlike skin. Beside the lips only a shaven face can tell: there nothing unlike skin reaches from outside the
jaw far towards the mouth. A thing of skin colour takes the lips' own colour away. Measured in ``docs/generate.md``.
Letters: S crop side, N frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.masks import jaw_line
from dithead.face.mesh_indices import (
    BETWEEN_EYES,
    CHEEKS,
    CHIN,
    INNER_LIPS,
    LOWER_LIP,
    MOUTH_CORNERS,
    OUTER_LIPS,
)
from dithead.types import RGB

_LIP_HIDDEN = 0.3  # share of the lower lip unlike lips from which something lies over it; real clips stay below 0.15
_DEEP, _DEEP_SHARE = 0.7, 0.03  # how near to the mouth a thing beside it reaches, and the share of that part it fills
_BEARD = 0.08  # share unlike skin of the barer side of that part from which on a beard hides what is a thing
_TINT_AWAY = 9.0  # how far (in Lab) the lips' colour goes when covered; by itself it went 6.7 at most in real clips
NEIGHBOURS = 2
"""Frames before and after one, on one of which at least what hides a mouth must be seen too: nothing is so short."""
_TINT_SPAN, _TINT_RARE = 250, 0.25  # frames over which a colour is usual; covers more often seen than that are none


def thing_before_lips(unlike: NDArray[np.bool_], points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(S, S): what lies over the lips of a crop with landmarks ``points`` (478, 2); nothing where that is not sure.

    unlike: ``unlike_skin`` of the crop.
    """
    size = unlike.shape[0]
    near = unlike & inside(jaw_line(points), size, grow=size // 10)  # beyond it the source stays in any case
    lower = inside(points[list(LOWER_LIP)], size)
    if not lower.any() or near[lower].mean() < _LIP_HIDDEN:
        return np.zeros((size, size), bool)
    return _joined(near, lower, max(1, size // 50))


@dataclass(frozen=True)
class Beside:
    """What may lie over a face beside its lips.

    thing (S, S): hair along the jaw may be in it; ``sure`` if not only that.  bearded: a beard would hide it.
    """

    thing: NDArray[np.bool_]
    sure: bool = False
    bearded: bool = False


def thing_beside_lips(unlike: NDArray[np.bool_], points: NDArray[np.float32]) -> Beside:
    """What comes from outside a crop's face and lies over it, on the lips too if it is sure: they differ from it."""
    size, jaw = unlike.shape[0], jaw_line(points)
    lips, face = inside(points[list(OUTER_LIPS)], size, grow=size // 40), inside(jaw, size)
    deep = inside(_towards_mouth(points), size) & ~lips
    if not deep.any() or _bearded(unlike, deep, points):
        return Beside(np.zeros((size, size), bool), bearded=True)
    around = unlike & inside(jaw, size, grow=size // 10)
    thing = _joined(around & ~lips, ~inside(jaw, size, grow=2), max(1, size // 80))
    sure = float((thing & deep).sum()) / float(deep.sum()) > _DEEP_SHARE
    if sure:
        lips &= ~inside(points[list(INNER_LIPS)], size, grow=1)
        thing |= _joined(around & (lips | thing), thing, 1)
    # beyond the face too, where a chin may be drawn: next to what is well inside it
    shrunk = cv2.erode(face.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(1, size // 50))
    beyond = cv2.dilate(thing.astype(np.uint8) & shrunk, np.ones((size // 4 + 1,) * 2, np.uint8))
    return Beside(thing & (face | (beyond > 0)), sure)


def unlike_skin(crop: RGB, spots: NDArray[np.float32], skin_of: RGB | None = None) -> NDArray[np.bool_]:
    """(S, S): pixels far darker than the cheeks, far brighter, or of a tint that neither skin nor lips have.

    spots (n, 2): where the cheeks are.  skin_of: the picture whose cheeks count, if it is another.
    """
    lab = _lab(crop)
    skin = _skin(lab if skin_of is None else _lab(skin_of), spots)
    light, red, yellow = np.moveaxis(lab - skin, 2, 0)
    dark = lab[..., 0] < 0.42 * skin[0]
    return np.asarray(dark | (light > 30) | (red < -10) | (np.abs(yellow) > 24))


def lip_tint(crop: RGB, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,): the lips' colour against the cheeks', in Lab, lightness counting half; NaN where there are no lips."""
    lab, size = _lab(crop), crop.shape[0]
    lips = inside(points[list(OUTER_LIPS)], size) & ~inside(points[list(INNER_LIPS)], size, grow=1)
    if not lips.any():
        return np.full(3, np.nan, np.float32)
    gap = np.median(lab[lips], axis=0) - _skin(lab, points[list(CHEEKS)])
    return np.asarray(gap * (0.5, 1, 1), np.float32)


def tints_away(tints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N,): frames in which the lips' colour (N, 3) is far from what it is around that time; NaN is not, nor is a frame
    that is alone.
    """
    away = np.zeros(len(tints), bool)
    for start in range(0, len(tints), _TINT_SPAN):
        around = tints[max(0, start - _TINT_SPAN) : start + 2 * _TINT_SPAN]
        known = around[np.isfinite(around[:, 0])]
        if not len(known):
            continue
        usual = np.median(known, axis=0)
        if np.mean(np.linalg.norm(known - usual, axis=1) > _TINT_AWAY) < _TINT_RARE:
            here = tints[start : start + _TINT_SPAN]
            away[start : start + _TINT_SPAN] = np.linalg.norm(here - usual, axis=1) > _TINT_AWAY
    near = np.convolve(away, np.ones(2 * NEIGHBOURS + 1))[NEIGHBOURS : NEIGHBOURS + len(away)] if len(away) else away
    return away & (near > 1)


def inside(corners: NDArray[np.float32], size: int, grow: int = 0) -> NDArray[np.bool_]:
    """(size, size): the inside of a polygon (K, 2), grown by so many pixels."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    if grow:
        mask = cv2.dilate(mask, np.ones((2 * grow + 1,) * 2, np.uint8))
    return mask > 0


def _towards_mouth(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inner part (K, 2) of the lower face, around the mouth."""
    mouth, jaw = points[list(MOUTH_CORNERS)].mean(axis=0), jaw_line(points)[3:18]
    return np.vstack([mouth + _DEEP * (jaw - mouth), mouth[None]])


def _bearded(unlike: NDArray[np.bool_], deep: NDArray[np.bool_], points: NDArray[np.float32]) -> bool:
    """Whether both sides of the ``deep`` part, left and right of the middle of the face, are unlike skin."""
    (x, y), (along, down) = points[list(MOUTH_CORNERS)].mean(axis=0), points[CHIN] - points[BETWEEN_EYES]
    rows, columns = np.nonzero(deep)
    left = (columns - x) * down - (rows - y) * along > 0
    sides = [unlike[rows[part], columns[part]] for part in (left, ~left)]
    return min(float(side.mean()) if len(side) else 1.0 for side in sides) > _BEARD


def _joined(region: NDArray[np.bool_], seeds: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The parts of ``region``, its gaps of 2 * ``reach`` closed, that touch ``seeds`` (all (S, S))."""
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    whole = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    _, parts = cv2.connectedComponents(whole)
    over = np.unique(parts[seeds & (whole > 0)])
    return np.isin(parts, over[over > 0])


def _lab(crop: RGB) -> NDArray[np.float32]:
    soft = cv2.GaussianBlur(crop, (0, 0), crop.shape[0] / 160).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2Lab), np.float32)


def _skin(lab: NDArray[np.float32], spots: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.median(np.concatenate([_around(lab, spot) for spot in spots]), axis=0), np.float32)


def _around(picture: NDArray[np.float32], point: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3): the pixels within two of a point, or the nearest ones to it."""
    row, column = (int(np.clip(v, 2, picture.shape[0] - 3)) for v in (point[1], point[0]))
    return picture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3)
