"""MediaPipe Hands behind one small adapter: where hands are, as masks. The model is the one inside the wheel."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.landmarks import quiet_native_logs
from dithead.types import RGB, Mask

_PALM = (0, 1, 5, 9, 13, 17)
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_FINGER, _ROUND, _ARM = 0.30, 0.18, 0.8  # widths in palm widths: a finger, around the palm, the forearm


class HandFinder:
    """Hands along one video. Use as a context manager; the networks are built when first needed."""

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
        """Landmarks (21, 2) in pixels of each hand (two at most) of the video's next picture."""
        height, width = image.shape[:2]
        with quiet_native_logs():  # the first hand of a process makes the native side print
            if self._graph is None:
                from mediapipe.python.solutions.hands import Hands

                self._graph = Hands(model_complexity=0, max_num_hands=2, min_detection_confidence=0.6)
            found = self._graph.process(np.ascontiguousarray(image)).multi_hand_landmarks or []
        scale = np.array([width, height], np.float32)
        return [np.array([(p.x, p.y) for p in hand.landmark], np.float32) * scale for hand in found]


def hand_mask(hands: list[NDArray[np.float32]], size: int) -> Mask:
    """(size, size): 1 on palms, fingers and the beginning of the forearm of hands in a picture's pixels."""
    mask = np.zeros((size, size), np.uint8)
    for hand in hands:
        width = float(np.linalg.norm(hand[5] - hand[17])) + 0.5 * float(np.linalg.norm(hand[0] - hand[9]))
        width /= 1.5  # a palm seen from its edge is no narrower
        cv2.fillConvexPoly(mask, cv2.convexHull(_whole(hand[list(_PALM)])), 1)
        cv2.polylines(mask, [_whole(hand[list(_PALM)])], True, 1, _thick(_ROUND * width))
        for finger in _FINGERS:
            cv2.polylines(mask, [_whole(hand[list(finger)])], False, 1, _thick(_FINGER * width))
        elbow = hand[0] + 1.5 * (hand[0] - hand[9])
        cv2.polylines(mask, [_whole(np.stack([hand[0], elbow]))], False, 1, _thick(_ARM * width))
    return mask.astype(np.float32)


def _whole(points: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.clip(np.round(points), -30000, 30000).astype(np.int32)


def _thick(width: float) -> int:
    return max(1, round(width))
