"""Hands in pictures, behind one small adapter: landmarks of hands, and masks of hands and forearms.

The networks are MediaPipe Hands' and come with the package; ``networks/`` runs them. The indices are those of its 21
hand landmarks. Letters: S side.
"""

from __future__ import annotations

from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.networks.hand_model import HandModel
from dithead.face.networks.region_tracker import RegionTracker
from dithead.types import RGB, Mask

_HANDS = 2  # hands that are looked for
_DETECTION_CONFIDENCE = 0.6  # score of the palm detector from which a palm counts, 0 to 1; our choice
_PRESENCE_CONFIDENCE = 0.5  # score of the landmarks from which a region shows a hand: MediaPipe's default
_WRIST, _INDEX_KNUCKLE, _MIDDLE_KNUCKLE, _LITTLE_KNUCKLE = 0, 5, 9, 17
_PALM = (0, 1, 5, 9, 13, 17)
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_FINGER_WIDTH, _PALM_MARGIN, _ARM_WIDTH = 0.30, 0.18, 0.8  # in widths of the palm; our choice
_FARTHEST = 30_000  # pixels: OpenCV draws with 16-bit coordinates


class HandFinder:
    """Finds hands along one video.

    Use it as a context manager; the networks are loaded on first use. Use one object per thread.
    """

    def __init__(self) -> None:
        self._tracker: RegionTracker | None = None

    def __enter__(self) -> HandFinder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tracker = None

    def find(self, image: RGB) -> list[NDArray[np.float32]]:
        """Return landmarks (21, 2) in pixels of the hands in the next picture (H, W, 3) of the video.

        Raises:
            ModelError: A network's file is damaged, or LiteRT is not installed.
        """
        tracker = self.load()
        size = np.array([image.shape[1], image.shape[0]], np.float32)
        return [hand * size for hand in tracker.step(image)]

    def load(self) -> RegionTracker:
        """Load the networks, unless they are, and return what follows the hands.

        Raises:
            ModelError: A network's file is damaged, or LiteRT is not installed.
        """
        if self._tracker is None:
            self._tracker = RegionTracker(HandModel(_DETECTION_CONFIDENCE, _PRESENCE_CONFIDENCE), _HANDS)
        return self._tracker


def hand_mask(hands: list[NDArray[np.float32]], size: int) -> Mask:
    """Draw a mask of hands.

    Args:
        hands: Landmarks (21, 2) of each hand, in pixels of the mask.
        size: S, side of the mask.

    Returns:
        (S, S): 1 on palms, fingers and the beginning of the forearms, else 0.
    """
    mask = np.zeros((size, size), np.uint8)
    for hand in hands:
        width = float(np.linalg.norm(hand[_INDEX_KNUCKLE] - hand[_LITTLE_KNUCKLE]))
        width += 0.5 * float(np.linalg.norm(hand[_WRIST] - hand[_MIDDLE_KNUCKLE]))
        width /= 1.5  # the length of the palm counts too: from its edge a palm looks narrow, but its fingers do not
        cv2.fillConvexPoly(mask, cv2.convexHull(_rounded(hand[list(_PALM)])), 1)
        cv2.polylines(mask, [_rounded(hand[list(_PALM)])], True, 1, _thickness(_PALM_MARGIN * width))
        for finger in _FINGERS:
            cv2.polylines(mask, [_rounded(hand[list(finger)])], False, 1, _thickness(_FINGER_WIDTH * width))
        elbow = hand[_WRIST] + 1.5 * (hand[_WRIST] - hand[_MIDDLE_KNUCKLE])
        cv2.polylines(mask, [_rounded(np.stack([hand[_WRIST], elbow]))], False, 1, _thickness(_ARM_WIDTH * width))
    return mask.astype(np.float32)


def _rounded(points: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.clip(np.round(points), -_FARTHEST, _FARTHEST).astype(np.int32)


def _thickness(width: float) -> int:
    return max(1, round(width))
