"""Mesh algebra: Catmull-Clark subdivision and proxy fitting as sparse matrices, smooth normals.

Every vertex drawn is a fixed linear combination of the head's base vertices, so one sparse product a frame
moves skin, brows, lashes, teeth, tongue and clothes together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dithead.synth.head.assets import Floats, Ints, Mesh, Proxy, fit_scale


@dataclass(frozen=True)
class Surface:
    """A drawable triangle mesh: ``matrix @ base + offset`` gives its vertices."""

    matrix: Any  # scipy CSR (V, base vertices)
    offset: Floats  # (V, 3)
    uv: Floats  # (V, 2)
    triangles: Ints  # (T, 3)


def _rows(index: Ints, weight: Floats, width: int) -> Any:
    """CSR matrix whose row i holds weight[i, j] at column index[i, j]."""
    n, k = index.shape
    row = np.repeat(np.arange(n), k)
    return sparse.csr_matrix((weight.ravel(), (row, index.ravel())), shape=(n, width), dtype=np.float32)


def edge_table(faces: Ints) -> tuple[Ints, Ints]:
    """Unique undirected edges (E, 2) and each face corner's edge number (F, 4)."""
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return edges.astype(np.int32), inverse.reshape(faces.shape).astype(np.int32)


def catmull_clark(faces: Ints, width: int) -> tuple[Any, Ints]:
    """One subdivision of quads: matrix (V + E + F, V) from old to new vertices, and the new quads (4F, 4)."""
    edges, corner_edge = edge_table(faces)
    n_edge, n_face = len(edges), len(faces)
    face_point = _rows(faces, np.full(faces.shape, 0.25, np.float32), width)
    at_edge = sparse.csr_matrix(
        (np.ones(faces.size, np.float32), (corner_edge.ravel(), np.repeat(np.arange(n_face), 4))),
        shape=(n_edge, n_face),
    )
    touching = np.asarray(at_edge.sum(axis=1)).ravel()
    middle = _rows(edges, np.full(edges.shape, 0.5, np.float32), width)
    inner = sparse.diags((touching == 2).astype(np.float32))
    outer = sparse.diags((touching != 2).astype(np.float32))
    edge_point = inner @ (0.5 * middle + 0.25 * (at_edge @ face_point)) + outer @ middle
    vertex_point = _vertex_points(faces, edges, touching, face_point, middle, width)
    centre = width + n_edge + np.arange(n_face, dtype=np.int32)[:, None]
    after, before = width + corner_edge, width + np.roll(corner_edge, 1, axis=1)
    quads = np.stack([faces, after, np.broadcast_to(centre, faces.shape), before], axis=-1)
    return sparse.vstack([vertex_point, edge_point, face_point]).tocsr(), quads.reshape(-1, 4)


def _vertex_points(faces: Ints, edges: Ints, touching: NDArray[Any], face_point: Any, middle: Any, width: int) -> Any:
    """Catmull and Clark's vertex rule inside, the cubic B-spline rule on boundaries."""
    valence = np.bincount(edges.ravel(), minlength=width).astype(np.float32)
    rim = np.zeros(width, bool)
    rim[edges[touching == 1].ravel()] = True
    unused = valence == 0
    one = np.maximum(valence, 1)
    incidence = sparse.csr_matrix(
        (np.ones(faces.size, np.float32), (faces.ravel(), np.repeat(np.arange(len(faces)), 4))),
        shape=(width, len(faces)),
    )
    at_vertex = sparse.csr_matrix(
        (np.ones(edges.size, np.float32), (edges.ravel(), np.repeat(np.arange(len(edges)), 2))),
        shape=(width, len(edges)),
    )
    eye = sparse.identity(width, dtype=np.float32, format="csr")
    smooth = sparse.diags(1 / one**2) @ (incidence @ face_point)
    smooth = smooth + sparse.diags(2 / one**2) @ (at_vertex @ middle)
    smooth = smooth + sparse.diags((one - 3) / one) @ eye
    rim_edges = at_vertex @ sparse.diags((touching == 1).astype(np.float32))
    border = 0.25 * (rim_edges @ middle) + 0.5 * eye
    inside = sparse.diags((~rim & ~unused).astype(np.float32))
    keep = sparse.diags(unused.astype(np.float32)) @ eye
    return inside @ smooth + sparse.diags(rim.astype(np.float32)) @ border + keep


