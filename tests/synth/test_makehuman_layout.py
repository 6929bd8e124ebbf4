"""MakeHuman's own folder layout gives the same person, to the pixel, as the compact layout of the same head."""

from pathlib import Path

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.corpus.take import aim_camera
from dithead.synth.face.motion import rotation_matrix
from dithead.synth.head.assets import find_texture, load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import sample_identity
from dithead.synth.person.person import Person, frame_uniforms
from dithead.synth.scene.setting import sample_setting


def test_both_layouts_hold_the_same_head(official: Path, head_folder: Path) -> None:
    from_makehuman, compact = load_head(official), load_head(head_folder)
    np.testing.assert_array_equal(from_makehuman.source_index, compact.source_index)
    np.testing.assert_array_equal(from_makehuman.vertices, compact.vertices)
    np.testing.assert_array_equal(from_makehuman.mesh.faces, compact.mesh.faces)
    assert compact.key_names <= from_makehuman.key_names
    for name in ("macro/african-female-old", "faceunits/jawOpen"):
        np.testing.assert_array_equal(from_makehuman.key(name).index, compact.key(name).index)
        np.testing.assert_allclose(from_makehuman.key(name).delta, compact.key(name).delta, atol=1e-6)


def test_both_layouts_render_the_same_pixels(official: Path, head_folder: Path, renderer) -> None:
    pictures = []
    for folder in (head_folder, official):
        body = Body(load_head(folder))
        identity = sample_identity(21, frozenset(load_head(head_folder).key_names))
        person, setting = Person(body, identity), sample_setting(21)
        person.upload_to(renderer, setting, np.random.default_rng(3))
        person.pose({"jawOpen": 0.3})
        no_shift = np.zeros(3, np.float32)
        scene = frame_uniforms(person, setting, rotation_matrix(0, 0, 0), no_shift)
        pictures.append(renderer.draw(aim_camera(person, setting, no_shift[:2]), scene))
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_a_missing_texture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"brown_eye\.png"):
        find_texture(tmp_path, "eyes", "brown_eye.png")
