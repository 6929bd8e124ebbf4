"""Opens a mouth further whose picture shows the dark between its teeth: that grows, and nothing else is smeared.

A smooth warp would stretch teeth as much as the gap between them. But upper teeth stay with the upper lip, while lower
teeth and tongue go down with the lower one. Coordinates are those of ``LevelTurn``: x runs along the eyes, y downwards.
Letters: h, w a picture's part.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.closed_mouth import Motion, inner_edge
from dithead.face.level_turn import LevelTurn
from dithead.face.masks import box_around, soft_polygon
from dithead.face.mesh_indices import INNER_LIPS
from dithead.types import RGB

_DARK = 0.4  # brightness over that of the skin, up to which a row of the inside is the dark behind the teeth (docs/log)
_LINE = 0.8  # the same over that of brighter rows on either side, up to which a row is the line between teeth
_ABOUT = (0.15, 0.9)  # parts of the inside's height between which that is looked for: its edges are the lips'
_MIDDLE = (0.3, 0.7)  # the same of its width
_GROWTH = 0.5  # to this power of how much the gap grows, the rest grows too: lips that part uncover more (docs/log)
_DARKER = 0.7  # brightness where the inside has parted, over that of its darkest row (our choice, by looking)
_FULL = 0.05  # eye distances that the new part is high when it has become so dark (our choice)
_SMOOTH = 0.02  # eye distances: sigma that smooths the row which is repeated (our choice)
_EDGE = (0.006, 0.15)  # softness of the new part's edges: eye distances, and of its height (our choice)
_RIM = 0.004  # eye distances: sigma of the edge between the lips and the inside (our choice)


def dark_row(picture: RGB, landmarks: NDArray[np.float64], skin: float) -> float | None:
    """Find the row of the inside of a mouth where it can part.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in its pixels.
        skin: Brightness of the skin, 0 to 255.

    Returns:
        Where it lies from 0 at the upper lip to 1 at the lower one; None where the picture shows no dark row.
    """
    level = LevelTurn.of(landmarks)
    inner = level.turned(landmarks[list(INNER_LIPS)])
    first, last = inner[:, 0].min(), inner[:, 0].max()
    x = first + np.linspace(*_MIDDLE, 41) * (last - first)
    rows = np.linspace(*_ABOUT, 46)
    above, below = (inner_edge(x, inner, upper=upper)[0] for upper in (True, False))
    y = above + (below - above) * rows[:, None]
    where = level.back(np.dstack([np.broadcast_to(x, y.shape), y])).astype(np.float32)
    seen = cv2.remap(picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    brightness = cv2.blur(seen.mean(axis=(1, 2))[:, None], (1, 5))[:, 0]
    if brightness.min() < _DARK * skin:
        return float(rows[brightness.argmin()])
    above, below = (np.maximum.accumulate(each) for each in (brightness, brightness[::-1]))
    line = brightness / np.minimum(above, below[::-1])
    return float(rows[line.argmin()]) if line.min() < _LINE else None


def part_inside(picture: RGB, opened: RGB, lips: Motion, row: float) -> None:
    """Show the inside of a mouth, parted at a row, between lips that have been moved apart.

    Args:
        picture: (h, w, 3) as it was.
        opened: (h, w, 3) with moved lips; changed between the inner ones.
        lips: Of the 478 landmarks.
        row: From ``dark_row``.
    """
    level, after = LevelTurn.of(lips.before), lips.after[list(INNER_LIPS)]
    box = left, top, right, bottom = box_around(after, picture.shape)
    part, inside = opened[top:bottom, left:right], _parted(picture, lips, box, row)
    weight = soft_polygon(after, box, max(0.5, _RIM * level.unit))[..., None]
    part[:] = np.rint(part + (inside - part) * weight).clip(0, 255)


class _Origins(NamedTuple):
    """Where a part of the picture (h, w) comes from when its inside parts."""

    origin: NDArray[np.float64]  # (h, w, 2) in the picture as it was
    upper: NDArray[np.float64]  # (h, w) the y at which the new part begins
    lower: NDArray[np.float64]  # (h, w) and at which it ends


def _parted(picture: RGB, lips: Motion, box: tuple[int, int, int, int], row: float) -> NDArray[np.float32]:
    """What a part of the picture would show if all of it lay between the moved lips."""
    left, top, right, bottom = box
    level = LevelTurn.of(lips.before)
    place = level.turned(np.dstack(np.meshgrid(np.arange(left, right), np.arange(top, bottom))))
    old, new = (level.turned(each[list(INNER_LIPS)]) for each in lips)
    origin, upper, lower = _origins(place, old, new, row)
    where = level.back(origin).astype(np.float32)
    kept = cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    y, gap = place[..., 1], lower - upper
    soft = (_EDGE[0] * level.unit + _EDGE[1] * gap).clip(0.7)
    share = (np.clip((y - upper) / soft, 0, 1) * np.clip((lower - y) / soft, 0, 1)).astype(np.float32)
    shade = (1 - (1 - _DARKER) * np.minimum(1, gap / (_FULL * level.unit))).astype(np.float32)
    repeated = cv2.GaussianBlur(kept, (0, 0), _SMOOTH * level.unit) * shade[..., None]
    return kept + (repeated - kept) * share[..., None]


def _origins(place: NDArray[np.float64], old: NDArray[np.float64], new: NDArray[np.float64], row: float) -> _Origins:
    """Where each ``place`` (h, w, 2) comes from: ``old`` and ``new`` are the inner lips (20, 2) before and after."""
    x, y = place[..., 0], place[..., 1]
    corners, corners_before = ((each[:, 0].min(), each[:, 0].max()) for each in (new, old))
    x_before = np.interp(x, corners, corners_before)
    above, below = (inner_edge(x, new, upper=upper)[0] for upper in (True, False))
    above_before, below_before = (inner_edge(x_before, old, upper=upper)[0] for upper in (True, False))
    height, height_before = (below - above).clip(1e-3), (below_before - above_before).clip(1e-3)
    growth = np.minimum(max(1.0, float(height.max() / height_before.max())) ** _GROWTH, height / height_before)
    upper, lower = above + row * height_before * growth, below - (1 - row) * height_before * growth
    y_before = above_before + row * height_before  # the row itself, where the inside has parted
    y_before = np.where(y < upper, above_before + (y - above) / growth, y_before)
    y_before = np.where(y > lower, below_before - (below - y) / growth, y_before)
    return _Origins(np.dstack([x_before, y_before]), upper, lower)
