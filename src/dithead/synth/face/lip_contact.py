"""How lips touch each other and the teeth: they meet, stick and tuck, which shape keys cannot express exactly.

Each function displaces vertices of the posed head around the line where the lips touch.
Letters: V vertices of the head, N vertices near the lips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from dithead.synth.types import Floats, Ints

# Sizes on MakeHuman's neutral head, read off its mesh; the amounts are our choice.
_BORDER = 4  # edges from the contact line to the border of the lips' red
_REACH = 8  # edges from the contact line to skin that no longer follows the lips
_TEARING_GAP = 0.16  # decimetres: a wider gap tears wet lips apart
_OVERLAP = 0.006  # decimetres by which soft lips flatten each other at rest
_NEGLIGIBLE = 0.02  # amounts below this are left out


@dataclass(frozen=True)
class LipContact:
    """What the lips do to each other and to the teeth at one moment, each 0..1.

    Attributes:
        closure: how much of the gap between the lips is closed, as on p, b and m.
        tuck: how far the lower lip goes to the upper teeth, on f and v.
        stick: how far the lips still hold together, from the corners inwards.
    """

    closure: float = 0.0
    tuck: float = 0.0
    stick: float = 0.0


NO_CONTACT = LipContact()


@dataclass(frozen=True)
class LipTopology:
    """Which vertices belong to the lips; the same for everybody.

    Attributes:
        near: (N,) vertices that move with the lips.
        side: (N,) 1 on the upper lip, -1 on the lower one, 0 at the corners.
        hops: (N,) edges from the vertex to the contact line.
        upper: the upper lip's contact line from corner to corner, by growing x.
        lower: the lower lip's contact line, likewise.
    """

    near: Ints
    side: Floats
    hops: Floats
    upper: Ints
    lower: Ints

    @property
    def follows(self) -> Floats:
        """(N,) 1 on the red of the lips, falling to 0 on the skin around."""
        t = np.clip((_REACH - self.hops) / (_REACH - _BORDER), 0, 1)
        return np.asarray(t * t * (3 - 2 * t), np.float32)


def find_lip_topology(faces: Ints, neutral: Floats, line: Ints, upper: int) -> LipTopology:
    """Sort the vertices around the contact line into upper and lower lip.

    Args:
        faces: (F, 4) quads of the face.
        neutral: (V, 3) the neutral head.
        line: vertices of the closed loop where the lips touch.
        upper: the vertex of ``line`` in the middle of the upper lip.
    """
    graph = edge_graph(faces, len(neutral))
    around = dijkstra(graph[line][:, line], unweighted=True, indices=[int(np.flatnonzero(line == upper)[0])])[0]
    corner = around[np.argmax(np.abs(neutral[line, 0]))]
    sides = np.sign(corner - around)
    hops, _, source = dijkstra(graph, unweighted=True, indices=line, min_only=True, return_predecessors=True)
    near = np.flatnonzero(hops < _REACH)
    side_of = dict(zip(line.tolist(), sides.tolist(), strict=True))
    side = np.array([side_of[int(vertex)] for vertex in source[near]], np.float32)
    corners = line[sides == 0]
    lines = [np.r_[line[sides == sign], corners] for sign in (1, -1)]
    first, second = (each[np.argsort(neutral[each, 0])].astype(np.int32) for each in lines)
    return LipTopology(near.astype(np.int32), side, hops[near].astype(np.float32), first, second)


def edge_graph(faces: Ints, width: int) -> sparse.csr_matrix:
    """Return the matrix (width, width) that is non-zero where two vertices share an edge of the quads ``faces``."""
    a, b = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    return sparse.csr_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(width, width))


def meet_lips(lips: LipTopology, vertices: Floats, closure: float) -> None:
    """Bring the lips together from corner to corner, and out of each other where they overlap, in place.

    Soft lips flatten each other: lips that meet overlap by ``_OVERLAP``. The head model at rest needs it, too, because
    it leaves a slit that face trackers see.

    Args:
        lips: which vertices to move.
        vertices: (V, 3) the posed head.
        closure: how much of a gap is closed, 0..1; overlap is always removed.
    """
    at = vertices[lips.near, 0]
    gap = _gap(lips, vertices, at) + _OVERLAP
    wanted = np.maximum(gap, 0) * (1 - closure)
    for _ in range(2):  # the second time for what lies between the vertices of a crooked mouth
        vertices[lips.near, 1] -= (0.5 * (gap - wanted) * lips.follows * lips.side).astype(np.float32)
        gap = _gap(lips, vertices, at) + _OVERLAP


def tuck_lip(lips: LipTopology, vertices: Floats, edge: Floats, amount: float) -> None:
    """Bring the lower lip to the upper teeth's cutting ``edge`` (3,), in place, as f and v do, by ``amount`` (0..1)."""
    middle = vertices[lips.lower[len(lips.lower) // 2]]
    flat = np.exp(-((vertices[lips.near, 0] / 0.20) ** 2))  # the corners stay where they are
    share = amount * np.where(lips.side < 0, lips.follows, 0) * flat
    inwards = share * (1 - 0.6 * np.clip(lips.hops / _BORDER, 0, 1))  # its border stays before the chin
    vertices[lips.near, 1] += (share * (edge[1] - middle[1])).astype(np.float32)
    vertices[lips.near, 2] += (inwards * (edge[2] - middle[2])).astype(np.float32)


def stick_lips(lips: LipTopology, vertices: Floats, closed: Floats, stick: float) -> None:
    """Hold the lips together towards the corners, in place.

    The middle always parts first, so that the lip opening stays exact.

    Args:
        lips: which vertices to move.
        vertices: (V, 3) the posed head.
        closed: (V, 3) the same person with closed lips.
        stick: 1 just after a closure, 0 when the lips have let go.
    """
    if stick < _NEGLIGIBLE:
        return
    at = vertices[lips.near, 0]
    gap = _gap(lips, vertices, at) - _gap(lips, closed, closed[lips.near, 0])
    left, middle, right = vertices[lips.upper[[0, len(lips.upper) // 2, -1]], 0]
    outwards = np.clip((2 * np.abs(at - middle) / (right - left) - (1 - stick)) / 0.5, 0, 1)
    held = outwards * outwards * (3 - 2 * outwards) * np.clip(1 - gap / _TEARING_GAP, 0, 1)
    vertices[lips.near, 1] -= (0.5 * np.maximum(gap, 0) * held * lips.follows * lips.side).astype(np.float32)


def apply_contact(lips: LipTopology, vertices: Floats, closed: Floats, tooth_edge: Floats, contact: LipContact) -> None:
    """Tuck, join and stick the lips of the posed head ``vertices`` (V, 3), in place, as ``contact`` says.

    Args:
        lips: which vertices to move.
        vertices: (V, 3) the posed head.
        closed: (V, 3) the same person with closed lips.
        tooth_edge: (3,) the upper teeth's cutting edge.
        contact: how far the lips do each.
    """
    if contact.tuck > _NEGLIGIBLE:
        tuck_lip(lips, vertices, tooth_edge, contact.tuck)
    meet_lips(lips, vertices, contact.closure)
    stick_lips(lips, vertices, closed, contact.stick)


def _gap(lips: LipTopology, vertices: Floats, at: Floats) -> NDArray[np.float64]:
    """Height between the two contact lines at each place ``at`` (N,) across the mouth, in decimetres."""
    lines = []
    for line in (lips.upper, lips.lower):
        points = vertices[line]
        order = np.argsort(points[:, 0])
        lines.append(np.interp(at, points[order, 0], points[order, 1]))
    return np.asarray(lines[0] - lines[1])
