"""Finds the regions of the head (lips, mouth cavity, beard, neck) as weights of its vertices.

The bounds were read off MakeHuman's neutral head (decimetres) and hold for everybody, because vertices keep their
place. Letters: V vertices of the head, F faces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from dithead.synth.face.lip_contact import LipTopology, edge_graph, find_lip_topology
from dithead.synth.head.head_model import HeadModel
from dithead.synth.types import Floats, Ints

UPPER_LIP_INNER = 474
"""The vertex of MakeHuman's base.obj in the middle of the upper lip, where the lips touch."""
EYE_GROUPS = ("helper-l-eye", "helper-r-eye")
"""Face groups of the eyeballs."""
_CAVITY_UV = (0.74, 0.145)  # the mouth cavity's texture lies at larger u and smaller v


@dataclass(frozen=True)
class Anatomy:
    """Regions of the head as weights (V,) in 0..1, and named vertices.

    Attributes:
        lips: 1 on the lips.
        cavity: 1 inside the mouth.
        beard: where a full beard grows.
        moustache: where a moustache grows.
        chin: where a chin beard grows.
        turning: 1 turns with the head, 0 stays with the shoulders.
        clothed: (V,) bool, where clothes may lie.
        neck: vertices around which the head turns.
        contact_line: vertices of the loop where the lips touch.
        upper_inner: its vertex in the middle of the upper lip.
        lower_inner: its vertex in the middle of the lower lip.
        lip_topology: which vertices move with the lips, and with which lip.
    """

    lips: Floats
    cavity: Floats
    beard: Floats
    moustache: Floats
    chin: Floats
    turning: Floats
    clothed: NDArray[np.bool_]
    neck: Ints
    contact_line: Ints
    upper_inner: int
    lower_inner: int
    lip_topology: LipTopology


def find_anatomy(head: HeadModel) -> Anatomy:
    """Find the regions of a head model on its neutral vertices."""
    faces = head.mesh.faces[head.groups["body"]]
    v = head.vertices
    cavity, ring = _cavity_and_rings(head, faces)
    lips = np.clip((7.6 - ring) / 1.6, 0, 1).astype(np.float32) * (cavity < 0.5)
    upper = head.vertex_number(UPPER_LIP_INNER)
    middle = np.flatnonzero((np.abs(v[:, 0]) < 1e-3) & (ring == ring[upper]) & (v[:, 2] > 1.4))
    lower = int(middle[np.argmin(v[middle, 1])])
    contact_line = np.flatnonzero((ring == ring[upper]) & (v[:, 2] > 1.2)).astype(np.int32)
    x, y, z = np.abs(v[:, 0]), v[:, 1], v[:, 2]
    beard, moustache, chin = _beard_regions(x, y, z, lips)
    return Anatomy(
        lips=lips,
        cavity=cavity,
        beard=beard,
        moustache=moustache,
        chin=chin,
        turning=_smooth_step(5.78, 6.38, y + 0.38 * (z - 0.35)),
        clothed=(y < 6.34) & ((z < 0.86) | (y < 5.98)) & (cavity < 0.5),
        neck=np.flatnonzero((np.abs(y - 6.3) < 0.12) & (z < 0.75) & (x < 0.75)).astype(np.int32),
        contact_line=contact_line,
        upper_inner=upper,
        lower_inner=lower,
        lip_topology=find_lip_topology(faces, v, contact_line, upper),
    )


def _cavity_and_rings(head: HeadModel, faces: Ints) -> tuple[Floats, Floats]:
    """The mouth cavity's weights (V,), and each outer vertex's number of edges to the cavity's rim (V,)."""
    corner_uv = head.mesh.uv[head.mesh.face_uv[head.groups["body"]]]
    left, top = _CAVITY_UV
    inside = ((corner_uv[..., 1] < top) & (corner_uv[..., 0] > left)).all(axis=1)
    cavity_vertices = np.unique(faces[inside])
    rim = np.intersect1d(cavity_vertices, np.unique(faces[~inside]))
    cavity = np.zeros(len(head.vertices), np.float32)
    cavity[np.setdiff1d(cavity_vertices, rim)] = 1
    return cavity, _edge_distance(faces[~inside], len(head.vertices), rim)


def _edge_distance(faces: Ints, width: int, start: Iterable[int]) -> Floats:
    """(width,) number of edges to the nearest vertex of ``start``; infinite where there is no way."""
    graph = edge_graph(faces, width)
    return np.asarray(dijkstra(graph, unweighted=True, indices=list(start), min_only=True), np.float32)


def _smooth_step(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _beard_regions(x: Floats, y: Floats, z: Floats, lips: Floats) -> tuple[Floats, Floats, Floats]:
    """Where a full beard, a moustache and a chin beard grow, each (V,)."""
    off_lips = 1 - np.clip(lips * 1.4, 0, 1)
    step = _smooth_step
    front = step(0.30, 0.55, z) * step(5.90, 6.12, y) * (1 - 0.9 * step(0.0, 0.3, 0.95 - z) * step(6.3, 6.1, y))
    cheek_line = 6.60 + 0.95 * np.clip(x - 0.26, 0, None) ** 1.0
    jaw = front * (1 - step(-0.02, 0.13, y - cheek_line))
    upper = step(6.58, 6.64, y) * (1 - step(6.765, 6.815, y)) * (1 - step(0.22, 0.36, x)) * step(1.2, 1.3, z)
    chin = front * (1 - step(0.20, 0.36, x)) * (1 - step(6.50, 6.58, y)) * step(0.9, 1.1, z)
    full = np.clip(jaw + upper, 0, 1) * off_lips
    return full.astype(np.float32), (upper * off_lips).astype(np.float32), (chin * off_lips).astype(np.float32)
