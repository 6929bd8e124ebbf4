"""Reads which of the eight orientations a frame is stored in, mirrored ones included."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees
from typing import Any

import numpy as np

_MATRIX = "DISPLAYMATRIX"  # FFmpeg's side data: 3 x 3 numbers of 32 bits; the first two columns turn and mirror


@dataclass(frozen=True)
class Orientation:
    """How the stored picture becomes the displayed one: mirrored first, left for right, then turned."""

    rotation: int = 0  # degrees counter-clockwise: 0, 90, 180 or 270
    mirrored: bool = False


def orientation_of(frame: Any) -> Orientation:
    """Return the orientation of a decoded ``av.VideoFrame``; other angles become the nearest quarter turn."""
    try:
        matrix = frame.side_data.get(_MATRIX)
    except ValueError:  # PyAV lists no side data at all where FFmpeg has a newer kind
        return Orientation(_quarter(float(frame.rotation)))
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(matrix), "<i4")[:5].astype(float)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return Orientation(_quarter(-degrees(atan2(b, a))), mirrored)


def _quarter(angle: float) -> int:
    """The nearest of 0, 90, 180 and 270 degrees."""
    return round(angle / 90) % 4 * 90
