"""MakeHuman's own layout gives the same person, to the pixel, as the compact form of the same head."""

from pathlib import Path

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.corpus.take import aim_camera
from dithead.synth.face.motion import rotation
from dithead.synth.head.assets import find_texture, load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import sample_identity
from dithead.synth.head.person import Person, uniforms
from dithead.synth.scene.setting import sample_setting


def test_the_same_head(official: Path, head_folder: Path) -> None:
    here, there = load_head(official), load_head(head_folder)
    np.testing.assert_array_equal(here.source_index, there.source_index)
    np.testing.assert_array_equal(here.vertices, there.vertices)
    np.testing.assert_array_equal(here.mesh.faces, there.mesh.faces)
    assert there.key_names <= here.key_names
    for name in ("macro/african-female-old", "expression/asian/mouth-open"):
        np.testing.assert_array_equal(here.key(name).index, there.key(name).index)
        np.testing.assert_allclose(here.key(name).delta, there.key(name).delta, atol=1e-6)


def test_the_same_person_to_the_pixel(official: Path, head_folder: Path, stage) -> None:
    drawn = []
    for folder in (head_folder, official):
        body = Body(load_head(folder))
        who = sample_identity(21, frozenset(load_head(head_folder).key_names))
        person, setting = Person(body, who), sample_setting(21)
        person.dress(stage, setting, np.random.default_rng(3))
        person.pose({"mouth-open": 0.3})
        still = np.zeros(3, np.float32)
        scene = uniforms(person, setting, rotation(0, 0, 0), still)
        drawn.append(stage.draw(aim_camera(person, setting, still[:2]), scene))
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_a_missing_texture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"brown_eye\.png"):
        find_texture(tmp_path, "eyes", "brown_eye.png")
