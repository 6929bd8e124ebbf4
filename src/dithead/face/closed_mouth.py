"""Closes the open mouth of one picture: the lips are layers that slide over teeth and tongue, which stay in place.

A single smooth warp would squeeze what lies between the lips into the line where they meet, and smear teeth over it. So
the upper and the lower lip are warped apart from each other, each without the other's landmarks, and cover the inside
as far as the moved inner lips say. Coordinates are turned so that the eyes are level: x runs along them, y downwards.
Letters: K points, h, w a picture's part.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.level_turn import LevelTurn, height_at
from dithead.face.masks import box_around
from dithead.face.mesh_indices import INNER_LIPS, LIP_INDICES, OUTER_LIPS
from dithead.face.thin_plate import warp_to
from dithead.types import RGB

_MIDDLE = 10  # place of the left corner in ``INNER_LIPS``: the lower lip comes before it, the upper lip after it
_EDGE = 0.012  # eye distances at the lips' inner edges that show teeth or shade, and are never shown (our choice)
_SEAM = 0.018  # the same where lips that were closed open (docs/log)
_STRETCHED = 3.0  # times that, from the edge, is the part of a lip that is stretched to fill its place (our choice)
_SOFT = 0.008  # eye distances over which a lip's edge passes into what it covers (our choice)
_BESIDE = 0.06  # the same beyond the corners, where both lips' warps meet on the cheeks (our choice)
_SHADE, _LIT = 0.35, 0.4  # brightness of the inside where the lips just meet; share of the gap from which it is full
_OUTER_SHARE = 0.6  # of what the inner lips are moved beyond the mean motion, for the lips' outlines (our choice)


class Motion(NamedTuple):
    """Where the points of a picture are, and where they go."""

    before: NDArray[np.float64]  # (K, 2)
    after: NDArray[np.float64]  # (K, 2)

    def part(self, keep: NDArray[np.bool_]) -> Motion:
        """Return the points to ``keep`` (K,), without those that would land on one place."""
        before, after = self.before[keep], self.after[keep]
        _, distinct = np.unique(np.round(after, 2), axis=0, return_index=True)
        return Motion(before[distinct], after[distinct])


def closed_evenly(motion: Motion, share: float) -> Motion:
    """Leave the same ``share`` of the gap between the inner lips everywhere, also where a mean person's would differ.

    Args:
        motion: Of the 478 landmarks.
        share: 0 closes the lips, 1 leaves them as open as they are.
    """
    after = motion.after.copy()
    for k in range(1, _MIDDLE):
        low, high = INNER_LIPS[k], INNER_LIPS[-k]
        middle = (after[low] + after[high]) / 2
        half = (motion.before[low] - motion.before[high]) * (share / 2)
        for inner, outer, goal in ((low, OUTER_LIPS[k], middle + half), (high, OUTER_LIPS[-k], middle - half)):
            after[outer] += _OUTER_SHARE * (goal - after[inner])
            after[inner] = goal
    return Motion(motion.before, after)


def cover_inside(picture: RGB, lips: Motion, anchors: Motion, box: tuple[int, int, int, int], share: float) -> RGB:
    """Return a part of a picture with the lips closed over the inside of the mouth.

    Args:
        picture: (h, w, 3).
        lips: Of the 478 landmarks, from ``closed_evenly``.
        anchors: Of all other points that hold the warp: the lower face's landmarks and what stays.
        box: Left, top, right and bottom of the part.
        share: How much of the gap between the lips is left, see ``closed_evenly``.
    """
    level = LevelTurn.of(lips.before)
    old, new = (level.turned(each[list(INNER_LIPS)]) for each in lips)
    left, top, right, bottom = box
    place = level.turned(np.dstack(np.meshgrid(np.arange(left, right), np.arange(top, bottom))))
    result = picture[top:bottom, left:right].astype(np.float32) * np.float32(
        _SHADE + (1 - _SHADE) * min(1.0, share / _LIT)
    )
    below, above = (_coverage(place, new, level.unit, upper=upper) for upper in (False, True))
    for upper, weight, seen in ((False, below, below * (1 - above)), (True, above, above)):
        rows = np.flatnonzero(seen.any(axis=1))
        if not len(rows):  # the picture ends before this lip
            continue
        first, stop = rows[0], rows[-1] + 1
        where = _lip_map(lips, anchors, (left, top + first, right, top + stop), level, upper=upper)
        where = _off_the_edge(where, old, level, (1 - share) * _EDGE, upper=upper)
        layer = cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        part = result[first:stop]
        part += (layer - part) * weight[first:stop, :, None]
    return np.asarray(np.rint(result).clip(0, 255), np.uint8)


def off_the_edges(where: NDArray[np.float32], lips: Motion, box: tuple[int, int, int, int], share: float) -> None:
    """Let both lips be looked for away from their inner edges: these show teeth, or the shade between the lips.

    Args:
        where: (h, w, 2) the place in a picture that is shown at each pixel of its part; changed.
        lips: Of the 478 landmarks.
        box: Left, top, right and bottom of the part.
        share: How much of the usual margin is kept.
    """
    if not share:
        return
    level = LevelTurn.of(lips.before)
    old, new = (level.turned(each[list(INNER_LIPS)]) for each in lips)
    left, top, right, bottom = box_around(lips.after[list(OUTER_LIPS)], (box[3], box[2]))
    left, top = max(left, box[0]), max(top, box[1])
    place = level.turned(np.dstack(np.meshgrid(np.arange(left, right), np.arange(top, bottom))))
    part = where[top - box[1] : bottom - box[1], left - box[0] : right - box[0]]
    (below, _), (above, _) = (inner_edge(place[..., 0], new, upper=upper) for upper in (False, True))
    margin, y = share * _SEAM, place[..., 1]
    for upper, on_lip in ((True, y < above + margin * level.unit), (False, y > below - margin * level.unit)):
        moved = _off_the_edge(part, old, level, margin, upper=upper)
        np.copyto(part, moved, where=on_lip[..., None])


def _lip_map(
    lips: Motion, anchors: Motion, box: tuple[int, int, int, int], level: LevelTurn, *, upper: bool
) -> NDArray[np.float32]:
    """The map of one lip: it knows nothing of the other one."""
    own = [*INNER_LIPS[_MIDDLE:], *OUTER_LIPS[_MIDDLE:], INNER_LIPS[0], OUTER_LIPS[0]]
    own = own if upper else [*INNER_LIPS[: _MIDDLE + 1], *OUTER_LIPS[: _MIDDLE + 1]]
    points = Motion(*(np.concatenate([a[own], b]) for a, b in zip(lips, anchors, strict=True)))
    distinct = points.part(np.ones(len(points.before), np.bool_))
    return warp_to(distinct.after, distinct.before, box, level.unit)


def _off_the_edge(
    where: NDArray[np.float32], inner: NDArray[np.float64], level: LevelTurn, margin: float, *, upper: bool
) -> NDArray[np.float32]:
    """Look for a lip no nearer to the inside of the mouth than a ``margin`` in eye distances from its inner edge."""
    place = level.turned(where.astype(np.float64))
    edge, within = inner_edge(place[..., 0], inner, upper=upper)
    left, right = inner[:, 0].min(), inner[:, 0].max()
    inwards = np.clip(4 * (place[..., 0] - left) * (right - place[..., 0]) / max(right - left, 1e-6) ** 2, 0, 1)
    least = margin * level.unit * inwards
    depth = (edge - place[..., 1]) if upper else (place[..., 1] - edge)
    kept = np.maximum(depth, least + depth.clip(0) * (1 - 1 / _STRETCHED))
    place[..., 1] = np.where(within, edge - kept if upper else edge + kept, place[..., 1])
    return level.back(place).astype(np.float32)


def _coverage(
    place: NDArray[np.float64], inner: NDArray[np.float64], unit: float, *, upper: bool
) -> NDArray[np.float32]:
    """How much a lip shows at each place (h, w): all of it up to its inner edge, and softly beyond the corners."""
    edge, within = inner_edge(place[..., 0], inner, upper=upper)
    distance = (edge - place[..., 1]) if upper else (place[..., 1] - edge)
    beyond = np.maximum(inner[:, 0].min() - place[..., 0], place[..., 0] - inner[:, 0].max()).clip(0)
    soft = (_SOFT * unit + np.minimum(beyond, _BESIDE * unit)).clip(0.7)
    return (0.5 + 0.5 * np.clip(distance / soft, -1, 1)).astype(np.float32) if upper else _lower(distance, within, soft)


def _lower(distance: NDArray[np.float64], within: NDArray[np.bool_], soft: NDArray[np.float64]) -> NDArray[np.float32]:
    """The lower lip lies under the upper one, and beyond the corners everywhere."""
    weight = 0.5 + 0.5 * np.clip(distance / soft, -1, 1)
    return np.where(within, weight, 1.0).astype(np.float32)


def inner_edge(
    x: NDArray[np.float64], inner: NDArray[np.float64], *, upper: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the y of a lip's inner edge at each ``x``, that of the corner beyond it, and whether x is between them.

    Args:
        x: (h, w) in the coordinates of ``LevelTurn``.
        inner: (20, 2) the inner lips there.
        upper: Of the upper lip.
    """
    chain = np.concatenate([inner[_MIDDLE:], inner[:1]])[::-1] if upper else inner[: _MIDDLE + 1]
    return height_at(x, chain), (x > chain[:, 0].min()) & (x < chain[:, 0].max())


def lip_interior(landmarks: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which landmarks (478,) are on the lips: their outlines, and all within the outer one."""
    outline = landmarks[list(OUTER_LIPS)].astype(np.float32)
    inside = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y in landmarks])
    inside[list(LIP_INDICES)] = True
    return inside
