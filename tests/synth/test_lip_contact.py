"""Lips meet, stick, part from the middle and tuck; one side of the mouth runs ahead of the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dithead.synth.face.expression import MouthTrack, expression_at
from dithead.synth.face.lip_contact import NO_CONTACT, LipContact
from dithead.synth.face.motion import Motion
from dithead.synth.face.units import CONTROLS, UNITS, units_of
from dithead.synth.face.visemes import CURVE_RATE, lip_sticking
from dithead.synth.head.identity import sample_identity
from dithead.synth.person.person import Person
from dithead.synth.person.spoken_lips import lip_gap, lips_of_controls

OPEN = {"jawOpen": 0.12, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2}


@pytest.fixture(scope="module")
def person(body: Any) -> Person:
    return Person(body, sample_identity(12, body.head.key_names))


def lip_distance(person: Person, points: np.ndarray, share: float) -> float:
    """Height between the lips, ``share`` of the way from the middle to the corners; the mean of both sides."""
    lips = person.body.anatomy.lip_topology
    wide = np.abs(points[lips.upper[[0, -1]], 0]).mean()
    heights = [np.interp([-share * wide, share * wide], *points[line, :2].T) for line in (lips.upper, lips.lower)]
    return float((heights[0] - heights[1]).mean())


def gap_at(person: Person, share: float) -> float:
    """How much further apart the lips are than at rest, ``share`` of the way to the corners."""
    return lip_distance(person, person.posed, share) - lip_distance(person, person.base, share)


def weights_of(row: np.ndarray, press: float = 0.3) -> dict[str, float]:
    return dict(zip(UNITS, units_of(row, press).tolist(), strict=True))


def controls(**values: float) -> np.ndarray:
    return np.array([values.get(name, 0.0) for name in (*CONTROLS, "closure")], np.float32)


def test_each_vertex_near_the_lips_belongs_to_one_lip_and_both_sides_are_alike(body: Any) -> None:
    lips, rest = body.anatomy.lip_topology, body.head.vertices
    assert body.anatomy.upper_inner in lips.upper
    assert body.anatomy.lower_inner in lips.lower
    red = (np.abs(rest[lips.near, 0]) < 0.15) & (lips.hops > 0) & (rest[lips.near, 2] > 1.5)
    above = rest[lips.near, 1] > 6.62
    assert (lips.side[red & above] == 1).all()
    assert (lips.side[red & (rest[lips.near, 1] < 6.59)] == -1).all()
    left, right = (np.sort(lips.side[sign * rest[lips.near, 0] > 1e-3]) for sign in (-1, 1))
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("seed", [1, 5, 12, 44])
def test_lips_at_rest_touch_from_corner_to_corner(body: Any, seed: int) -> None:
    person = Person(body, sample_identity(seed, body.head.key_names))
    for share in (0.0, 0.4, 0.8):
        assert -0.012 < lip_distance(person, person.base, share) <= 1e-4, "decimetres: no slit, hardly any overlap"


def test_lips_part_from_the_middle_outwards(person: Person) -> None:
    person.pose(OPEN)
    free, aperture = gap_at(person, 0.7), person.mouth_state()[1]
    gaps = []
    for stick in (0.3, 0.6, 0.95):
        person.pose(OPEN, LipContact(stick=stick))
        gaps.append(gap_at(person, 0.7))
        assert person.mouth_state()[1] == aperture, "the middle does not change"
    assert free >= gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.6 * free
    person.pose(OPEN, LipContact(stick=0.95))
    assert gap_at(person, 0.1) > 0.85 * aperture


def test_pressed_lips_roll_inwards_and_stay_shut(person: Person) -> None:
    lips = person.body.anatomy.lip_topology
    depths = []
    for press in (0.0, 1.0):
        person.pose(weights_of(controls(closure=1), press), LipContact(closure=1.0))
        assert person.mouth_state()[1] == pytest.approx(0, abs=1e-4)
        depths.append(person.posed[lips.upper[len(lips.upper) // 2], 2])
    assert depths[1] < depths[0] - 0.02


@pytest.mark.parametrize("jaw", [0.0, 0.15, 0.35])
@pytest.mark.parametrize("rounding", [0.0, 1.0])
def test_closed_lips_touch_from_corner_to_corner_whatever_the_face_does(
    person: Person, jaw: float, rounding: float
) -> None:
    row = controls(jawOpen=jaw, mouthPucker=rounding, mouthSmile=0.3, closure=1)
    person.pose(weights_of(row), LipContact(closure=1.0))
    for share in (0.0, 0.4, 0.8):
        assert abs(gap_at(person, share)) < 0.008, "decimetres"


def test_lips_never_pass_through_each_other(person: Person) -> None:
    person.pose({"mouthRollUpper": 1.0, "mouthRollLower": 1.0, "mouthShrugLower": 1.0})
    for share in (0.0, 0.4, 0.8):
        assert gap_at(person, share) > -0.005, "decimetres"


def test_on_f_the_lower_lip_meets_the_upper_teeth(person: Person) -> None:
    weights = weights_of(controls(jawOpen=0.04, mouthStretch=0.1, mouthUpperUp=0.2, lipTuck=1))
    anatomy = person.body.anatomy
    person.pose(weights)
    apart = abs(float(person.posed[anatomy.lower_inner, 1] - person.tooth_edge[1]))
    person.pose(weights, LipContact(tuck=1.0))
    lip = person.posed[anatomy.lower_inner]
    assert abs(float(lip[1] - person.tooth_edge[1])) < 0.01 < apart
    assert lip[2] > person.tooth_edge[2] - 0.05, "before the teeth or under them"
    assert person.mouth_state()[1] > 0.01, "the upper lip stays up"


def track(row: np.ndarray, change: np.ndarray | None = None) -> MouthTrack:
    held = MouthTrack.of_controls(row[None], 0.3)
    return held if change is None else replace(held, change=units_of(change[None], 0.0))


def no_motion(frames: int) -> Motion:
    zero = np.zeros((frames, 3), np.float32)
    return Motion(zero, zero, zero[:, :2], {}, zero[:, :2])


def corner_shift(person: Person, mouth: MouthTrack) -> np.ndarray:
    """How far the two corners of the mouth move outwards: (2,), at x < 0 and at x > 0."""
    result = expression_at(mouth, no_motion(1), 0, person.side_lead)
    person.pose(result.weights, result.contact)
    ends = person.body.anatomy.lip_topology.upper[[0, -1]]
    return (person.posed[ends, 0] - person.base[ends, 0]) * (-1, 1)


def test_the_leading_side_of_the_mouth_moves_first(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    spreading = track(controls(mouthStretch=0.5), controls(mouthStretch=6.0))
    differences = []
    for lag in (-0.03, 0.0, 0.03):
        monkeypatch.setattr(person, "side_lead", lag)
        left, right = corner_shift(person, spreading)
        differences.append(right - left)
    assert differences[0] < differences[1] < differences[2]
    assert differences[2] - differences[0] > 0.01, "decimetres"
    constant = replace(spreading, change=np.zeros_like(spreading.change))
    assert np.subtract(*corner_shift(person, constant)[::-1]) == pytest.approx(differences[1], abs=1e-6), (
        "the sides differ in time only"
    )


def test_a_closure_seals_the_lips_on_both_sides(person: Person) -> None:
    moving = track(controls(jawOpen=0.1, closure=1), controls(mouthLowerDown=8.0, mouthStretch=5))
    result = expression_at(moving, no_motion(1), 0, person.side_lead)
    person.pose(result.weights, result.contact)
    assert result.weights["mouthRollLower"] > 0.1
    assert person.mouth_state()[1] < 1e-4
    assert abs(gap_at(person, 0.6)) < 0.012


def test_a_resting_mouth_has_no_contact_and_no_weights() -> None:
    moving = track(controls(jawOpen=0.2, lipTuck=1), controls(mouthLowerDown=8.0))
    result = expression_at(moving.at_rest(), no_motion(1), 0, 0.02)
    assert result.contact == NO_CONTACT
    assert not any(result.weights.values())


def test_lips_stick_after_a_closure_and_then_let_go() -> None:
    curves = np.zeros((CURVE_RATE, 11), np.float32)
    curves[100:, CONTROLS.index("jawOpen")] = np.linspace(0, 0.24, 100)
    slow, fast = lip_sticking(curves, 0.10), lip_sticking(curves, 0.03)
    assert (slow[:100] == 1).all()
    assert (np.diff(slow[100:]) <= 1e-6).all()
    later = 100 + round(0.1 * CURVE_RATE)
    assert 0.3 < slow[later] < 0.8
    assert fast[later] < 0.5 * slow[later]
    assert slow[-1] < 0.05


def test_lips_without_rendering_open_as_far_as_those_of_people(person: Person) -> None:
    rng = np.random.default_rng(2)
    rows = np.stack([controls(**dict(zip(CONTROLS, rng.uniform(0, 0.4, 10), strict=True))) for _ in range(40)])
    measured = []
    for row in rows:
        person.pose(weights_of(row), LipContact(tuck=float(row[CONTROLS.index("lipTuck")])))
        measured.append(person.mouth_state()[1])
    assert np.corrcoef(lip_gap(lips_of_controls(rows, 0.3)), measured)[0, 1] > 0.95
