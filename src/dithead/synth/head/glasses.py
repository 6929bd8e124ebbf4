"""Spectacle frames: two rims, a bridge and temples, as tubes."""

from __future__ import annotations

import numpy as np

from dithead.synth.head.assets import Floats, Ints
from dithead.synth.head.parts import Part, lit

# Style: power of the superellipse, half width, half height, thickness of the rim (decimetres)
_SHAPES = {
    1: (2.0, 0.235, 0.19, 0.011),
    2: (4.0, 0.25, 0.17, 0.014),
    3: (2.4, 0.225, 0.20, 0.007),
    4: (3.0, 0.26, 0.20, 0.012),
}


_SHADES = ((0.01, 0.01, 0.012), (0.06, 0.025, 0.012), (0.25, 0.24, 0.22), (0.02, 0.02, 0.05))


def spectacles(centres: list[Floats], radius: float, style: int) -> Part:
    """Frame ``style`` over eyes of ``radius`` at ``centres`` as a part to draw."""
    position, normal, triangles = frame(centres, radius, style)
    count = len(position)
    part = Part("glasses", "hair", triangles, position, normal, np.full((count, 2), 0.5, np.float32),
                np.zeros((count, 4), np.float32), lit(count), position.copy())  # fmt: skip
    part.textures = {"albedo_map": "plain"}
    part.uniforms = {"tint": _SHADES[style % 4], "shine": 1.2, "flatness": 1.0, "density": 1.0, "strands": 0.0}
    return part


def frame(centres: list[Floats], radius: float, style: int) -> tuple[Floats, Floats, Ints]:
    """Vertices, normals (V, 3) and triangles of frame ``style`` worn over eyes at ``centres``."""
    power, wide, high, thick = _SHAPES.get(style, _SHAPES[1])
    tubes: list[tuple[Floats, bool]] = []
    scale = radius / 0.138
    edges = []
    for centre in sorted(centres, key=lambda c: float(c[0])):
        turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power) * wide * scale
        y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / power) * high * scale
        z = centre[2] + radius + 0.23 - 0.35 * (centre[0] + x) ** 2
        tubes.append((np.stack([centre[0] + x, centre[1] - 0.03 + y, z], axis=1), True))
        edges.append((centre[0] - wide * scale, centre[0] + wide * scale))
    middle = centres[0][1] + 0.02
    front = centres[0][2] + radius + 0.23
    span = np.linspace(edges[0][1], edges[1][0], 10)
    tubes.append(
        (np.stack([span, middle + 0.02 * np.cos(np.linspace(-1.5, 1.5, 10)), front - 0.35 * span**2], 1), False)
    )
    for side, x in ((-1, edges[0][0]), (1, edges[1][1])):
        z = np.linspace(front - 0.35 * x * x, front - 1.25, 10)
        out = x + side * 0.20 * np.sqrt(np.linspace(0, 1, 10))
        tubes.append((np.stack([out, np.full(10, middle + 0.03), z], axis=1), False))
    return merge([tube(path, closed, thick) for path, closed in tubes])


def tube(path: Floats, closed: bool, thick: float, sides: int = 6) -> tuple[Floats, Floats, Ints]:
    """Points, normals and triangles of a tube of radius ``thick`` along ``path`` (N, 3)."""
    ahead, behind = np.roll(path, -1, axis=0), np.roll(path, 1, axis=0)
    tangent = ahead - behind
    if not closed:
        tangent[0], tangent[-1] = path[1] - path[0], path[-1] - path[-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    first = np.cross(tangent, [0.13, 0.31, 0.94])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    normal = first[:, None] * np.cos(turn)[:, None] + second[:, None] * np.sin(turn)[:, None]
    n = len(path)
    i, j = np.meshgrid(np.arange(n if closed else n - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    c, d = ((i + 1) % n) * sides + j, ((i + 1) % n) * sides + (j + 1) % sides
    triangles = np.stack([a, c, d, a, d, b], axis=-1).reshape(-1, 3)
    points = path[:, None] + thick * normal
    return points.reshape(-1, 3), normal.reshape(-1, 3), triangles.astype(np.int32)


def merge(pieces: list[tuple[Floats, Floats, Ints]]) -> tuple[Floats, Floats, Ints]:
    """Several pieces as one mesh."""
    at, triangles = 0, []
    for points, _, faces in pieces:
        triangles.append(faces + at)
        at += len(points)
    points = np.concatenate([p for p, _, _ in pieces]).astype(np.float32)
    normal = np.concatenate([n for _, n, _ in pieces]).astype(np.float32)
    return points, normal, np.concatenate(triangles)
