"""The head fitted to a face in pictures: pose, shape and expression from landmarks, by regularised least squares.

Letters: T frames, L landmarks (468, FaceMesh's order), V head vertices, S shape directions, E expression directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.mesh_indices import FACE_OVAL, LIP_INDICES, MESH_LANDMARKS, eye_distance
from dithead.synth.corpus.ground_truth import landmark_points
from dithead.synth.head.assets import Floats, HeadModel
from dithead.synth.head.body import EXPRESSIONS, blended, shaped
from dithead.synth.head.identity import SPREAD, key_pairs, macro_keys
from dithead.types import FloatArray

DISTANCE = 10.0  # decimetres from camera to head: a webcam's, when nothing else is known
NOISE = 0.02  # decimetres: what FaceMesh and the landmark table disagree by
MEAN = ((1 / 3, 1 / 3, 1 / 3), 0.5, 0.25, 0.0)  # ancestry, male, age, weight of the head a fit starts from
_FACTS = {  # directions of the whole head: from one such person to another, and how far people spread along it
    "african": (((1, 0, 0), *MEAN[1:]), MEAN, 0.4),
    "asian": (((0, 1, 0), *MEAN[1:]), MEAN, 0.4),
    "caucasian": (((0, 0, 1), *MEAN[1:]), MEAN, 0.4),
    "male": ((MEAN[0], 1.0, *MEAN[2:]), MEAN, 0.8),
    "age": ((*MEAN[:2], 0.85, 0.0), MEAN, 0.4),
    "weight": ((*MEAN[:3], 1.0), (*MEAN[:3], -1.0), 0.3),
}
_MOST = 8.0  # landmarks further off than this many times NOISE count less
_ROUNDS = 8


@dataclass(frozen=True)
class Pose:
    """How one picture shows the head: ``scale * rotation`` to pixels (y down), ``shift`` in pixels."""

    rotation: NDArray[np.float64]  # (3, 3)
    scale: float  # pixels a decimetre
    shift: NDArray[np.float64]  # (2,)

    def project(self, points: FloatArray) -> NDArray[np.float64]:
        """Pixel positions (N, 2) of head points (N, 3), about `centre`."""
        turned = points @ self.rotation.T
        near = 1 / (1 - turned[:, 2:] / DISTANCE)
        return self.scale * turned[:, :2] * near * (1, -1) + self.shift


@dataclass(frozen=True)
class Fit:
    """A head fitted to T pictures of one person."""

    facts: dict[str, float]  # how far from MEAN along each of _FACTS
    weights: dict[str, float]  # shape keys
    poses: list[Pose]
    vertices: Floats  # (T, V, 3) with each picture's expression, centred as `Pose.project` wants them
    landmarks: Floats  # (T, L, 3) likewise
    error: float  # mean distance of the landmarks over the distance of the outer eye corners


class FaceSpace:
    """Linear directions in which heads and expressions differ. Build once a head model."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        mean = shaped(head, macro_keys(*MEAN))
        self.centre = landmark_points(head, mean).mean(axis=0)
        self.mean = mean - self.centre
        self.pairs = key_pairs(head.key_names)
        spread = [1.3 * SPREAD[name.split("/")[0]] for _, name in self.pairs]
        self.sigma = np.array([sigma for *_, sigma in _FACTS.values()] + spread)

    @cached_property
    def shapes(self) -> NDArray[np.float32]:
        """(S, V, 3) what one unit of each fact and of each paired shape key does, half of it from either side."""
        facts = [shaped(self.head, macro_keys(*to)) - shaped(self.head, macro_keys(*start))
                 for to, start, _ in _FACTS.values()]  # fmt: skip
        return np.stack(facts + [(self._dense(more) - self._dense(less)) / 2 for less, more in self.pairs])

    @cached_property
    def expressions(self) -> NDArray[np.float32]:
        """(E, V, 3) the expression keys, mixed from all ancestries."""
        moved = []
        for name in EXPRESSIONS:
            key = blended(self.head, name, MEAN[0])
            dense = np.zeros_like(self.mean)
            dense[key.index] = key.delta
            moved.append(dense)
        return np.stack(moved)

    def _dense(self, name: str) -> Floats:
        key = self.head.key(name)
        dense = np.zeros_like(self.mean)
        dense[key.index] = key.delta
        return dense

    def seen(self, directions: NDArray[np.float32]) -> NDArray[np.float64]:
        """(D, L, 3) what directions (D, V, 3) do to the landmarks."""
        return np.stack([landmark_points(self.head, d) for d in directions]).astype(np.float64)


