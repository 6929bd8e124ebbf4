"""Subdivision and normals agree with closed forms."""

import numpy as np
import pytest

from dithead.synth.head.body import asymmetric_key
from dithead.synth.head.head_model import Mesh, ShapeKey
from dithead.synth.head.mesh import (
    catmull_clark,
    corner_sum_matrix,
    split_at_seams,
    subdivided_surface,
    triangulate,
    vertex_normals,
)

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
CUBE = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]], np.int32)


def test_catmull_clark_of_a_cube() -> None:
    matrix, quads = catmull_clark(CUBE, 8)
    points = matrix @ CORNERS
    np.testing.assert_allclose(points[:8], CORNERS * 5 / 9, rtol=1e-6)
    edges = points[8:20]
    assert len(points) == 8 + 12 + 6
    np.testing.assert_allclose(np.sort(np.abs(edges), axis=1), np.tile([0, 0.75, 0.75], (12, 1)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(points[20:], axis=1), 1, rtol=1e-6)
    assert quads.shape == (24, 4)


def test_a_flat_sheet_stays_flat_and_keeps_its_border() -> None:
    x, y = np.meshgrid(np.arange(4.0), np.arange(4.0))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(16)], axis=1)
    i = np.array([r * 4 + c for r in range(3) for c in range(3)])
    matrix, _ = catmull_clark(np.stack([i, i + 1, i + 5, i + 4], axis=1).astype(np.int32), 16)
    fine = matrix @ points
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)).ravel(), 1, rtol=1e-6)
    np.testing.assert_allclose(fine[:, 2], 0)
    np.testing.assert_allclose(fine[5], [1, 1, 0], atol=1e-6)  # inside
    np.testing.assert_allclose(fine[1], [1, 0, 0], atol=1e-6)  # border: (0 + 6 * 1 + 2) / 8


@pytest.mark.parametrize("winding", [1, -1])
def test_normals_of_a_cube_point_outwards(winding: int) -> None:
    faces = np.ascontiguousarray(CUBE[:, ::winding])
    found = vertex_normals(CORNERS, faces, corner_sum_matrix(faces, 8))
    np.testing.assert_allclose(found * winding, CORNERS / np.sqrt(3), atol=1e-6)


def test_seams_split_vertices_only_where_the_texture_jumps() -> None:
    faces = np.array([[0, 1, 2, 3], [1, 4, 5, 2]], np.int32)
    together = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [2, 0], [2, 1]], np.float32)[faces]
    assert len(split_at_seams(faces, together)[0]) == 6
    apart = together.copy()
    apart[1] += 5
    source, uv, welded = split_at_seams(faces, apart)
    assert len(source) == 8
    np.testing.assert_allclose(uv[welded], apart)
    np.testing.assert_array_equal(source[welded], faces)


def test_triangles_that_collapse_are_dropped() -> None:
    assert triangulate(np.array([[0, 1, 2, 2], [0, 1, 2, 3]], np.int32)).tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]


def test_a_surface_is_linear_in_the_base_vertices() -> None:
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    mesh = Mesh(CUBE, np.tile(np.arange(4, dtype=np.int32), (6, 1)), uv)
    surface = subdivided_surface(mesh, np.arange(6, dtype=np.int32), 8)
    moved = surface.matrix @ (CORNERS + np.array([1, 2, 3]))
    np.testing.assert_allclose(moved, surface.matrix @ CORNERS + np.array([1, 2, 3]), rtol=1e-5)
    assert len(surface.triangles) == 48


def test_an_asymmetric_key_does_not_change_the_midline() -> None:
    rest = np.array([[-1, 0, 0], [0, 0, 0], [1, 0, 0]], np.float32)
    key = ShapeKey(np.arange(3, dtype=np.int32), np.tile(np.array([0, -1, 0], np.float32), (3, 1)))
    drop = asymmetric_key(key, rest, 0.2).delta[:, 1]
    np.testing.assert_allclose(drop, [-0.8, -1.0, -1.2], atol=1e-3)
