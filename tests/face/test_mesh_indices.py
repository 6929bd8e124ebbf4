"""The landmark indices agree with MediaPipe's own lists, and the measures built on them with geometry."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.face import mesh_indices as mesh
from dithead.face.pose import head_turn, nose_direction


def test_outlines_are_mediapipes():
    reason = "mediapipe is not installed (the extra 'agreement')"
    connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections", reason=reason)

    def points(pairs) -> set[int]:
        return {point for pair in pairs for point in pair}

    assert points(connections.FACEMESH_LIPS) == set(mesh.LIP_INDICES)
    assert points(connections.FACEMESH_FACE_OVAL) == set(mesh.FACE_OVAL)
    assert set(mesh.JAW) < set(mesh.FACE_OVAL)
    assert {mesh.RIGHT_EYE_OUTER, mesh.RIGHT_EYE_INNER} < points(connections.FACEMESH_RIGHT_EYE)
    assert {mesh.LEFT_EYE_OUTER, mesh.LEFT_EYE_INNER} < points(connections.FACEMESH_LEFT_EYE)


def test_the_lower_lip_is_one_closed_outline(face):
    outline, middle = face[list(mesh.LOWER_LIP), :2], face[list(mesh.LIP_INDICES), 1].mean()
    assert len(set(mesh.LOWER_LIP)) == 22
    assert (outline[:, 1] > middle - 0.1 * mesh.eye_distance(face)).all()
    steps = np.linalg.norm(outline - np.roll(outline, 1, axis=0), axis=1)
    assert steps.max() < 0.25 * mesh.eye_distance(face), "neighbours in the outline lie side by side"


def test_right_and_left_are_the_persons_own(face):
    assert face[mesh.RIGHT_EYE_OUTER, 0] < face[mesh.LEFT_EYE_OUTER, 0]
    assert face[mesh.MOUTH_RIGHT, 0] < face[mesh.MOUTH_LEFT, 0]
    assert face[mesh.JAW[-1], 0] < face[mesh.CHIN, 0] < face[mesh.JAW[0], 0]


def test_eye_distance_uses_as_many_dimensions_as_it_gets():
    points = np.zeros((mesh.LANDMARKS, 3))
    points[mesh.LEFT_EYE_OUTER] = (30, 40, 120)
    assert mesh.eye_distance(points) == 130
    assert mesh.eye_distance(points[:, :2]) == 50
    assert mesh.eye_distances(np.stack([points, 2 * points])).tolist() == [130, 260]


def test_head_turn_is_zero_for_eyes_at_one_depth_and_signed_otherwise():
    points = np.zeros((mesh.LANDMARKS, 3))
    points[mesh.LEFT_EYE_OUTER] = (30, 0, 0)
    assert head_turn(points) == 0
    points[mesh.LEFT_EYE_OUTER] = (30, 0, 40)
    assert head_turn(points) == pytest.approx(0.8)


def test_nose_direction_does_not_depend_on_size_place_and_roll():
    points = np.zeros((mesh.LANDMARKS, 2))
    points[mesh.RIGHT_EYE_OUTER], points[mesh.LEFT_EYE_OUTER], points[mesh.NOSE_TIP] = (0, 0), (10, 0), (7, 4)
    assert nose_direction(points) == pytest.approx([0.2, 0.4])
    roll = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    assert nose_direction(points @ roll.T * 3 + 50) == pytest.approx([0.2, 0.4])