def fit_head(space: FaceSpace, landmarks: FloatArray) -> Fit:
    """Fit shape, expressions and poses to ``landmarks`` (T, 468 or more, 2) in pixels of one person.

    Alternates between poses (Gauss-Newton) and one ridge regression for the shape and all expressions, whose priors
    are the spreads that `identity` draws from. Raises FaceError when the landmarks are not finite or fall together.
    """
    flat = np.asarray(landmarks, np.float64)[:, :MESH_LANDMARKS, :2]
    if not np.isfinite(flat).all() or np.ptp(flat, axis=1).min() < 4:
        raise FaceError("the landmarks of a frame are degenerate; leave it out")
    base = landmark_points(space.head, space.mean).astype(np.float64)
    by_shape, by_look = space.seen(space.shapes), space.seen(space.expressions)
    shape, looks = np.zeros(len(by_shape)), np.zeros((len(flat), len(by_look)))
    poses = [_first_pose(base, points) for points in flat]
    for _ in range(_ROUNDS):
        solid = base + np.tensordot(shape, by_shape, 1) + np.tensordot(looks, by_look, 1)
        poses = [refine_pose(pose, p, points) for pose, p, points in zip(poses, solid, flat, strict=True)]
        shape, looks = _solve(space, base, by_shape, by_look, poses, flat, solid)
    solid = base + np.tensordot(shape, by_shape, 1) + np.tensordot(looks, by_look, 1)
    moved = space.mean + np.tensordot(shape, space.shapes, 1) + np.tensordot(looks, space.expressions, 1)
    off = np.mean([np.linalg.norm(p.project(s) - f, axis=1).mean() / eye_distance(f)
                   for p, s, f in zip(poses, solid, flat, strict=True)])  # fmt: skip
    return Fit(*_named(space, shape), poses, moved.astype(np.float32), solid.astype(np.float32), float(off))


def _named(space: FaceSpace, shape: NDArray[np.float64]) -> tuple[dict[str, float], dict[str, float]]:
    facts = {name: round(float(w), 4) for name, w in zip(_FACTS, shape, strict=False)}
    both = zip(space.pairs, shape[len(_FACTS) :], strict=True)
    return facts, {(more if w > 0 else less): round(abs(float(w)), 4) for (less, more), w in both if abs(w) > 0.01}


def _first_pose(base: NDArray[np.float64], points: NDArray[np.float64]) -> Pose:
    """Weak perspective: the affine map in least squares, then the nearest rotation and scale."""
    affine, *_ = np.linalg.lstsq(np.c_[base, np.ones(len(base))], points * (1, -1), rcond=None)
    u, size, vt = np.linalg.svd(affine[:3].T, full_matrices=False)
    top = u @ vt
    return Pose(np.vstack([top, np.cross(top[0], top[1])]), float(size.mean()), affine[3] * (1, -1))


def refine_pose(pose: Pose, solid: NDArray[np.float64], points: NDArray[np.float64]) -> Pose:
    """Two Gauss-Newton steps of rotation, scale and shift towards ``points`` (L, 2)."""
    for _ in range(2):
        residual = (points - pose.project(solid)).ravel()
        columns = []
        for i in range(6):
            step = np.zeros(6)
            step[i] = 1e-4
            columns.append((_moved(pose, step).project(solid) - pose.project(solid)).ravel() / 1e-4)
        best, *_ = np.linalg.lstsq(np.stack(columns, axis=1), residual, rcond=None)
        pose = _moved(pose, best)
    return pose


def _moved(pose: Pose, step: NDArray[np.float64]) -> Pose:
    """The pose turned by the rotation vector step[:3], scaled by exp(step[3]), shifted by step[4:] pixels."""
    x, y, z = step[:3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    u, _, vt = np.linalg.svd((np.eye(3) + cross + cross @ cross / 2) @ pose.rotation)
    return Pose(u @ vt, pose.scale * float(np.exp(step[3])), pose.shift + step[4:])


def _solve(
    space: FaceSpace,
    base: NDArray[np.float64],
    by_shape: NDArray[np.float64],
    by_look: NDArray[np.float64],
    poses: list[Pose],
    flat: NDArray[np.float64],
    solid: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shape (S,) shared and expressions (T, E): ridge regression in decimetres, the depth taken from ``solid``."""
    s, e, t = len(by_shape), len(by_look), len(poses)
    prior = np.r_[1 / space.sigma**2, np.full(e * t, 1 / 0.35**2)]
    normal, right = np.diag(prior), np.zeros(s + e * t)
    for i, (pose, points) in enumerate(zip(poses, flat, strict=True)):
        depth = 1 - (solid[i] @ pose.rotation[2]) / DISTANCE
        wanted = (points - pose.shift) * (1, -1) / pose.scale * depth[:, None] - base @ pose.rotation[:2].T
        off = np.linalg.norm(wanted - (solid[i] - base) @ pose.rotation[:2].T, axis=1)
        weight = _trust() / NOISE / np.sqrt(1 + (off / (_MOST * NOISE)) ** 2) / np.sqrt(20)  # neighbours err alike
        both = np.concatenate([by_shape, by_look]) @ pose.rotation[:2].T  # (S + E, L, 2)
        rows = (both * weight[:, None]).reshape(s + e, -1)
        place = np.r_[0:s, s + i * e : s + (i + 1) * e]
        normal[np.ix_(place, place)] += rows @ rows.T
        right[place] += rows @ (wanted * weight[:, None]).ravel()
    best = np.linalg.solve(normal, right)
    return np.clip(best[:s], -1, 1), np.clip(best[s:].reshape(t, e), -0.3, 1.2)


def _trust() -> NDArray[np.float64]:
    """(L,) relative trust in each landmark: the lips and eyes most, the outline least."""
    trust = np.ones(MESH_LANDMARKS)
    trust[list(FACE_OVAL)] = 0.4
    trust[list(LIP_INDICES)] = 1.5
    return trust
