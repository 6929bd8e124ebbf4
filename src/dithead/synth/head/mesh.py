"""Mesh algebra: Catmull-Clark subdivision and proxies as sparse matrices, and smooth normals.

Every vertex drawn is a fixed linear combination of the head's base vertices, so that one sparse product a frame
moves skin, brows, lashes, teeth, tongue and clothes together.

Letters: V vertices, E edges, F faces, T triangles, B base vertices of the head (``width``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dithead.synth.head.head_model import Mesh, Proxy, proxy_scale
from dithead.synth.types import Floats, Ints


@dataclass(frozen=True)
class Surface:
    """A drawable triangle mesh whose vertices are ``matrix @ base + offset``."""

    matrix: Any  # scipy CSR (V, B)
    offset: Floats  # (V, 3)
    uv: Floats  # (V, 2)
    triangles: Ints  # (T, 3)

    def at(self, base: Floats) -> Floats:
        """Return the vertices (V, 3) of this surface on the head ``base`` (B, 3)."""
        return np.asarray(self.matrix @ base + self.offset)


def _rows(index: Ints, weight: Floats, width: int) -> Any:
    """CSR matrix (V, width) whose row i holds weight[i, j] at column index[i, j]."""
    n, k = index.shape
    row = np.repeat(np.arange(n), k)
    return sparse.csr_matrix((weight.ravel(), (row, index.ravel())), shape=(n, width), dtype=np.float32)


def edge_table(faces: Ints) -> tuple[Ints, Ints]:
    """Return the unique undirected edges (E, 2) and each face corner's edge number (F, 4)."""
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return edges.astype(np.int32), inverse.reshape(faces.shape).astype(np.int32)


def catmull_clark(faces: Ints, width: int) -> tuple[Any, Ints]:
    """Subdivide quads once by Catmull and Clark's rules.

    Args:
        faces: (F, 4) quads.
        width: number of vertices V, used or not.

    Returns:
        The matrix (V + E + F, V) from old to new vertices, and the new quads (4F, 4).
    """
    edges, corner_edge = edge_table(faces)
    n_edge, n_face = len(edges), len(faces)
    face_point = _rows(faces, np.full(faces.shape, 0.25, np.float32), width)
    edge_faces = sparse.csr_matrix(
        (np.ones(faces.size, np.float32), (corner_edge.ravel(), np.repeat(np.arange(n_face), 4))),
        shape=(n_edge, n_face),
    )
    faces_at_edge = np.asarray(edge_faces.sum(axis=1)).ravel()
    middle = _rows(edges, np.full(edges.shape, 0.5, np.float32), width)
    inner = sparse.diags((faces_at_edge == 2).astype(np.float32))
    outer = sparse.diags((faces_at_edge != 2).astype(np.float32))
    edge_point = inner @ (0.5 * middle + 0.25 * (edge_faces @ face_point)) + outer @ middle
    vertex_point = _vertex_points(faces, edges, faces_at_edge, face_point, middle, width)
    centre = width + n_edge + np.arange(n_face, dtype=np.int32)[:, None]
    after, before = width + corner_edge, width + np.roll(corner_edge, 1, axis=1)
    quads = np.stack([faces, after, np.broadcast_to(centre, faces.shape), before], axis=-1)
    return sparse.vstack([vertex_point, edge_point, face_point]).tocsr(), quads.reshape(-1, 4)


def _vertex_points(
    faces: Ints, edges: Ints, faces_at_edge: NDArray[Any], face_point: Any, middle: Any, width: int
) -> Any:
    """Matrix (V, V) of the old vertices' new places: Catmull and Clark's rule, and cubic B-splines on boundaries."""
    valence = np.bincount(edges.ravel(), minlength=width).astype(np.float32)
    boundary = np.zeros(width, bool)
    boundary[edges[faces_at_edge == 1].ravel()] = True
    unused = valence == 0
    divisor = np.maximum(valence, 1)
    incidence = sparse.csr_matrix(
        (np.ones(faces.size, np.float32), (faces.ravel(), np.repeat(np.arange(len(faces)), 4))),
        shape=(width, len(faces)),
    )
    at_vertex = sparse.csr_matrix(
        (np.ones(edges.size, np.float32), (edges.ravel(), np.repeat(np.arange(len(edges)), 2))),
        shape=(width, len(edges)),
    )
    identity = sparse.identity(width, dtype=np.float32, format="csr")
    smooth = sparse.diags(1 / divisor**2) @ (incidence @ face_point)
    smooth = smooth + sparse.diags(2 / divisor**2) @ (at_vertex @ middle)
    smooth = smooth + sparse.diags((divisor - 3) / divisor) @ identity
    boundary_edges = at_vertex @ sparse.diags((faces_at_edge == 1).astype(np.float32))
    border = 0.25 * (boundary_edges @ middle) + 0.5 * identity
    inside = sparse.diags((~boundary & ~unused).astype(np.float32))
    unchanged = sparse.diags(unused.astype(np.float32)) @ identity
    return inside @ smooth + sparse.diags(boundary.astype(np.float32)) @ border + unchanged


