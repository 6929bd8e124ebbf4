"""Where things are on the head: lips, mouth cavity, beard, neck, as weights per base vertex.

Measured once on MakeHuman's neutral head (decimetres) and valid for everybody, because vertices keep their place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from dithead.synth.face.lip_contact import Lips, edges, find_lips
from dithead.synth.head.assets import Floats, HeadModel, Ints

# Vertex numbers of MakeHuman's base.obj, midline: where the lips touch, and outer landmarks.
UPPER_LIP_INNER = 474
EYE_GROUPS = ("helper-l-eye", "helper-r-eye")


@dataclass(frozen=True)
class Anatomy:
    """Weights per base vertex, all (V,) in 0..1, and named vertices."""

    lips: Floats
    cavity: Floats
    beard: Floats  # where a full beard grows, times style bands below
    moustache: Floats
    chin: Floats
    follow: Floats  # 1 turns with the head, 0 stays with the shoulders
    clothed: NDArray[np.bool_]  # (V,) bool: where clothes may lie
    neck: Ints  # vertices around which the head turns
    mouth: Ints  # vertices of the line where the lips touch
    upper_inner: int
    lower_inner: int
    touch: Lips  # what moves with the lips, and of which lip it is


def _step(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _rings(faces: Ints, width: int, start: Iterable[int]) -> Floats:
    """Edge count from the nearest of ``start``; inf where unreachable."""
    graph = edges(faces, width)
    return np.asarray(dijkstra(graph, unweighted=True, indices=list(start), min_only=True), np.float32)


def study(head: HeadModel) -> Anatomy:
    """Find the anatomy of a head model on its neutral vertices."""
    faces, face_uv = head.mesh.faces[head.groups["body"]], head.mesh.face_uv[head.groups["body"]]
    v, width = head.vertices, len(head.vertices)
    corner_uv = head.mesh.uv[face_uv]
    inside = ((corner_uv[..., 1] < 0.145) & (corner_uv[..., 0] > 0.74)).all(axis=1)
    cavity_vertices = np.unique(faces[inside])
    seam = np.intersect1d(cavity_vertices, np.unique(faces[~inside]))
    cavity = np.zeros(width, np.float32)
    cavity[np.setdiff1d(cavity_vertices, seam)] = 1
    ring = _rings(faces[~inside], width, seam)
    lips = np.clip((7.6 - ring) / 1.6, 0, 1).astype(np.float32) * (cavity < 0.5)
    upper = head.vertex(UPPER_LIP_INNER)
    middle = np.flatnonzero((np.abs(v[:, 0]) < 1e-3) & (ring == ring[upper]) & (v[:, 2] > 1.4))
    lower = int(middle[np.argmin(v[middle, 1])])
    x, y, z = np.abs(v[:, 0]), v[:, 1], v[:, 2]
    bands = _beard(x, y, z, lips)
    follow = _step(5.78, 6.38, y + 0.38 * (z - 0.35))
    neck = np.flatnonzero((np.abs(y - 6.3) < 0.12) & (z < 0.75) & (x < 0.75))
    clothed = (y < 6.34) & ((z < 0.86) | (y < 5.98)) & (cavity < 0.5)
    contact = np.flatnonzero((ring == ring[upper]) & (v[:, 2] > 1.2)).astype(np.int32)
    touch = find_lips(faces, v, contact, upper)
    return Anatomy(lips, cavity, *bands, follow, clothed, neck.astype(np.int32), contact, upper, lower, touch)


def _beard(x: Floats, y: Floats, z: Floats, lips: Floats) -> tuple[Floats, Floats, Floats]:
    """Full beard, moustache and chin-beard regions."""
    bare = 1 - np.clip(lips * 1.4, 0, 1)
    front = _step(0.30, 0.55, z) * _step(5.90, 6.12, y) * (1 - 0.9 * _step(0.0, 0.3, 0.95 - z) * _step(6.3, 6.1, y))
    cheek_line = 6.60 + 0.95 * np.clip(x - 0.26, 0, None) ** 1.0
    jaw = front * (1 - _step(-0.02, 0.13, y - cheek_line))
    upper = _step(6.58, 6.64, y) * (1 - _step(6.765, 6.815, y)) * (1 - _step(0.22, 0.36, x)) * _step(1.2, 1.3, z)
    chin = front * (1 - _step(0.20, 0.36, x)) * (1 - _step(6.50, 6.58, y)) * _step(0.9, 1.1, z)
    full = np.clip(jaw + upper, 0, 1) * bare
    return full.astype(np.float32), (upper * bare).astype(np.float32), (chin * bare).astype(np.float32)
