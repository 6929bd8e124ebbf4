"""MediaPipe Hands behind one small adapter: landmarks of hands, and masks of hands and forearms.

The model is the one inside the ``mediapipe`` wheel. The indices are those of its 21 hand landmarks. Letters: S side.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.landmarks import quiet_native_logs
from dithead.types import RGB, Mask

_WRIST, _INDEX_KNUCKLE, _MIDDLE_KNUCKLE, _LITTLE_KNUCKLE = 0, 5, 9, 17
_PALM = (0, 1, 5, 9, 13, 17)
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_FINGER_WIDTH, _PALM_MARGIN, _ARM_WIDTH = 0.30, 0.18, 0.8  # in widths of the palm; our choice
_FARTHEST = 30_000  # pixels: OpenCV draws with 16-bit coordinates


class HandFinder:
    """Hands along one video. Use it as a context manager; the networks are built on first use."""

    def __init__(self) -> None:
        self._graph: Any = None

    def __enter__(self) -> HandFinder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._graph is not None:
            self._graph.close()
            self._graph = None

    def find(self, image: RGB) -> list[NDArray[np.float32]]:
        """Return landmarks (21, 2) in pixels of each hand, two at most, in the next picture (H, W, 3) of the video."""
        height, width = image.shape[:2]
        with quiet_native_logs():  # the first hand of a process makes the native side print
            if self._graph is None:
                from mediapipe.python.solutions.hands import Hands

                self._graph = Hands(model_complexity=0, max_num_hands=2, min_detection_confidence=0.6)
            found = self._graph.process(np.ascontiguousarray(image)).multi_hand_landmarks or []
        scale = np.array([width, height], np.float32)
        return [np.array([(p.x, p.y) for p in hand.landmark], np.float32) * scale for hand in found]


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
