"""Fits the head to a face in pictures: pose, shape and expression from landmarks, by regularised least squares.

Letters: T pictures, L landmarks (468, in FaceMesh's order), V base vertices of the head, S shape directions,
E expression directions. Lengths are decimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.mesh_indices import FACE_OVAL, LIP_INDICES, MESH_LANDMARKS, eye_distance
from dithead.synth.face.units import UNITS
from dithead.synth.head.assets import face_unit
from dithead.synth.head.body import apply_shape_keys
from dithead.synth.head.head_model import HeadModel, ShapeKey
from dithead.synth.head.identity import SHAPE_SPREAD, macro_key_weights, opposite_keys
from dithead.synth.head.landmark_vertices import landmark_points
from dithead.synth.types import Floats
from dithead.types import FloatArray

CAMERA_DISTANCE = 10.0
"""Decimetres from camera to head: a webcam's usual distance, because pictures do not say theirs."""
_LANDMARK_NOISE = 0.02  # decimetres by which FaceMesh and the head's landmark table disagree; our estimate
_FAR_OFF = 8.0  # landmarks further off than this many times the noise count less
_CORRELATED = 20  # neighbouring landmarks err alike, so that the noise counts this many times its variance
_EXPRESSION_SPREAD = 0.35  # prior standard deviation of expression weights
_ROUNDS = 8


class MacroFacts(NamedTuple):
    """Four facts about a person, as `identity.macro_key_weights` takes them."""

    ancestry: tuple[float, float, float]
    male: float
    age: float
    weight: float


MEAN_PERSON = MacroFacts((1 / 3, 1 / 3, 1 / 3), 0.5, 0.25, 0.0)
"""The head that a fit starts from."""
_FACT_DIRECTIONS: dict[str, tuple[MacroFacts, MacroFacts, float]] = {
    # name: (to this person, from this one, prior standard deviation along the way)
    "african": (MEAN_PERSON._replace(ancestry=(1, 0, 0)), MEAN_PERSON, 0.4),
    "asian": (MEAN_PERSON._replace(ancestry=(0, 1, 0)), MEAN_PERSON, 0.4),
    "caucasian": (MEAN_PERSON._replace(ancestry=(0, 0, 1)), MEAN_PERSON, 0.4),
    "male": (MEAN_PERSON._replace(male=1.0), MEAN_PERSON, 0.8),
    "age": (MEAN_PERSON._replace(age=0.85), MEAN_PERSON, 0.4),
    "weight": (MEAN_PERSON._replace(weight=1.0), MEAN_PERSON._replace(weight=-1.0), 0.3),
}


@dataclass(frozen=True)
class HeadPose:
    """How one picture shows the head: perspective from CAMERA_DISTANCE, then scale and shift to pixels."""

    rotation: NDArray[np.float64]  # (3, 3)
    scale: float  # pixels a decimetre
    shift: NDArray[np.float64]  # (2,) pixels

    def project(self, points: FloatArray) -> NDArray[np.float64]:
        """Project points (N, 3) of the centred head to pixels (N, 2), y down."""
        turned = points @ self.rotation.T
        near = 1 / (1 - turned[:, 2:] / CAMERA_DISTANCE)
        return self.scale * turned[:, :2] * near * (1, -1) + self.shift


@dataclass(frozen=True)
class HeadFit:
    """A head fitted to T pictures of one person.

    Attributes:
        facts: how far the head lies from MEAN_PERSON along each of the fact directions.
        weights: shape key -> weight.
        poses: one for each picture.
        vertices: (T, V, 3) with each picture's expression, centred as `HeadPose.project` takes them.
        landmarks: (T, L, 3) likewise.
        error: mean distance of the landmarks, in distances between the outer eye corners.
    """

    facts: dict[str, float]
    weights: dict[str, float]
    poses: list[HeadPose]
    vertices: Floats
    landmarks: Floats
    error: float


