"""The parametric head as arrays: base mesh, shape keys and proxies (fitted meshes such as hair and teeth).

Lengths are MakeHuman's decimetres, y up, z towards the viewer, x towards the person's left.
Letters: V vertices, F faces, U texture coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dithead.errors import DataError
from dithead.synth.types import Floats, Ints


@dataclass(frozen=True)
class ShapeKey:
    """A sparse displacement of vertices: ``vertices[index] += weight * delta``."""

    index: Ints  # (k,)
    delta: Floats  # (k, 3) decimetres


@dataclass(frozen=True)
class Mesh:
    """Quads with texture coordinates for each corner; a triangle repeats its last corner."""

    faces: Ints  # (F, 4) into the vertices
    face_uv: Ints  # (F, 4) into uv
    uv: Floats  # (U, 2), v upwards


@dataclass(frozen=True)
class Proxy:
    """A mesh bound to the head: vertex = sum_j weight_j * head[index_j] + offset * scale."""

    mesh: Mesh
    index: Ints  # (V, 3) into the head's vertices
    weight: Floats  # (V, 3)
    offset: Floats  # (V, 3)
    scale: tuple[tuple[int, int, float], ...]  # for each axis: two head vertices and their reference distance


@dataclass(frozen=True)
class HeadModel:
    """The neutral head, and the folder from which everything else is read on demand.

    Attributes:
        folder: where the model lies.
        vertices: (V, 3) the neutral head.
        mesh: its quads.
        groups: name of a part -> numbers of its faces.
        source_index: (V,) number of each vertex in MakeHuman's base.obj, ascending.
        load_key: reads a shape key by name.
        key_names: names of all shape keys.
    """

    folder: Path
    vertices: Floats
    mesh: Mesh
    groups: dict[str, Ints]
    source_index: Ints
    load_key: Callable[[str], ShapeKey]
    key_names: frozenset[str]

    def key(self, name: str) -> ShapeKey:
        """Return the shape key called ``name``.

        Raises:
            DataError: when the model has none of that name.
        """
        if name not in self.key_names:
            raise DataError(f"{self.folder}: the head model has no shape key {name!r}; use a complete head model")
        return self.load_key(name)

    def vertex_number(self, source: int) -> int:
        """Return this model's number of vertex ``source`` of MakeHuman's base.obj."""
        return int(np.searchsorted(self.source_index, source))


def proxy_scale(proxy: Proxy, vertices: Floats) -> Floats:
    """Compute how much larger than the reference head the head ``vertices`` (V, 3) is along each axis: (3,)."""
    sizes = [
        abs(float(vertices[a, i] - vertices[b, i])) / d if a >= 0 else 1.0 for i, (a, b, d) in enumerate(proxy.scale)
    ]
    return np.array(sizes, np.float32)