def subdivide_uv(mesh: Mesh) -> tuple[Floats, Ints]:
    """Bilinear uv of the subdivided quads: coordinates (4F, 4, 2) by corner, aligned with catmull_clark."""
    corner = mesh.uv[mesh.face_uv]  # (F, 4, 2)
    after = (corner + np.roll(corner, -1, axis=1)) / 2
    before = np.roll(after, 1, axis=1)
    centre = np.broadcast_to(corner.mean(axis=1, keepdims=True), corner.shape)
    quads = np.stack([corner, after, centre, before], axis=2).reshape(-1, 4, 2)
    return quads.astype(np.float32), np.arange(quads.size // 2, dtype=np.int32).reshape(-1, 4)


def weld(faces: Ints, corner_uv: Floats) -> tuple[Ints, Floats, Ints]:
    """Vertices split where the texture has a seam: source vertex (V,), uv (V, 2), faces (F, 4)."""
    flat = corner_uv.reshape(-1, 2)
    keys = np.column_stack([faces.ravel(), np.round(flat * 65536).astype(np.int64)])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    source = faces.ravel()[first].astype(np.int32)
    return source, flat[first].astype(np.float32), inverse.reshape(faces.shape).astype(np.int32)


def triangulate(quads: Ints) -> Ints:
    """Two triangles a quad; those of collapsed corners are dropped. (T, 3)."""
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    a, b, c = triangles.T
    return np.ascontiguousarray(triangles[(a != b) & (b != c) & (a != c)], dtype=np.int32)


def smooth_surface(mesh: Mesh, faces: Ints, width: int) -> Surface:
    """The subdivided surface of the base mesh's ``faces`` (face numbers)."""
    part = Mesh(mesh.faces[faces], mesh.face_uv[faces], mesh.uv)
    matrix, quads = catmull_clark(part.faces, width)
    corner_uv, _ = subdivide_uv(part)
    source, uv, welded = weld(quads, corner_uv)
    return Surface(matrix[source], np.zeros((len(source), 3), np.float32), uv, triangulate(welded))


def plain_surface(mesh: Mesh, faces: Ints, width: int) -> Surface:
    """The base mesh's own faces with vertices smoothed as subdivision would: a quarter of the triangles."""
    part = Mesh(mesh.faces[faces], mesh.face_uv[faces], mesh.uv)
    matrix, _ = catmull_clark(part.faces, width)
    source, uv, welded = weld(part.faces, part.uv[part.face_uv])
    return Surface(matrix[source], np.zeros((len(source), 3), np.float32), uv, triangulate(welded))


def proxy_surface(proxy: Proxy, base: Floats) -> Surface:
    """The proxy fitted to head ``base``, as a linear function of the head's vertices."""
    corner_uv = proxy.mesh.uv[proxy.mesh.face_uv]
    source, uv, welded = weld(proxy.mesh.faces, corner_uv)
    matrix = _rows(proxy.index, proxy.weight, len(base))[source]
    offset = (proxy.offset * fit_scale(proxy, base))[source]
    return Surface(matrix, offset.astype(np.float32), uv, triangulate(welded))


def corner_sum(faces: Ints, width: int) -> Any:
    """Matrix (V, F) that adds each face's value to its corners: normals in one product."""
    k = faces.shape[1]
    row, column = faces.ravel(), np.repeat(np.arange(len(faces)), k)
    return sparse.csr_matrix((np.ones(faces.size, np.float32), (row, column)), shape=(width, len(faces)))


def normals(vertices: Floats, faces: Ints, gather: Any) -> Floats:
    """Area-weighted unit vertex normals (V, 3); ``gather`` is corner_sum(faces)."""
    last = faces[:, 3] if faces.shape[1] == 4 else faces[:, 0]
    across = vertices[faces[:, 2]] - vertices[faces[:, 0]]
    other = vertices[last] - vertices[faces[:, 1]]
    total = gather @ np.cross(across, other)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-12)).astype(np.float32)