def subdivide_uv(mesh: Mesh) -> Floats:
    """Subdivide texture coordinates bilinearly: coordinates (4F, 4, 2) by corner, in the order of `catmull_clark`."""
    corner = mesh.uv[mesh.face_uv]  # (F, 4, 2)
    after = (corner + np.roll(corner, -1, axis=1)) / 2
    before = np.roll(after, 1, axis=1)
    centre = np.broadcast_to(corner.mean(axis=1, keepdims=True), corner.shape)
    return np.stack([corner, after, centre, before], axis=2).reshape(-1, 4, 2).astype(np.float32)


def split_at_seams(faces: Ints, corner_uv: Floats) -> tuple[Ints, Floats, Ints]:
    """Split vertices where the texture has a seam.

    Args:
        faces: (F, 4) quads.
        corner_uv: (F, 4, 2) texture coordinates of their corners.

    Returns:
        The old vertex of each new one (V,), its texture coordinates (V, 2), and the quads in new vertices (F, 4).
    """
    flat = corner_uv.reshape(-1, 2)
    keys = np.column_stack([faces.ravel(), np.round(flat * 65536).astype(np.int64)])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    source = faces.ravel()[first].astype(np.int32)
    return source, flat[first].astype(np.float32), inverse.reshape(faces.shape).astype(np.int32)


def triangulate(quads: Ints) -> Ints:
    """Cut quads (F, 4) into triangles (T, 3); those whose corners coincide are dropped."""
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    a, b, c = triangles.T
    return np.ascontiguousarray(triangles[(a != b) & (b != c) & (a != c)], dtype=np.int32)


def subdivided_surface(mesh: Mesh, faces: Ints, width: int) -> Surface:
    """Return the surface of the given faces, subdivided once.

    Args:
        mesh: the base mesh.
        faces: face numbers.
        width: number of base vertices.
    """
    part = Mesh(mesh.faces[faces], mesh.face_uv[faces], mesh.uv)
    matrix, quads = catmull_clark(part.faces, width)
    source, uv, split = split_at_seams(quads, subdivide_uv(part))
    return Surface(matrix[source], np.zeros((len(source), 3), np.float32), uv, triangulate(split))


def base_surface(mesh: Mesh, faces: Ints, width: int) -> Surface:
    """Return the surface of the given faces, not subdivided but with vertices where subdivision would put them.

    It has a quarter of the triangles of `subdivided_surface`, whose arguments it takes.
    """
    part = Mesh(mesh.faces[faces], mesh.face_uv[faces], mesh.uv)
    matrix, _ = catmull_clark(part.faces, width)
    source, uv, split = split_at_seams(part.faces, part.uv[part.face_uv])
    return Surface(matrix[source], np.zeros((len(source), 3), np.float32), uv, triangulate(split))


def proxy_surface(proxy: Proxy, base: Floats) -> Surface:
    """Return the surface of a proxy fitted to the head ``base`` (B, 3)."""
    corner_uv = proxy.mesh.uv[proxy.mesh.face_uv]
    source, uv, split = split_at_seams(proxy.mesh.faces, corner_uv)
    matrix = _rows(proxy.index, proxy.weight, len(base))[source]
    offset = (proxy.offset * proxy_scale(proxy, base))[source]
    return Surface(matrix, offset.astype(np.float32), uv, triangulate(split))


def corner_sum_matrix(faces: Ints, width: int) -> Any:
    """Return the matrix (width, F) that adds each face's value to its corners."""
    k = faces.shape[1]
    row, column = faces.ravel(), np.repeat(np.arange(len(faces)), k)
    return sparse.csr_matrix((np.ones(faces.size, np.float32), (row, column)), shape=(width, len(faces)))


def vertex_normals(vertices: Floats, faces: Ints, corner_sum: Any) -> Floats:
    """Compute area-weighted unit normals of vertices.

    Args:
        vertices: (V, 3).
        faces: (F, 3 or 4).
        corner_sum: `corner_sum_matrix` of the faces.

    Returns:
        (V, 3) unit normals.
    """
    last = faces[:, 3] if faces.shape[1] == 4 else faces[:, 0]
    across = vertices[faces[:, 2]] - vertices[faces[:, 0]]
    other = vertices[last] - vertices[faces[:, 1]]
    total = corner_sum @ np.cross(across, other)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-12)).astype(np.float32)


def unit_rows(normal: Floats) -> Floats:
    """Scale rows (V, 3) to length 1."""
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
