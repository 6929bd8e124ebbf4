"""Mouths do what phonemes ask: closed on p b m, wide open on a, round on u, at rest in silence."""

import numpy as np
import pytest

from dithead.synth.face.visemes import (
    _A,
    _LIKE,
    CONTROLS,
    RATE,
    Style,
    face_weights,
    mouth_curves,
    sample_style,
    segments,
)
from dithead.synth.voice.utterance import Phoneme

OPENING = [CONTROLS.index(name) for name in ("jaw", "wide", "part", "protrude", "tuck")]


def spoken(*symbols: str, each: float = 0.12, lead: float = 0.3) -> tuple[list[Phoneme], float]:
    """The symbols one after another between pauses, and the whole duration."""
    times = lead + each * np.arange(len(symbols) + 1)
    sounds = [Phoneme(s, times[i], times[i + 1]) for i, s in enumerate(symbols)]
    end = float(times[-1])
    return [Phoneme("", 0.0, lead), *sounds, Phoneme("", end, end + lead)], end + lead


def at(curves: np.ndarray, seconds: float) -> np.ndarray:
    return curves[round(seconds * RATE)]


@pytest.mark.parametrize("closed", list("pbm"))
@pytest.mark.parametrize("vowel", list("aiu"))
def test_lips_close_exactly_between_any_vowels(closed: str, vowel: str) -> None:
    curves = mouth_curves(*spoken(vowel, closed, vowel), Style())
    middle = at(curves, 0.3 + 1.5 * 0.12)
    assert middle[-1] == 1
    np.testing.assert_allclose(middle[OPENING], 0, atol=1e-7)
    assert at(curves, 0.3 + 0.5 * 0.12)[-1] < 0.5


def test_a_closure_lasts_at_least_one_frame_of_25_fps() -> None:
    curves = mouth_curves(*spoken("a", "p", "a", each=0.05), Style())
    assert (curves[:, -1] == 1).sum() / RATE >= 0.04


def test_vowels_differ_as_phonetics_says() -> None:
    def jaw_and_rounding(vowel: str) -> tuple[float, float]:
        middle = at(mouth_curves(*spoken("t", vowel, "t", each=0.2), Style()), 0.3 + 0.3)
        return float(middle[CONTROLS.index("jaw")]), float(middle[CONTROLS.index("round")])

    jaw, rounding = zip(*(jaw_and_rounding(v) for v in "aeiu"), strict=True)
    assert jaw[0] > jaw[1] > jaw[2]
    assert rounding[3] > 0.5 > 0.1 > max(rounding[:3])


def test_rounding_begins_before_the_vowel() -> None:
    rounded = mouth_curves(*spoken("s", "u", each=0.15), Style())
    spread = mouth_curves(*spoken("s", "i", each=0.15), Style())
    late_s = 0.3 + 0.12
    which = CONTROLS.index("round")
    assert at(rounded, late_s)[which] > at(spread, late_s)[which] + 0.15


def test_silence_is_rest() -> None:
    curves = mouth_curves([Phoneme("", 0, 1.0)], 1.0, Style())
    np.testing.assert_allclose(curves, 0, atol=1e-6)


def test_teeth_meet_the_lip_on_f_and_the_tongue_rises_on_l() -> None:
    f = at(mouth_curves(*spoken("a", "f", "a"), Style()), 0.3 + 0.18)
    lateral = at(mouth_curves(*spoken("a", "l", "a"), Style()), 0.3 + 0.18)
    assert f[CONTROLS.index("tuck")] > 0.4 > 0.1 > lateral[CONTROLS.index("tuck")]
    assert lateral[CONTROLS.index("tongue")] > 0.4


def test_diphthongs_split_and_marks_vanish() -> None:
    spelt = [("aɪ", 0.0, 0.2), ("iː", 0.2, 0.3), ("(en)", 0.3, 0.31), ("ʎ", 0.31, 0.4)]
    parts = segments([Phoneme(*sound) for sound in spelt])
    assert [p.symbol for p in parts] == ["a", "ɪ", "i", "", "l"]
    assert parts[0].end == pytest.approx(0.1)


def test_tables_are_whole() -> None:
    assert all(len(target) == len(CONTROLS) and min(target) >= 0 and max(target) <= 1 for target in _A.values())
    assert set(_LIKE.values()) <= set(_A)


def test_speakers_differ_but_repeat() -> None:
    first, again, other = (sample_style(np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again != other


def test_a_closed_mouth_asks_for_no_opening_key() -> None:
    weights = face_weights(np.array([0, 0, 0, 0, 0, 0, 0, 1], np.float32), press=0.5)
    assert weights["mouth-open"] == weights["mouth-part-later"] == weights["mouth-parling"] == 0
    assert weights["mouth-compression"] > 0
