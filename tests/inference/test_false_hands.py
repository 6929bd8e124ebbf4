"""A face that the hand networks take for a hand is drawn; a hand before the mouth stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.alignment import crop_transform, transform_points
from dithead.face.hands import HandFinder
from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import OUTER_LIPS
from dithead.inference.analyse import false_hands
from dithead.inference.analyse.false_hands import FalseHands, is_face_itself, lips_seen
from dithead.inference.analyse.occlusion import OcclusionDetector
from dithead.inference.analyse.occlusion_colour import inside, soft_lab
from drawn_hand import draw_hand

SIZE = 160
ON_FACE = np.array([[0.1, 0.7], *[[x, y] for x in (0.3, 0.4, 0.5, 0.6, 0.7) for y in (0.65, 0.75, 0.8, 0.85)]])
"""A "hand" as it is found on a turned head: wrist at the jaw, fingers towards nose and lips, as a share of the face."""


def on_face(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + ON_FACE * (high - low)).astype(np.float32)


def without_lips(crop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The crop with its mouth filled from around it, as a palm would look there."""
    mouth = inside(points[list(OUTER_LIPS)], SIZE, grow=SIZE // 16).astype(np.uint8)
    return cv2.inpaint(crop, mouth, 5, cv2.INPAINT_TELEA)


def test_a_hand_within_a_face_whose_lips_are_seen_is_the_face(seen):
    crop, points, _ = seen
    assert is_face_itself(on_face(points), points, soft_lab(crop))


def test_a_hand_over_lips_that_are_not_seen_is_a_hand(seen):
    crop, points, _ = seen
    hidden, all_of_it = soft_lab(without_lips(crop, points)), np.ones((SIZE, SIZE), bool)
    assert lips_seen(hidden, points, all_of_it) < 4 < 6 < lips_seen(soft_lab(crop), points, all_of_it)
    assert not is_face_itself(on_face(points), points, hidden)


def test_a_face_that_was_taken_for_a_hand_still_is_one_where_its_lips_are_hardly_seen(seen, monkeypatch):
    crop, points, _ = seen
    hands, measured = FalseHands(), iter((3.0, 8.0, 3.0, 1.0, 3.0))
    monkeypatch.setattr(false_hands, "lips_seen", lambda *_: next(measured))
    left = [len(hands.without([on_face(points)], points, soft_lab(crop))) for _ in range(5)]
    assert left == [1, 0, 0, 1, 1]


def test_a_hand_whose_wrist_is_beyond_the_face_is_a_hand(seen):
    crop, points, _ = seen
    hand = on_face(points)
    hand[0] = points.max(axis=0) + 0.15 * SIZE
    assert not is_face_itself(hand, points, soft_lab(crop))


@pytest.mark.parametrize("hand", [True, False], ids=["hand", "face"])
def test_a_detector_that_takes_the_face_for_a_hand_hides_nothing(hand, pictures, seen, monkeypatch):
    _, points, face = seen
    move = crop_transform(face, SIZE)
    place = on_face(points)
    if hand:
        place[0] = points.max(axis=0) + 0.15 * SIZE
    scale, margin = 0.6 * 256 / SIZE, 0.2 * 256
    monkeypatch.setattr(HandFinder, "find", lambda *_: [place * scale + margin])
    with OcclusionDetector() as detector:
        found = detector.find(pictures[4], points, move, SIZE, 0)
    assert (found.without_hands is not None) == hand


@pytest.mark.parametrize("angle", [-0.6, 0.0, 0.6])
def test_a_hand_drawn_before_a_mouth_is_found(angle, pictures):
    picture = cv2.resize(pictures[4], (768, 768), interpolation=cv2.INTER_CUBIC)
    with FaceLandmarker() as landmarker:
        face = landmarker.detect(picture)[0]
        mouth = face[list(OUTER_LIPS), :2].mean(axis=0)
        draw_hand(picture, tuple(np.add(mouth, (0, 90))), angle, 1.2)
        face = (landmarker.detect(picture) or [face])[0]
    move = crop_transform(face, SIZE)
    with OcclusionDetector() as detector:
        found = detector.find(picture, transform_points(face, move).astype(np.float32), move, SIZE, 0)
    assert found.without_hands is not None
