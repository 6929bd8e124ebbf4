"""The renderer agrees with geometry that can be computed by hand."""

import numpy as np
import pytest

from dithead.synth.head.parts import Part
from dithead.synth.scene.camera import Camera, project
from dithead.synth.scene.renderer import Renderer, _light_matrix

SCENE = {
    "key_direction": (0, 0, 1), "key_colour": (2, 2, 2), "fill_direction": (0, 0, 1), "fill_colour": (0, 0, 0),
    "rim_direction": (0, 0, 1), "rim_colour": (0, 0, 0), "ambient_up": (0, 0, 0), "ambient_down": (0, 0, 0),
    "white_balance": (1, 1, 1), "exposure": 1.0, "contrast": 0.0, "head_rotation": np.eye(3), "pivot": (0, 0, 0),
    "head_shift": (0, 0, 0),
}  # fmt: skip


def quad(centre: tuple[float, float, float], half: float) -> Part:
    """Make a square that faces the camera."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * half + centre
    flat = np.tile(np.array([0, 0, 1], np.float32), (4, 1))
    light = np.tile(np.array([1, 1, 0, 1], np.float32), (4, 1))
    corners, triangles = corners.astype(np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uv, mask = np.full((4, 2), 0.5, np.float32), np.zeros((4, 4), np.float32)
    part = Part("quad", "hair", triangles, corners, flat, uv, mask, light, corners)
    part.textures = {"albedo_map": "plain"}
    part.uniforms = {"tint": (0.9, 0.5, 0.2), "shine": 0.0, "flatness": 1.0, "density": 1.0}
    part.occludes = True
    return part


def test_projection_agrees_with_the_pixels_drawn(renderer: Renderer) -> None:
    camera = Camera((0.5, 7.2, 10.0), (0.2, 7.0, 0.0), height=4.0, roll=0.1)
    renderer.add_parts([quad((0.6, 7.4, 0.0), 0.5)])
    drawn = renderer.draw(camera, SCENE)[..., 0] > 60
    corners = np.array([[0.1, 6.9, 0], [1.1, 6.9, 0], [1.1, 7.9, 0], [0.1, 7.9, 0]], np.float32)
    flat = project(corners, camera.view_projection(64 / 48), 64, 48)[:, :2]
    row, column = np.nonzero(drawn)
    assert column.min() == pytest.approx(flat[:, 0].min(), abs=1.0)
    assert column.max() + 1 == pytest.approx(flat[:, 0].max(), abs=1.0)
    assert row.min() == pytest.approx(flat[:, 1].min(), abs=1.0)
    assert row.max() + 1 == pytest.approx(flat[:, 1].max(), abs=1.0)


def test_the_picture_spans_the_height_at_the_target() -> None:
    camera = Camera((0, 7, 10), (0, 7, 0), height=4.0)
    ends = np.array([[0, 9, 0], [0, 5, 0]], np.float32)
    np.testing.assert_allclose(project(ends, camera.view_projection(2.0), 200, 100)[:, 1], [0, 100], atol=1e-3)


def test_the_nearer_part_hides_the_farther(renderer: Renderer) -> None:
    near, far = quad((0, 7, 1.0), 0.5), quad((0, 7, 0.0), 1.0)
    near.uniforms = near.uniforms | {"tint": (0.0, 0.0, 0.9)}
    renderer.add_parts([near, far])
    picture = renderer.draw(Camera((0, 7, 10), (0, 7, 0), 4.0), SCENE)
    assert picture[24, 32, 2] > picture[24, 32, 0]
    assert picture[24, 32 + 9, 0] > picture[24, 32 + 9, 2]


def test_visibility_is_zero_in_the_shadow(renderer: Renderer) -> None:
    renderer.add_parts([quad((0, 7, 1.0), 0.5)])
    points = np.array([[0, 7, 0], [1.2, 7, 0], [0, 7, 1.5]], np.float32)
    seen = renderer.measure_visibility(points, np.array([[0, 0, 1]], np.float32))[:, 0]
    np.testing.assert_allclose(seen, [0, 1, 1])


def test_light_matrices_scale_uniformly() -> None:
    direction = np.array([0.6, 0.0, 0.8], np.float32)
    matrix = _light_matrix(direction, radius=2.0)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T * 4.0, np.eye(3), atol=1e-6)
    assert (matrix[:3, :3] @ direction)[2] < 0, "towards the light is nearer"


def test_after_clearing_nothing_of_the_last_person_is_drawn(renderer: Renderer) -> None:
    renderer.add_parts([quad((0, 7, 0), 1.0)])
    renderer.clear()
    renderer.upload_texture("background", np.full((2, 2, 3), 77, np.uint8))
    assert (renderer.draw(Camera((0, 7, 10), (0, 7, 0), 4.0), SCENE) == 77).all()
