"""Hairline, folds and lids lie where they belong, change the picture, and can be left out by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dithead.errors import DitheadError
from dithead.synth.corpus.realism import DETAILS
from dithead.synth.corpus.take import aim_camera
from dithead.synth.face.motion import rotation_matrix
from dithead.synth.head.details import crease_depths, hair_growth, lid_geometry
from dithead.synth.head.identity import sample_identity
from dithead.synth.person.person import Person, frame_uniforms
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import sample_setting


@pytest.fixture(scope="module")
def person(body: Any) -> Person:
    identity = sample_identity(44, body.head.key_names)
    return Person(body, replace(identity, hair="short01", glasses=0))


def test_a_smile_folds_the_cheeks_and_raised_brows_fold_the_forehead() -> None:
    assert crease_depths({}, 0.0) == (0.0, 0.0, 0.0)
    smile, brows = (
        crease_depths({"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}, 0.0),
        crease_depths({"browOuterUpLeft": 1, "browOuterUpRight": 1}, 0),
    )
    assert smile[0] > 0.2 > smile[1] == 0
    assert brows[1] > 0.5 > brows[0] == 0
    assert all(a > b for a, b in zip(crease_depths({}, 0.3), crease_depths({}, 0.1), strict=True)), (
        "age leaves folds at rest"
    )


def test_lids_follow_a_blink(person: Person) -> None:
    gaps = []
    for closed in (0.0, 0.5, 0.95):
        person.pose({"eyeBlinkLeft": closed, "eyeBlinkRight": closed})
        lines = [lid_geometry(person.posed[places]) for places in person.lids]
        assert lines[0][0] * lines[1][0] < 0, "one line for either eye"
        gaps.append(lines[0][1] - lines[0][2])
        assert next(p for p in person.parts if p.name == "eye").uniforms["lids"] == lines[0]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.3 * gaps[0]


def test_hair_grows_on_the_scalp_and_thins_at_its_roots(body: Any, person: Person) -> None:
    hair = next(part for part in person.parts if part.name == "hair")
    roots = hair.mask[:, 0]
    assert roots.min() == 0
    assert roots.max() == 1
    growth = hair_growth(body, person.base, hair.position)
    rest = np.asarray(body.skin.matrix @ body.head.vertices)
    assert (roots[hair.rest[:, 2] < -0.1] > 0.3).all(), "only at the face"
    assert growth[(rest[:, 1] > 8.0) & (rest[:, 2] > 0)].mean() > 0.3
    assert (roots[hair.rest[:, 2] < -0.1] > 0.3).all(), "only at the face"
    assert growth[(rest[:, 1] < 6.9)].max() == 0, "not on cheeks, nose or neck"


@pytest.mark.parametrize("name", sorted(DETAILS))
def test_each_detail_changes_the_picture_and_can_be_left_out(person: Person, name: str) -> None:
    setting = sample_setting(3)
    smile, brows = ("mouthSmileLeft", "mouthSmileRight"), ("browOuterUpLeft", "browOuterUpRight")
    weights = dict.fromkeys(smile, 0.6) | dict.fromkeys(brows, 0.8)
    try:
        renderer = Renderer(192, 192, supersample=1.0)
    except DitheadError as error:
        pytest.skip(str(error))
    pictures = []
    with renderer:
        person.upload_to(renderer, setting, np.random.default_rng(0))
        for off in ({}, DETAILS[name]):
            for part in person.parts:
                part.uniforms |= {k: v for k, v in off.items() if k in part.uniforms}
            person.pose(weights)
            no_shift = np.zeros(3, np.float32)
            scene = frame_uniforms(person, setting, rotation_matrix(0, 0, 0), no_shift)
            pictures.append(renderer.draw(aim_camera(person, setting, no_shift[:2]), scene).astype(int))
    for part in person.parts:
        part.uniforms |= {k: 1.0 for k in DETAILS[name] if part.uniforms.get(k) == 0.0 and part.name != "eyebrows"}
    changed = np.abs(pictures[0] - pictures[1]).max(axis=2) > 8
    assert 20 < changed.sum() < 0.4 * changed.size
