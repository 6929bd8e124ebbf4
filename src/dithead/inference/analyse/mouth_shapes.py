"""What the shapes of one person's mouth have in common: how it widens as it opens, and where in the crop it lies.

Letters: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

USUAL_SLOPE = 0.1
"""Eye distances by which lips widen as they open by one, on the average of people; they differ by 0.26 (docs/log)."""
LARGEST_SHIFT = 0.025
"""Largest shift of a mouth to its usual place, as a share of the crop's side (our choice)."""
_ENOUGH = 8  # samples from which it is known where a mouth usually lies (our choice)
_PRIOR = 0.02  # squared eye distances of openings that count as much as ``USUAL_SLOPE`` (docs/log)


def width_slope(openings: NDArray[np.floating[Any]], widths: NDArray[np.floating[Any]]) -> float:
    """Return how many eye distances lips widen as they open by one; where little is seen, as people usually do.

    Args:
        openings: (N,) in eye distances.
        widths: (N,) in eye distances.
    """
    change = openings.astype(np.float64) - float(openings.mean())
    return float((change @ widths.astype(np.float64) + _PRIOR * USUAL_SLOPE) / (change @ change + _PRIOR))


def shifts_to_usual_place(
    centres: NDArray[np.float32], shapes: Sequence[NDArray[np.float64]], size: int
) -> NDArray[np.float32]:
    """Return how far each mouth lies from where mouths of its shape usually do, seen in one pose of the head.

    A picture of closed lips from a rest and one from speech differ by a pixel or two in the height of the mouth, which
    would leap up and down where references change.

    Args:
        centres: (N, 2) of the lips in crop pixels.
        shapes: Opening, width and turn of the head, (N,) each; the turn relative to the wanted pose.
        size: Crop side.

    Returns:
        (N, 2) crop pixels by which each would have to be shifted, at most ``LARGEST_SHIFT``; zeros where too few
        mouths were seen.
    """
    if len(centres) < _ENOUGH:
        return np.zeros_like(centres)
    known = np.stack([np.ones(len(centres)), *(shape - shape.mean() for shape in shapes[:-1]), shapes[-1]], axis=1)
    usual = np.linalg.lstsq(known, centres.astype(np.float64), rcond=None)[0]
    there = known[:, :-1] @ usual[:-1]
    return np.asarray((there - centres).clip(-LARGEST_SHIFT * size, LARGEST_SHIFT * size), np.float32)
