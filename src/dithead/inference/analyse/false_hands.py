"""Tells hands from faces that the hand networks take for hands.

Cheek, nose and lips look like a palm with fingers to these networks, most often where a head is turned; their scores
reach 0.93 there, so no threshold helps. Such a "hand" lies within the face together with its wrist, which a hand before
a mouth does not, and the lips are seen where it is said to be. The limits were chosen on rendered heads that are turned
and on clips of the training set (docs/log). Letters: S crop side.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.hands import hand_mask
from dithead.face.mesh_indices import INNER_LIPS, OUTER_LIPS
from dithead.inference.analyse.occlusion_colour import inside

_WITHIN = 0.7  # share of a hand's landmarks within the outline of the face; 0.76 or more for faces taken for hands
_WRIST_BEYOND = 0.1  # of S: how far beyond that outline the wrist may lie; up to 0.07 for such faces
_OVER_LIPS = 0.3  # share of the lips that a hand must cover, or nothing can be said of it (our choice)
_SEEN, _STILL_SEEN = 6.0, 2.0  # ``lips_seen`` above which no hand is before the lips, at first and one search later
_DARKNESS = 0.5  # weight of the dark line between the lips against their redness (our choice)


class FalseHands:
    """Leaves out what is the face itself among the hands that are found along one video."""

    def __init__(self) -> None:
        self._least = _SEEN

    def without(
        self, hands: list[NDArray[np.float32]], points: NDArray[np.float32], lab: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        """Return those of the next picture's hands that are hands; for the arguments see ``is_face_itself``."""
        is_face = [is_face_itself(hand, points, lab, self._least) for hand in hands]
        self._least = _STILL_SEEN if any(is_face) else _SEEN
        return [hand for hand, false in zip(hands, is_face, strict=True) if not false]


def is_face_itself(
    hand: NDArray[np.float32], points: NDArray[np.float32], lab: NDArray[np.float32], least: float = _SEEN
) -> bool:
    """Return whether what was taken for a hand is the face.

    Args:
        hand: (21, 2) landmarks of the hand in the crop, the wrist first.
        points: (478, 2) landmarks of the face in the crop.
        lab: The crop (S, S, 3) as ``soft_lab`` returns it.
        least: ``lips_seen`` that it takes.
    """
    size, outline = lab.shape[0], cv2.convexHull(points.astype(np.float32))
    depths = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=True) for x, y in hand])
    if (depths > 0).mean() <= _WITHIN or depths[0] <= -_WRIST_BEYOND * size:
        return False
    return lips_seen(lab, points, hand_mask([hand], size) > 0) > least


def lips_seen(lab: NDArray[np.float32], points: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Measure how much the lips differ from what is around them, as they do where nothing lies over them.

    Args:
        lab: The crop (S, S, 3) as ``soft_lab`` returns it.
        points: (478, 2) landmarks of the face in the crop.
        where: (S, S) the part that is looked at.

    Returns:
        By how much they are redder, plus half of how much darker the line between them is, in units of Lab; 0 where
        the part has too little of them.
    """
    size = lab.shape[0]
    outer, gap = inside(points[list(OUTER_LIPS)], size), inside(points[list(INNER_LIPS)], size, grow=1)
    around = inside(points[list(OUTER_LIPS)], size, grow=size // 12)
    around &= ~inside(points[list(OUTER_LIPS)], size, grow=size // 40)
    lips, gap, around = outer & ~gap & where, gap & where, around & where
    if not (gap.any() and around.any()) or lips.sum() < _OVER_LIPS * outer.sum():
        return 0.0
    skin = np.median(lab[around], axis=0)
    redder = np.median(lab[lips][:, 1]) - skin[1]
    return float(redder + _DARKNESS * (skin[0] - np.percentile(lab[gap][:, 0], 20)))
