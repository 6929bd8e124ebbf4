"""Chooses reference frames as ``generate`` does, and makes those of a portrait: closed lips, opened by geometry.

What an opened picture shows between its lips is rendered and its skin is stretched, so whoever draws from it must learn
to take the person from it and not its faults. Letters: N frames of a clip, S0 side of the stored crop, K candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.opened_mouth import opened_mouth
from dithead.types import RGB

_CANDIDATES = 8  # frames of which the best one is taken, at most; our choice


def closed_frame(landmarks: NDArray[np.float32], rng: np.random.Generator) -> int:
    """Draw some of a clip's frames with ``landmarks`` (N, 478, 2), and return the one whose lips are the least open."""
    few = rng.integers(len(landmarks), size=_CANDIDATES)
    return int(few[np.argmin([lip_opening(landmarks[k]) for k in few])])


def nearest_frame(landmarks: NDArray[np.float32], target: int, rng: np.random.Generator) -> int:
    """Draw one to eight of a clip's frames with ``landmarks`` (N, 478, 2); return the one that is open like ``target``.

    The target itself is drawn only where the clip has no other frame.
    """
    others = np.flatnonzero(np.arange(len(landmarks)) != target)
    few = rng.choice(others if len(others) else [target], int(rng.integers(1, _CANDIDATES + 1)))
    wanted = lip_opening(landmarks[target])
    return int(few[np.argmin([abs(lip_opening(landmarks[k]) - wanted) for k in few])])


def opened_reference(crop: RGB, landmarks: NDArray[np.float32], wanted: NDArray[np.float32]) -> RGB:
    """Open or close a mouth as far as another one is open, and round or spread it as that one is.

    Args:
        crop: The frame (S0, S0, 3).
        landmarks: Its landmarks (478, 2), in crop pixels.
        wanted: Landmarks (478, 2) of a frame of the same person with the other mouth.
    """
    return opened_mouth(crop, landmarks, lip_opening(wanted), lip_width(wanted) - lip_width(landmarks))
