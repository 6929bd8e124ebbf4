"""Finds occluders of the mouth by colour: over the lips, beside them, and of skin colour on the lips.

The lower lip never has a beard, and it is never as dark or as strongly tinted, relative to the cheeks of the same
frame, as a microphone is. Where much of it is unlike skin, something lies over it; the occluder is then the connected
region unlike skin around it. Beside the lips, an occluder can be found only on a shaven face, on which nothing unlike
skin reaches from outside the jaw far towards the mouth, but shade, and shade has no sharp edge. An occluder of skin
colour is found because the lips lose their own colour. The thresholds were measured on real clips (docs/log). Letters:
S crop side, N frames, K polygon corners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.masks import jaw_lean, jaw_line
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

_LIP_HIDDEN = 0.3  # share of the lower lip unlike skin that means an occluder; without one it seldom reaches 0.2
_PAINTED = 0.95  # share of a cover within the lips that means paint: 1.0 for lipsticks, 0.7 or less for occluders
_PAINT_SPREAD = 20.0  # distance in Lab, lightness halved, within which paint has one colour (our choice)
_DEEP = 0.7  # the part of the lower face around the mouth, as a fraction of the way from the mouth to the jaw
_DEEP_SHARE = 0.03  # share of that part that must be unlike skin for an occluder to be certain
_EDGE = 18.0  # distance in Lab, lightness halved, within which all lies near a soft edge; shade has 16 or less
_EDGE_REACH = 3 / 160  # of S: how near
_EDGE_SHARE = 0.33  # share of its border within that part that must be sharper for an occluder to be certain
_DARK = 0.42  # lightness over that of the darker half of the skin below which nothing is skin or lips
_EVEN, _EVEN_TINTS = 0.96, (3.0, 2.0)  # that half's lightness and the spread of red and yellow in even light (docs/log)
_DEEPEST_SHADE = 0.6  # the least that this half may have of the usual lightness (our choice)
_FARTHEST_LEAN = (
    0.7  # ``jaw_lean`` beyond which background shows within the landmarks' far jaw (measured on rendered heads)
)
_BEARD = 0.08  # share unlike skin, on the less hairy side of that part, above which a face has a beard
_TINT_AWAY = 9.0  # distance in Lab from the lips' usual colour that means an occluder; without one it reached 6.7
NEIGHBOURS = 2
"""Frames before and after in one of which an occluder must be found again: none is shorter."""
_TINT_SPAN = 250  # frames over which the usual colour of the lips is measured
_TINT_RARE = 0.25  # share of them from which another colour is not an occluder, but these lips' own


def occluder_before_lips(unlike: NDArray[np.bool_], points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find what lies over the lips, (S, S); nothing where that is not certain.

    Args:
        unlike: (S, S) pixels of the crop that are ``unlike_skin``.
        points: (478, 2) landmarks in the crop.
    """
    size = unlike.shape[0]
    near = unlike & inside(jaw_line(points), size, grow=size // 10)  # beyond it the source stays in any case
    lower = inside(points[list(LOWER_LIP)], size)
    if not lower.any() or near[lower].mean() < _LIP_HIDDEN:
        return np.zeros((size, size), bool)
    return _joined(near, lower, max(1, size // 50))


def is_lip_paint(cover: NDArray[np.bool_], lab: NDArray[np.float32], points: NDArray[np.float32]) -> bool:
    """Return whether what was found over the lips ends where they end, as paint does and an occluder does not.

    Only what has the colour of the lower lip is looked at: on a face that is lit harshly a shadow may join it.

    Args:
        cover: (S, S) from ``occluder_before_lips``.
        lab: The crop (S, S, 3) as ``soft_lab`` returns it.
        points: (478, 2) landmarks in the crop.
    """
    size, lower = cover.shape[0], inside(points[list(LOWER_LIP)], cover.shape[0])
    if not (cover & lower).any():
        return False
    away = (lab - np.median(lab[cover & lower], axis=0)) * (0.5, 1, 1)
    own = _joined(cover & (np.linalg.norm(away, axis=2) < _PAINT_SPREAD), lower, 1)
    lips = inside(points[list(OUTER_LIPS)], size, grow=size // 20)  # chroma of glaring paint spreads that far
    return int((own & lips).sum()) > _PAINTED * int(own.sum())


@dataclass(frozen=True)
class OccluderBeside:
    """What may lie over a face beside its lips."""

    occluder: NDArray[np.bool_]  # (S, S); hair along the jaw may be in it
    certain: bool = False  # it is more than hair along the jaw
    bearded: bool = False  # a beard would hide it, so nothing can be said


def occluder_beside_lips(
    unlike: NDArray[np.bool_], points: NDArray[np.float32], lab: NDArray[np.float32]
) -> OccluderBeside:
    """Find what comes from outside the face and lies over it; over the lips, too, when it is certain.

    Args:
        unlike: (S, S) pixels of the crop that are ``unlike_skin``.
        points: (478, 2) landmarks in the crop.
        lab: The crop (S, S, 3) as ``soft_lab`` returns it.
    """
    size, jaw = unlike.shape[0], jaw_line(points)
    lips, face = inside(points[list(OUTER_LIPS)], size, grow=size // 40), inside(jaw, size)
    deep = inside(_around_mouth(points), size) & ~lips
    if not deep.any() or _bearded(lab, deep, points):
        return OccluderBeside(np.zeros((size, size), bool), bearded=True)
    near = unlike & inside(jaw, size, grow=size // 10)
    occluder = _joined(near & ~lips, ~inside(jaw, size, grow=2), max(1, size // 80))
    certain = float((occluder & deep).sum()) / float(deep.sum()) > _DEEP_SHARE and abs(jaw_lean(jaw)) < _FARTHEST_LEAN
    if certain := certain and _has_sharp_edge(occluder, deep, lab):
        lips &= ~inside(points[list(INNER_LIPS)], size, grow=1)
        occluder |= _joined(near & (lips | occluder), occluder, 1)
    # A chin may be drawn beyond the face, so the occluder counts there, too, next to its parts well inside the face.
    shrunk = cv2.erode(face.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(1, size // 50))
    beyond = cv2.dilate(occluder.astype(np.uint8) & shrunk, np.ones((size // 4 + 1,) * 2, np.uint8))
    return OccluderBeside(occluder & (face | (beyond > 0)), certain)


def unlike_skin(crop: RGB, spots: NDArray[np.float32], skin_of: RGB | None = None) -> NDArray[np.bool_]:
    """Find pixels (S, S) far darker than the cheeks, far brighter, or of a tint that neither skin nor lips have.

    Args:
        crop: (S, S, 3).
        spots: (n, 2) where the cheeks are.
        skin_of: The picture whose cheeks are compared with; the crop itself by default.
    """
    lab = soft_lab(crop)
    return unlike_tone(lab, skin_tone(lab if skin_of is None else soft_lab(skin_of), spots))


class SkinTone(NamedTuple):
    """How bare skin looks in one picture, in Lab: light from the side gives the halves of a face two colours."""

    colour: NDArray[np.float32]  # (3,) the usual one
    least: NDArray[np.float32]  # (3,) the least lightness, red and yellow of a part
    most: NDArray[np.float32]  # (3,) the most of them


def skin_tone(lab: NDArray[np.float32], spots: NDArray[np.float32]) -> SkinTone:
    """Measure skin around ``spots`` (n, 2) of a picture in Lab (S, S, 3); in light from ahead it has one colour.

    The second least and the second most of the spots count, because a hair or the edge of an occluder may lie on one.
    """
    patches, second = np.stack([_around(lab, spot) for spot in spots]), min(1, len(spots) - 1)
    colour, ordered = np.median(patches, axis=(0, 1)), np.sort(np.median(patches, axis=1), axis=0)
    usual = np.array([(1 - _EVEN) * colour[0], *_EVEN_TINTS], np.float32)
    least, most = np.minimum(ordered[second] + usual, colour), np.maximum(ordered[-1 - second] - usual, colour)
    least[0] = max(least[0], _DEEPEST_SHADE * colour[0])
    return SkinTone(colour, least, most)


def unlike_tone(lab: NDArray[np.float32], skin: SkinTone) -> NDArray[np.bool_]:
    """Find pixels (h, w) of a picture in Lab (h, w, 3) that are unlike skin of a tone; see ``unlike_skin``."""
    (light, red, yellow), (dark, pale, blue) = cv2.split(lab), skin.least
    away = (light < _DARK * dark) | (light > skin.colour[0] + 30) | (red < pale - 10)
    return np.asarray(away | (yellow < blue - 24) | (yellow > skin.most[2] + 24))


def lip_tint(lab: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the lips' tint.

    Args:
        lab: The crop (S, S, 3) as ``soft_lab`` returns it.
        points: (478, 2) landmarks in the crop.

    Returns:
        The lips' median colour minus the cheeks' (3,), in Lab with lightness halved; NaN where there are no lips.
    """
    size = lab.shape[0]
    lips = inside(points[list(OUTER_LIPS)], size) & ~inside(points[list(INNER_LIPS)], size, grow=1)
    if not lips.any():
        return np.full(3, np.nan, np.float32)
    gap = np.median(lab[lips], axis=0) - skin_colour(lab, points[list(CHEEKS)])
    return np.asarray(gap * (0.5, 1, 1), np.float32)


def tints_away(tints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find frames (N,) whose lip colours (N, 3) are far from the usual one around that time.

    Frames without a colour (NaN) and single frames are not among them.
    """
    away = np.zeros(len(tints), bool)
    for start in range(0, len(tints), _TINT_SPAN):
        around = tints[max(0, start - _TINT_SPAN) : start + 2 * _TINT_SPAN]
        known = around[np.isfinite(around[:, 0])]
        if not len(known):
            continue
        usual_tint = np.median(known, axis=0)
        if np.mean(np.linalg.norm(known - usual_tint, axis=1) > _TINT_AWAY) < _TINT_RARE:
            here = tints[start : start + _TINT_SPAN]
            away[start : start + _TINT_SPAN] = np.linalg.norm(here - usual_tint, axis=1) > _TINT_AWAY
    near = np.convolve(away, np.ones(2 * NEIGHBOURS + 1))[NEIGHBOURS : NEIGHBOURS + len(away)] if len(away) else away
    return away & (near > 1)


def inside(corners: NDArray[np.float32], size: int, grow: int = 0) -> NDArray[np.bool_]:
    """Draw the inside of a polygon.

    Args:
        corners: (K, 2) in pixels.
        size: Side S of the result.
        grow: Pixels by which it is dilated.

    Returns:
        (S, S).
    """
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    if grow:
        mask = cv2.dilate(mask, np.ones((2 * grow + 1,) * 2, np.uint8))
    return mask > 0


def _around_mouth(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inner part (K, 2) of the lower face, around the mouth."""
    mouth, jaw = points[list(MOUTH_CORNERS)].mean(axis=0), jaw_line(points)[3:18]
    return np.vstack([mouth + _DEEP * (jaw - mouth), mouth[None]])


def _bearded(lab: NDArray[np.float32], deep: NDArray[np.bool_], points: NDArray[np.float32]) -> bool:
    """Whether the ``deep`` part is unlike most of the skin on both sides of the middle of the face."""
    colour = skin_colour(lab, points[list(CHEEKS)])
    unlike = unlike_tone(lab[deep][None], SkinTone(colour, colour, colour))[0]
    (x, y), (along, down) = points[list(MOUTH_CORNERS)].mean(axis=0), points[CHIN] - points[BETWEEN_EYES]
    rows, columns = np.nonzero(deep)
    left = (columns - x) * down - (rows - y) * along > 0
    return min(float(unlike[part].mean()) if part.any() else 1.0 for part in (left, ~left)) > _BEARD


def _has_sharp_edge(region: NDArray[np.bool_], where: NDArray[np.bool_], lab: NDArray[np.float32]) -> bool:
    """Whether a region (S, S) ends suddenly along enough of its border, as far as that lies in ``where`` (S, S)."""
    border = (cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~region & where
    if not border.any():
        return True
    kernel = np.ones((2 * max(1, round(_EDGE_REACH * region.shape[0])) + 1,) * 2, np.uint8)
    spread = (cv2.dilate(lab, kernel) - cv2.erode(lab, kernel))[border] * (0.5, 1, 1)
    return bool((np.linalg.norm(spread, axis=1) > _EDGE).mean() > _EDGE_SHARE)


def _joined(region: NDArray[np.bool_], seeds: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The parts of ``region``, its gaps of 2 * ``reach`` closed, that touch ``seeds`` (all (S, S))."""
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    whole = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    _, parts = cv2.connectedComponents(whole)
    over = np.unique(parts[seeds & (whole > 0)])
    return np.isin(parts, over[over > 0])


def soft_lab(crop: RGB) -> NDArray[np.float32]:
    """Return a slightly blurred crop (S, S, 3) in Lab."""
    soft = cv2.GaussianBlur(crop, (0, 0), crop.shape[0] / 160).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2Lab), np.float32)


def skin_colour(lab: NDArray[np.float32], spots: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median colour (3,) around ``spots`` (n, 2) of a picture in Lab (S, S, 3)."""
    return np.asarray(np.median(np.concatenate([_around(lab, spot) for spot in spots]), axis=0), np.float32)


def _around(picture: NDArray[np.float32], point: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3): the pixels within two of a point, or the nearest ones to it."""
    row, column = (int(np.clip(v, 2, picture.shape[0] - 3)) for v in (point[1], point[0]))
    return picture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3)