class FaceSpace:
    """Linear directions in which heads and expressions differ. Build it once a head model.

    Attributes:
        head: the head model.
        centre: (3,) mean of the mean head's landmarks.
        mean: (V, 3) the mean head, centred.
        pairs: opposite shape keys.
        sigma: (S,) prior standard deviation along each shape direction.
    """

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        mean = apply_shape_keys(head, macro_key_weights(*MEAN_PERSON))
        self.centre = landmark_points(head, mean).mean(axis=0)
        self.mean = mean - self.centre
        self.pairs = opposite_keys(head.key_names)
        spread = [1.3 * SHAPE_SPREAD[name.split("/")[0]] for _, name in self.pairs]
        self.sigma = np.array([sigma for *_, sigma in _FACT_DIRECTIONS.values()] + spread)

    @cached_property
    def shapes(self) -> NDArray[np.float32]:
        """(S, V, 3) displacement by one unit of each fact, then of each pair of shape keys (half from either)."""
        facts = [
            apply_shape_keys(self.head, macro_key_weights(*to)) - apply_shape_keys(self.head, macro_key_weights(*start))
            for to, start, _ in _FACT_DIRECTIONS.values()
        ]
        key = self.head.key
        return np.stack(facts + [(self._dense(key(more)) - self._dense(key(less))) / 2 for less, more in self.pairs])

    @cached_property
    def expressions(self) -> NDArray[np.float32]:
        """(E, V, 3) displacement by each face unit."""
        return np.stack([self._dense(face_unit(self.head, name)) for name in UNITS])

    def _dense(self, key: ShapeKey) -> Floats:
        """A shape key as displacement of every vertex: (V, 3)."""
        dense = np.zeros_like(self.mean)
        dense[key.index] = key.delta
        return dense

    def at_landmarks(self, directions: NDArray[np.float32]) -> NDArray[np.float64]:
        """Convert displacements of the vertices (D, V, 3) to those of the landmarks (D, L, 3)."""
        return np.stack([landmark_points(self.head, d) for d in directions]).astype(np.float64)


