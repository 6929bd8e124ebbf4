"""What shape keys cannot do to lips: they stick and part from the middle, roll inwards, and tuck under the teeth.

Each is a displacement of the posed head's vertices around the line where the lips touch. Letters: V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from dithead.synth.head.assets import Floats, Ints

_RED = 4  # edges from the line of contact to the border of the lips' red
_REACH = 8  # and to skin that no longer follows
_STRONG = 0.16  # decimetres: wider gaps tear wet lips apart
_OVERLAP = 0.006  # decimetres by which soft lips flatten each other
_ROLL = (0.045, 0.055)  # decimetres back at the line of contact, and towards it at the border of the red


@dataclass(frozen=True)
class Touch:
    """What lips do to each other and to the teeth at one moment, each 0 to 1."""

    roll: float = 0.0  # inwards, as they press on p, b, m
    tuck: float = 0.0  # the lower one to the upper teeth, on f and v
    stick: float = 0.0  # still holding together, from the corners inwards


STILL = Touch()


@dataclass(frozen=True)
class Lips:
    """Topology of the lips, the same for everybody."""

    near: Ints  # (N,) vertices that lips move
    side: Floats  # (N,) 1 of the upper lip, -1 of the lower, 0 at the corners
    hops: Floats  # (N,) edges to the line of contact
    upper: Ints  # the line's vertices from corner to corner, left to right
    lower: Ints

    @property
    def follows(self) -> Floats:
        """(N,) 1 on the red of the lips, falling to 0 on the skin around."""
        t = np.clip((_REACH - self.hops) / (_REACH - _RED), 0, 1)
        return t * t * (3 - 2 * t)


def find_lips(faces: Ints, rest: Floats, line: Ints, upper: int) -> Lips:
    """Sort the vertices around the ``line`` of contact on the neutral head ``rest`` (V, 3); ``upper``: its middle."""
    graph = edges(faces, len(rest))
    around = dijkstra(graph[line][:, line], unweighted=True, indices=[int(np.flatnonzero(line == upper)[0])])[0]
    corner = around[np.argmax(np.abs(rest[line, 0]))]
    sides = np.sign(corner - around)
    hops, _, source = dijkstra(graph, unweighted=True, indices=line, min_only=True, return_predecessors=True)
    near = np.flatnonzero(hops < _REACH)
    of = dict(zip(line.tolist(), sides.tolist(), strict=True))
    side = np.array([of[int(vertex)] for vertex in source[near]], np.float32)
    ends = line[sides == 0]
    lines = [np.r_[line[sides == sign], ends] for sign in (1, -1)]
    first, second = (each[np.argsort(rest[each, 0])].astype(np.int32) for each in lines)
    return Lips(near.astype(np.int32), side, hops[near].astype(np.float32), first, second)


def edges(faces: Ints, width: int) -> sparse.csr_matrix:
    """Which of ``width`` vertices share an edge of the quads ``faces``."""
    a, b = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    return sparse.csr_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(width, width))


def close_lips(lips: Lips, vertices: Floats) -> None:
    """Bring the lips of a head at rest together all along their line: the model leaves a slit, which trackers see."""
    at = vertices[lips.near, 0]
    gap = np.maximum(_gap(lips, vertices, at) + _OVERLAP, 0)
    vertices[lips.near, 1] -= (0.5 * gap * lips.follows * lips.side).astype(np.float32)


def roll_lips(lips: Lips, vertices: Floats, amount: float, lower: float) -> None:
    """Turn the red of both lips inwards by ``amount``, and of the lower one by ``lower`` besides; 1: half of it."""
    back, shut = _ROLL
    share = np.where(lips.side < 0, amount + lower, amount) * np.abs(lips.side)
    border = np.clip(lips.hops / _RED, 0, 1) * lips.follows
    vertices[lips.near, 1] -= np.asarray(share * shut * border * lips.side, np.float32)
    vertices[lips.near, 2] -= np.asarray(share * back * (1 - 0.6 * np.clip(lips.hops / _RED, 0, 1)) * lips.follows)


def tuck_lip(lips: Lips, vertices: Floats, edge: Floats, amount: float) -> None:
    """Bring the lower lip's line to the upper teeth's cutting ``edge`` (3,), as f and v do, by ``amount`` (0..1)."""
    middle = vertices[lips.lower[len(lips.lower) // 2]]
    flat = np.exp(-((vertices[lips.near, 0] / 0.20) ** 2))  # the corners stay where they are
    share = amount * np.where(lips.side < 0, lips.follows, 0) * flat
    vertices[lips.near] += np.outer(share, (0.0, edge[1] - middle[1], edge[2] - middle[2])).astype(np.float32)


def stick_lips(lips: Lips, vertices: Floats, rest: Floats, stick: float) -> None:
    """Hold the lips together towards the corners: ``stick`` 1 just after a closure, 0 when they have let go.

    ``rest``: the person's own closed mouth (V, 3). The middle always parts first, so that the aperture stays exact.
    """
    if stick < 0.02:
        return
    at = vertices[lips.near, 0]
    gap = _gap(lips, vertices, at) - _gap(lips, rest, rest[lips.near, 0])
    left, middle, right = vertices[lips.upper[[0, len(lips.upper) // 2, -1]], 0]
    out = np.clip((2 * np.abs(at - middle) / (right - left) - (1 - stick)) / 0.5, 0, 1)
    held = out * out * (3 - 2 * out) * np.clip(1 - gap / _STRONG, 0, 1)
    vertices[lips.near, 1] -= (0.5 * np.maximum(gap, 0) * held * lips.follows * lips.side).astype(np.float32)


def _gap(lips: Lips, vertices: Floats, at: Floats) -> NDArray[np.float64]:
    """Height between the two lines of contact at each place ``at`` (N,) across the mouth."""
    lines = []
    for line in (lips.upper, lips.lower):
        points = vertices[line]
        order = np.argsort(points[:, 0])
        lines.append(np.interp(at, points[order, 0], points[order, 1]))
    return np.asarray(lines[0] - lines[1])
