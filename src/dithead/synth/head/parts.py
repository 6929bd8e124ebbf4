"""A part that can be drawn: its mesh, what is fixed about each vertex, and how it is shaded.

Letters: V vertices, T triangles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dithead.synth.head.mesh import Surface, corner_sum_matrix, vertex_normals
from dithead.synth.types import Floats, Ints

LABELS = ("background", "skin", "lips", "cavity", "teeth", "tongue", "eye", "eyebrows", "hair", "cloth", "glasses",
          "occluder")  # fmt: skip
"""What a pixel of a label picture can show; the label is the number in this tuple."""


@dataclass
class Part:
    """One mesh to draw.

    Attributes:
        name: which part it is; most names are in LABELS.
        program: the shader program, one of `scene.renderer.PROGRAMS`.
        triangles: (T, 3).
        position: (V, 3) where the vertices are now, decimetres.
        normal: (V, 3) now.
        uv: (V, 2) texture coordinates.
        mask: (V, 4) weights whose meaning depends on the program.
        light: (V, 4) ambient light, key light's visibility, how far the vertex turns with the head, and fill light's
            visibility, each 0..1.
        rest: (V, 3) where the vertices are on the neutral head.
        textures: sampler -> name of the picture on the stage.
        uniforms: values for the shader program.
        cutoff: above 0: the texture's alpha is coverage, and what lies below this value is not drawn.
        solid: closed, so that faces turned away need not be drawn.
        blend: mixed with what lies behind by its coverage.
        occludes: casts shadows.
        moving: positions and normals change with the face.
    """

    name: str
    program: str
    triangles: Ints
    position: Floats
    normal: Floats
    uv: Floats
    mask: Floats
    light: Floats
    rest: Floats
    textures: dict[str, str] = field(default_factory=dict)
    uniforms: dict[str, Any] = field(default_factory=dict)
    cutoff: float = 0.0
    solid: bool = False
    blend: bool = False
    occludes: bool = False
    moving: bool = False


def part_from_surface(name: str, program: str, surface: Surface, *, moving: bool) -> Part:
    """Return a part with the surface's triangles, lit from everywhere, its vertices not yet placed.

    Args:
        name: see `Part`.
        program: see `Part`.
        surface: gives triangles and texture coordinates.
        moving: see `Part`.
    """
    count = len(surface.uv)
    zero = np.zeros((count, 3), np.float32)
    return Part(
        name=name,
        program=program,
        triangles=surface.triangles,
        position=zero,
        normal=zero.copy(),
        uv=surface.uv,
        mask=np.zeros((count, 4), np.float32),
        light=full_light(count),
        rest=zero.copy(),
        moving=moving,
    )


def part_normals(part: Part) -> Floats:
    """Compute normals (V, 3) from the part's own triangles."""
    return vertex_normals(part.position, part.triangles, corner_sum_matrix(part.triangles, len(part.position)))


def full_light(count: int) -> Floats:
    """Return the light (count, 4) of vertices that nothing shades."""
    return np.ones((count, 4), np.float32)