@dataclass(frozen=True)
class _LandmarkModel:
    """The landmarks as a linear function of shape and expression."""

    base: NDArray[np.float64]  # (L, 3) of the mean head
    by_shape: NDArray[np.float64]  # (S, L, 3)
    by_expression: NDArray[np.float64]  # (E, L, 3)
    sigma: NDArray[np.float64]  # (S,)

    def at(self, shape: NDArray[np.float64], expressions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Landmarks (T, L, 3) of one shape (S,) with T expressions (T, E)."""
        return self.base + np.tensordot(shape, self.by_shape, 1) + np.tensordot(expressions, self.by_expression, 1)


def fit_head(space: FaceSpace, landmarks: FloatArray) -> HeadFit:
    """Fit shape, expressions and poses to one person's landmarks.

    Alternates between poses (Gauss-Newton) and one ridge regression for the shape and all expressions, whose priors
    are the spreads from which `identity` draws.

    Args:
        space: the shapes a head can take.
        landmarks: (T, 468 or more, 2) in pixels.

    Raises:
        FaceError: when the landmarks are not finite or coincide.
    """
    targets = np.asarray(landmarks, np.float64)[:, :MESH_LANDMARKS, :2]
    if not np.isfinite(targets).all() or np.ptp(targets, axis=1).min() < 4:
        raise FaceError("the landmarks of a frame are degenerate; leave it out")
    base = landmark_points(space.head, space.mean).astype(np.float64)
    model = _LandmarkModel(base, space.at_landmarks(space.shapes), space.at_landmarks(space.expressions), space.sigma)
    shape, expressions = np.zeros(len(model.by_shape)), np.zeros((len(targets), len(model.by_expression)))
    poses = [_first_pose(base, points) for points in targets]
    for _ in range(_ROUNDS):
        solid = model.at(shape, expressions)
        poses = [refine_pose(pose, p, points) for pose, p, points in zip(poses, solid, targets, strict=True)]
        shape, expressions = _solve_shape(model, poses, targets, solid)
    solid = model.at(shape, expressions)
    vertices = space.mean + np.tensordot(shape, space.shapes, 1) + np.tensordot(expressions, space.expressions, 1)
    error = _relative_error(poses, solid, targets)
    return HeadFit(*_named_weights(space, shape), poses, vertices.astype(np.float32), solid.astype(np.float32), error)


def _relative_error(poses: list[HeadPose], solid: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Mean distance of projected landmarks and targets, in distances between the outer eye corners."""
    errors = [
        np.linalg.norm(pose.project(points) - target, axis=1).mean() / eye_distance(target)
        for pose, points, target in zip(poses, solid, targets, strict=True)
    ]
    return float(np.mean(errors))


def _named_weights(space: FaceSpace, shape: NDArray[np.float64]) -> tuple[dict[str, float], dict[str, float]]:
    """The shape (S,) as facts and as weights of shape keys."""
    facts = {name: round(float(w), 4) for name, w in zip(_FACT_DIRECTIONS, shape, strict=False)}
    both = zip(space.pairs, shape[len(_FACT_DIRECTIONS) :], strict=True)
    return facts, {(more if w > 0 else less): round(abs(float(w)), 4) for (less, more), w in both if abs(w) > 0.01}


def _first_pose(base: NDArray[np.float64], points: NDArray[np.float64]) -> HeadPose:
    """Weak perspective: the affine map by least squares, then the nearest rotation and scale."""
    affine, *_ = np.linalg.lstsq(np.c_[base, np.ones(len(base))], points * (1, -1), rcond=None)
    u, size, vt = np.linalg.svd(affine[:3].T, full_matrices=False)
    top = u @ vt
    return HeadPose(np.vstack([top, np.cross(top[0], top[1])]), float(size.mean()), affine[3] * (1, -1))


def refine_pose(pose: HeadPose, solid: NDArray[np.float64], points: NDArray[np.float64]) -> HeadPose:
    """Improve a pose by two Gauss-Newton steps of rotation, scale and shift.

    Args:
        pose: where to start.
        solid: (L, 3) the head's landmarks.
        points: (L, 2) pixels where they should be.
    """
    for _ in range(2):
        residual = (points - pose.project(solid)).ravel()
        columns = []
        for i in range(6):
            step = np.zeros(6)
            step[i] = 1e-4
            columns.append((_moved(pose, step).project(solid) - pose.project(solid)).ravel() / 1e-4)
        best, *_ = np.linalg.lstsq(np.stack(columns, axis=1), residual, rcond=None)
        pose = _moved(pose, np.asarray(best, np.float64))
    return pose


def _moved(pose: HeadPose, step: NDArray[np.float64]) -> HeadPose:
    """The pose turned by the rotation vector step[:3], scaled by exp(step[3]), shifted by step[4:] pixels."""
    x, y, z = step[:3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    u, _, vt = np.linalg.svd((np.eye(3) + cross + cross @ cross / 2) @ pose.rotation)
    return HeadPose(u @ vt, pose.scale * float(np.exp(step[3])), pose.shift + step[4:])


def _solve_shape(
    model: _LandmarkModel, poses: list[HeadPose], targets: NDArray[np.float64], solid: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shared shape (S,) and the expressions (T, E) by ridge regression; depth is taken from ``solid`` (T, L, 3)."""
    s, e, t = len(model.by_shape), len(model.by_expression), len(poses)
    prior = np.r_[1 / model.sigma**2, np.full(e * t, 1 / _EXPRESSION_SPREAD**2)]
    normal, right = np.diag(prior), np.zeros(s + e * t)
    for i, (pose, points) in enumerate(zip(poses, targets, strict=True)):
        depth = 1 - (solid[i] @ pose.rotation[2]) / CAMERA_DISTANCE
        wanted = (points - pose.shift) * (1, -1) / pose.scale * depth[:, None] - model.base @ pose.rotation[:2].T
        off = np.linalg.norm(wanted - (solid[i] - model.base) @ pose.rotation[:2].T, axis=1)
        far = np.sqrt(1 + (off / (_FAR_OFF * _LANDMARK_NOISE)) ** 2)
        weight = _landmark_trust() / _LANDMARK_NOISE / far / np.sqrt(_CORRELATED)
        both = np.concatenate([model.by_shape, model.by_expression]) @ pose.rotation[:2].T  # (S + E, L, 2)
        rows = (both * weight[:, None]).reshape(s + e, -1)
        place = np.r_[0:s, s + i * e : s + (i + 1) * e]
        normal[np.ix_(place, place)] += rows @ rows.T
        right[place] += rows @ (wanted * weight[:, None]).ravel()
    best = np.linalg.solve(normal, right)
    return np.clip(best[:s], -1, 1), np.clip(best[s:].reshape(t, e), -0.3, 1.2)


def _landmark_trust() -> NDArray[np.float64]:
    """(L,) relative trust in each landmark: the lips most, the face's outline least."""
    trust = np.ones(MESH_LANDMARKS)
    trust[list(FACE_OVAL)] = 0.4
    trust[list(LIP_INDICES)] = 1.5
    return trust
