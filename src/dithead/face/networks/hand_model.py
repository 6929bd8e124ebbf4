"""Hands for a ``RegionTracker``: the palm detector, the network of 21 hand landmarks and the regions between them.

Zhang et al. 2020 (arXiv 2006.10214). The small ("lite") networks are used, which is MediaPipe's model complexity 0.
"""

from __future__ import annotations

import math

import numpy as np

from dithead.face.networks.detector import PALM, Detector
from dithead.face.networks.region import (
    Growth,
    Points,
    Region,
    angle_of,
    as_input,
    cosine_and_sine,
    crop,
    grown,
    normalized,
    region_around,
    to_picture,
)
from dithead.face.networks.runtime import Network
from dithead.types import RGBLike

_SIDE = 224  # of the input, pixels
_WRIST, _MIDDLE_KNUCKLE = 0, 2  # key points of a palm
_FROM_PALM = Growth(2.6, shift=-0.5)  # from a palm's box to the hand's region: MediaPipe's values
_FROM_LANDMARKS = Growth(2.0, shift=-0.1)  # from the landmarks' box to the hand's region: MediaPipe's values
_STEADY = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # landmarks that place the next region: no finger tips
_INDEX, _MIDDLE, _RING = 5, 9, 13  # knuckles of these fingers
_UPWARDS = math.pi / 2  # direction of the hand within its region, radians


class HandModel:
    """Detector of palms and landmarks of hands.

    Args:
        detection: Score from which a detected palm counts, 0 to 1.
        presence: Score of the landmarks from which a region shows a hand, 0 to 1.
    """

    def __init__(self, detection: float, presence: float) -> None:
        self.presence = presence
        self._detector, self._network = Detector(PALM, detection), Network("hand_landmark_lite")

    def find(self, image: RGBLike) -> list[Region]:
        """Return the regions of the hands in a picture (H, W, 3), best first."""
        regions = []
        for palm in self._detector.detect(image):
            angle = angle_of(palm.points[_WRIST], palm.points[_MIDDLE_KNUCKLE], _UPWARDS, image)
            regions.append(region_around(palm.corner, palm.size, angle, _FROM_PALM, image))
        return regions

    def locate(self, image: RGBLike, region: Region) -> Points | None:
        """Return landmarks (21, 2) relative to the picture, or None where the region shows no hand."""
        points, score, _, _ = self._network(as_input(crop(image, region, _SIDE)))
        if float(score.reshape(())) <= self.presence:
            return None
        return to_picture(points.reshape(21, 3)[:, :2] / np.float32(_SIDE), region)

    def next_region(self, points: Points, image: RGBLike) -> Region:
        """Return where to look in the next picture for the hand with these landmarks."""
        size = np.array([image.shape[1], image.shape[0]], np.float32)
        knuckles = ((points[_INDEX] + points[_RING]) / np.float32(2) + points[_MIDDLE]) / np.float32(2)
        angle = angle_of(points[_WRIST], knuckles, _UPWARDS, image)
        steady = points[list(_STEADY)]
        centre = (steady.min(axis=0) + steady.max(axis=0)) / np.float32(2)
        turned = _turn((steady - centre) * size, normalized(-angle))
        low, high = turned.min(axis=0), turned.max(axis=0)
        x, y = (_turn((low + high)[None] / np.float32(2), angle)[0] + size * centre) / size
        width, height = (high - low) / size
        return grown(Region(x, y, width, height, angle), _FROM_LANDMARKS, image)


def _turn(points: Points, angle: np.float32) -> Points:
    cosine, sine = cosine_and_sine(angle)
    x, y = points[:, 0], points[:, 1]
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)
