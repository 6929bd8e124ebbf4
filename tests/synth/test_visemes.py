"""Mouths follow phonemes: closed on p, b and m, wide open on a, rounded on u, at rest in silence."""

import numpy as np
import pytest

from dithead.face.mesh_indices import LIP_INDICES, MOUTH_LEFT, MOUTH_RIGHT
from dithead.synth.face.units import CONTROLS, LEADING, UNITS, unit_number, units_of
from dithead.synth.face.visemes import (
    _ALIASES,
    _TARGETS,
    CURVE_RATE,
    SpeakingStyle,
    mouth_curves,
    sample_style,
    split_phonemes,
)
from dithead.synth.person.spoken_lips import lip_gap, lips_of_controls
from dithead.synth.voice.utterance import Phoneme

JAW, PUCKER = CONTROLS.index("jawOpen"), CONTROLS.index("mouthPucker")


def between_pauses(*symbols: str, each: float = 0.12, lead: float = 0.3) -> tuple[list[Phoneme], float]:
    """The phonemes of the symbols one after another between two pauses, and the duration of all."""
    times = lead + each * np.arange(len(symbols) + 1)
    sounds = [Phoneme(s, times[i], times[i + 1]) for i, s in enumerate(symbols)]
    end = float(times[-1])
    return [Phoneme("", 0.0, lead), *sounds, Phoneme("", end, end + lead)], end + lead


def at(curves: np.ndarray, seconds: float) -> np.ndarray:
    return curves[round(seconds * CURVE_RATE)]


@pytest.mark.parametrize("closed", list("pbm"))
@pytest.mark.parametrize("vowel", list("aiu"))
def test_lips_close_exactly_between_any_vowels(closed: str, vowel: str) -> None:
    curves = mouth_curves(*between_pauses(vowel, closed, vowel), SpeakingStyle())
    middle = at(curves, 0.3 + 1.5 * 0.12)
    assert middle[-1] == 1
    assert lip_gap(lips_of_controls(middle[None], 0.35))[0] < 0.006, "of the eyes' distance: what shut lips measure"
    assert at(curves, 0.3 + 0.5 * 0.12)[-1] < 0.5


def test_a_closure_lasts_at_least_one_frame_of_25_fps() -> None:
    curves = mouth_curves(*between_pauses("a", "p", "a", each=0.05), SpeakingStyle())
    assert (curves[:, -1] == 1).sum() / CURVE_RATE >= 0.04


def test_vowels_differ_as_phonetics_says() -> None:
    def jaw_and_rounding(vowel: str) -> tuple[float, float]:
        middle = at(mouth_curves(*between_pauses("t", vowel, "t", each=0.2), SpeakingStyle()), 0.3 + 0.3)
        return float(middle[JAW]), float(middle[PUCKER])

    jaw, rounding = zip(*(jaw_and_rounding(v) for v in "aeiu"), strict=True)
    assert jaw[0] > jaw[1] > jaw[2]
    assert rounding[3] > 0.5 > 0.1 > max(rounding[:3])


def test_rounding_begins_before_the_vowel() -> None:
    rounded = mouth_curves(*between_pauses("s", "u", each=0.15), SpeakingStyle())
    spread = mouth_curves(*between_pauses("s", "i", each=0.15), SpeakingStyle())
    late_s = 0.3 + 0.12
    which = PUCKER
    assert at(rounded, late_s)[which] > at(spread, late_s)[which] + 0.15


def test_the_mouth_rests_in_silence() -> None:
    curves = mouth_curves([Phoneme("", 0, 1.0)], 1.0, SpeakingStyle())
    np.testing.assert_allclose(curves, 0, atol=1e-6)


def width(lips: np.ndarray) -> np.ndarray:
    left, right = (LIP_INDICES.index(corner) for corner in (MOUTH_LEFT, MOUTH_RIGHT))
    return np.asarray(np.linalg.norm(lips[:, left] - lips[:, right], axis=1))


def test_oo_is_small_and_round_ee_is_wide_and_ah_is_open() -> None:
    rest, oo, ee, ah = np.zeros(11, np.float32), *(np.array([*_TARGETS[s], 0], np.float32) for s in "uia")
    lips = lips_of_controls(np.stack([rest, oo, ee, ah]), 0.35)
    gap, wide = lip_gap(lips), width(lips)
    assert wide[1] < 0.85 * wide[0] < wide[0] < wide[2]
    assert gap[3] > 1.5 * gap[1] > gap[2] > 0.04 > gap[0]


def test_every_control_moves_the_units_of_both_sides_alike() -> None:
    units = units_of(np.eye(11, dtype=np.float32)[:10], 0.0)
    assert units.shape == (10, 52)
    named = dict(zip(UNITS, units.T, strict=True))
    for unit in UNITS:
        if LEADING[unit_number(unit)] > 0:
            np.testing.assert_array_equal(named[unit], named[f"{unit[:-4]}Right"])
    moved = units.any(axis=1)
    assert moved[[CONTROLS.index(n) for n in CONTROLS if n != "tongueTip"]].all()
    assert LEADING.sum() == 0
    assert (LEADING != 0).sum() == 36


def test_closed_lips_keep_the_jaw_and_press() -> None:
    wide_open = np.array([*_TARGETS["a"], 1.0], np.float32)
    soft, firm = (dict(zip(UNITS, units_of(wide_open, press).tolist(), strict=True)) for press in (0.0, 1.0))
    assert soft["mouthClose"] == soft["jawOpen"] > 0
    assert soft["mouthLowerDownLeft"] == soft["mouthUpperUpRight"] == 0
    assert firm["mouthRollLower"] > 2 * soft["mouthRollLower"] > 0


def test_teeth_meet_the_lip_on_f_and_the_tongue_rises_on_l() -> None:
    f = at(mouth_curves(*between_pauses("a", "f", "a"), SpeakingStyle()), 0.3 + 0.18)
    lateral = at(mouth_curves(*between_pauses("a", "l", "a"), SpeakingStyle()), 0.3 + 0.18)
    assert f[CONTROLS.index("lipTuck")] > 0.4 > 0.1 > lateral[CONTROLS.index("lipTuck")]
    assert lateral[CONTROLS.index("tongueTip")] > 0.4


def test_diphthongs_are_split_and_marks_dropped() -> None:
    phonemes = [("aɪ", 0.0, 0.2), ("iː", 0.2, 0.3), ("(en)", 0.3, 0.31), ("ʎ", 0.31, 0.4)]
    parts = split_phonemes([Phoneme(*sound) for sound in phonemes])
    assert [p.symbol for p in parts] == ["a", "ɪ", "i", "", "l"]
    assert parts[0].end == pytest.approx(0.1)


def test_the_tables_of_targets_are_complete() -> None:
    assert all(len(target) == len(CONTROLS) and min(target) >= 0 and max(target) <= 1.2 for target in _TARGETS.values())
    assert set(_ALIASES.values()) <= set(_TARGETS)


def test_speakers_differ_but_repeat() -> None:
    first, again, other = (sample_style(np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again != other
