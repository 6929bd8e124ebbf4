"""Glasses: two rims, a bridge and temples, as tubes without lenses.

Letters: V vertices, T triangles, P points of a path.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from dithead.synth.head.parts import Part, full_light
from dithead.synth.types import Floats, Ints

TriangleMesh: TypeAlias = tuple[Floats, Floats, Ints]
"""Vertices (V, 3), normals (V, 3) and triangles (T, 3)."""


class _FrameStyle(NamedTuple):
    """Shape of a rim: a superellipse around the eye, in decimetres for an eyeball of the usual size."""

    power: float  # of the superellipse: 2 is an ellipse, more is squarer
    half_width: float
    half_height: float
    thickness: float  # radius of the tube


_STYLES = {
    1: _FrameStyle(2.0, 0.235, 0.19, 0.011),
    2: _FrameStyle(4.0, 0.25, 0.17, 0.014),
    3: _FrameStyle(2.4, 0.225, 0.20, 0.007),
    4: _FrameStyle(3.0, 0.26, 0.20, 0.012),
}
_COLOURS = ((0.01, 0.01, 0.012), (0.06, 0.025, 0.012), (0.25, 0.24, 0.22), (0.02, 0.02, 0.05))  # linear RGB
_USUAL_EYE = 0.138  # decimetres, the eyeball's radius on the neutral head
_AHEAD = 0.23  # decimetres from the eyeball to the rims
_CURVATURE = 0.35  # how far the rims bend back towards the temples, per decimetre squared
_TEMPLE = 1.25  # decimetres that the temples reach back


def glasses_part(centres: list[Floats], radius: float, style: int) -> Part:
    """Build glasses as a part to draw.

    Args:
        centres: (3,) of both eyeballs.
        radius: of the eyeballs, decimetres.
        style: 1 to 4, see `Identity.glasses`.
    """
    position, normal, triangles = glasses_mesh(centres, radius, style)
    count = len(position)
    return Part(
        name="glasses",
        program="hair",
        triangles=triangles,
        position=position,
        normal=normal,
        uv=np.full((count, 2), 0.5, np.float32),
        mask=np.zeros((count, 4), np.float32),
        light=full_light(count),
        rest=position.copy(),
        textures={"albedo_map": "plain"},
        uniforms={"tint": _COLOURS[style % 4], "shine": 1.2, "flatness": 1.0, "density": 1.0, "strands": 0.0},
    )


def glasses_mesh(centres: list[Floats], radius: float, style: int) -> TriangleMesh:
    """Build the mesh of glasses; the arguments are those of `glasses_part`."""
    shape = _STYLES.get(style, _STYLES[1])
    half_width = shape.half_width * (radius / _USUAL_EYE)
    ordered = sorted(centres, key=lambda c: float(c[0]))
    edges = [(centre[0] - half_width, centre[0] + half_width) for centre in ordered]
    height = centres[0][1] + 0.02
    front = centres[0][2] + radius + _AHEAD
    across = np.linspace(edges[0][1], edges[1][0], 10)
    arch = height + 0.02 * np.cos(np.linspace(-1.5, 1.5, 10))
    tubes = [(_rim(centre, radius, shape), True) for centre in ordered]
    tubes.append((np.stack([across, arch, front - _CURVATURE * across**2], 1), False))
    for side, x in ((-1, edges[0][0]), (1, edges[1][1])):
        z = np.linspace(front - _CURVATURE * x * x, front - _TEMPLE, 10)
        outwards = x + side * 0.20 * np.sqrt(np.linspace(0, 1, 10))
        tubes.append((np.stack([outwards, np.full(10, height + 0.03), z], axis=1), False))
    return merge_meshes([tube_mesh(path, closed, shape.thickness) for path, closed in tubes])


def _rim(centre: Floats, radius: float, shape: _FrameStyle) -> Floats:
    """The path (48, 3) of the rim around one eye."""
    scale = radius / _USUAL_EYE
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / shape.power) * shape.half_width * scale
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / shape.power) * shape.half_height * scale
    z = centre[2] + radius + _AHEAD - _CURVATURE * (centre[0] + x) ** 2
    return np.stack([centre[0] + x, centre[1] - 0.03 + y, z], axis=1)


def tube_mesh(path: Floats, closed: bool, thickness: float, sides: int = 6) -> TriangleMesh:
    """Build a tube along a path.

    Args:
        path: (P, 3) points.
        closed: whether the last point joins the first.
        thickness: radius of the tube.
        sides: corners of its cross-section.
    """
    ahead, behind = np.roll(path, -1, axis=0), np.roll(path, 1, axis=0)
    tangent = ahead - behind
    if not closed:
        tangent[0], tangent[-1] = path[1] - path[0], path[-1] - path[-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    first = np.cross(tangent, [0.13, 0.31, 0.94])  # any direction that no tangent has
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    normal = first[:, None] * np.cos(turn)[:, None] + second[:, None] * np.sin(turn)[:, None]
    n = len(path)
    i, j = np.meshgrid(np.arange(n if closed else n - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    c, d = ((i + 1) % n) * sides + j, ((i + 1) % n) * sides + (j + 1) % sides
    triangles = np.stack([a, c, d, a, d, b], axis=-1).reshape(-1, 3)
    points = path[:, None] + thickness * normal
    return points.reshape(-1, 3), normal.reshape(-1, 3), triangles.astype(np.int32)


def merge_meshes(meshes: list[TriangleMesh]) -> TriangleMesh:
    """Join several meshes into one."""
    offset, triangles = 0, []
    for points, _, faces in meshes:
        triangles.append(faces + offset)
        offset += len(points)
    points = np.concatenate([p for p, _, _ in meshes]).astype(np.float32)
    normal = np.concatenate([n for _, n, _ in meshes]).astype(np.float32)
    return points, normal, np.concatenate(triangles)
