"""Calibration: from the source's own sound, where it has any, and the training average where it has none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dithead.inference.analyse.tracklet import LEVELS, LipCalibration
from dithead.inference.synthesise.lip_calibration import calibrate, calibrate_tracklets, predict_lips, source_speech
from dithead.inference.synthesise.personal_lips import (
    STILL_MOUTH,
    motion_gain,
    personal_openings,
    personal_widths,
    width_gain,
    widths_of,
    with_closures,
)
from dithead.models.audio.mel_encoder import MelEncoder, MelEncoderConfig

AVERAGE = LipCalibration(np.zeros(9, np.float32), 0.7, 0.04)
UNIT = 0.05
WIDTH_UNITS = (0.0, -0.02, *[0.0] * 7)


def test_the_spread_of_the_source_over_that_of_the_prediction() -> None:
    assert motion_gain(AVERAGE, 0.049, UNIT) == pytest.approx(1.4)
    assert motion_gain(AVERAGE, 0.028, UNIT) == pytest.approx(0.8)


def test_a_still_source_and_a_model_without_a_spread_leave_the_prediction() -> None:
    assert motion_gain(AVERAGE, STILL_MOUTH / 2, UNIT) == 1
    assert motion_gain(AVERAGE, 0.07, 0.0) == 1
    assert motion_gain(AVERAGE._replace(spread=0.0), 0.07, UNIT) == 1


def test_the_width_has_a_gain_of_its_own_within_bounds() -> None:
    assert width_gain(AVERAGE, 0.06) == pytest.approx(1.5)
    assert (width_gain(AVERAGE, 1.0), width_gain(AVERAGE, 0.0)) == (2.5, 0.4)
    assert width_gain(AVERAGE._replace(width_spread=0.0), 0.06) == 1, "a model that does not predict it"


def test_coefficients_are_added_up_to_a_width_and_to_none_where_the_model_does_not_say() -> None:
    lips = np.eye(9, dtype=np.float32)[:3]
    assert widths_of(lips, WIDTH_UNITS) == pytest.approx([0, -0.02, 0])
    assert widths_of(lips, ()) == pytest.approx([0, 0, 0])


def test_a_person_widens_the_lips_as_the_source_shows_and_the_prediction_adds_what_the_opening_does_not_tell() -> None:
    calibration = AVERAGE._replace(width_spread=0.02, width_slope=0.01)
    stored = SimpleNamespace(mean_opening=0.05, mean_width=0.6, opened=False)
    wide = SimpleNamespace(references=stored, width_spread=0.03, width_slope=0.4)
    lips = np.zeros((3, 9), np.float32)
    lips[1, -1] = lips[2, -1] = 2.0
    lips[2, 1] = -1.0
    openings = np.array([0.05, 0.15, 0.15])
    found = personal_widths(lips, openings, calibration, wide, WIDTH_UNITS)
    gain = 0.85 * 0.03 / 0.02
    assert found == pytest.approx([0.6, 0.64 - gain * 0.02, 0.64 + gain * (0.02 - 0.02)])
    stored.opened = True
    found = personal_widths(lips, openings, calibration, wide, WIDTH_UNITS)
    assert found == pytest.approx([0.6, 0.62, 0.64]), "of a mouth made by geometry the spread is not known"


def person(openings: np.ndarray) -> SimpleNamespace:
    """Somebody whose lips were seen with these openings."""
    return SimpleNamespace(
        opening_spread=float(openings.std()),
        opening_levels=np.quantile(openings, LEVELS),
        references=SimpleNamespace(mean_opening=float(openings.mean()), opened=False),
    )


def test_lips_close_as_often_as_the_person_closes_them_though_predictions_hardly_do() -> None:
    rng = np.random.default_rng(0)
    seen = np.maximum(rng.normal(0.06, 0.05, 4000), 0.004)  # shut in an eighth of the moments
    predicted = rng.normal(0.3, 0.4, 4000).astype(np.float32)
    levels = np.quantile(predicted, LEVELS).astype(np.float32)
    linear = AVERAGE._replace(mean=np.full(9, 0.3, np.float32), spread=0.4)
    slope = float(seen.std()) / 0.4
    plain = personal_openings(predicted, linear, person(seen), slope)
    assert plain.mean() == pytest.approx(seen.mean(), abs=0.002)
    assert plain.std() == pytest.approx(seen.std(), rel=0.02)
    matched = personal_openings(predicted, linear._replace(levels=levels, share=1.0), person(seen), slope)
    assert np.quantile(matched, LEVELS) == pytest.approx(np.quantile(seen, LEVELS), abs=0.003)
    half = personal_openings(predicted, linear._replace(levels=levels, share=0.5), person(seen), slope)
    assert np.abs(half - plain).max() < np.abs(matched - plain).max()
    order = np.argsort(predicted)
    assert (np.diff(matched[order]) >= 0).all()


def test_nearly_closed_lips_close_and_open_ones_stay() -> None:
    openings = np.array([-0.01, 0.0, 0.014, 0.03, 0.0449, 0.045, 0.2])
    closed = with_closures(openings)
    assert closed[:3].tolist() == [0, 0, 0]
    assert closed[3] == pytest.approx(0.0225)
    assert closed[4:] == pytest.approx(openings[4:], abs=1e-3), "without a step"
    assert (np.diff(closed[2:]) > 0).all()


def test_a_still_source_is_not_matched_and_one_moment_gives_the_bits_of_many() -> None:
    predicted = np.linspace(-1, 1, 33, dtype=np.float32)
    levels = AVERAGE._replace(levels=np.linspace(-0.8, 0.8, 5, dtype=np.float32), share=0.8)
    still = person(np.linspace(0.01, 0.02, 64))
    assert np.ptp(personal_openings(predicted, levels, still, UNIT)) == pytest.approx(2 * UNIT)
    moving = person(np.linspace(0.0, 0.3, 64) ** 1.5)
    at_once = personal_openings(predicted, levels, moving, UNIT)
    one_by_one = [personal_openings(predicted[k : k + 1], levels, moving, UNIT)[0] for k in range(33)]
    assert at_once.tolist() == one_by_one
    lips = np.random.default_rng(1).normal(size=(33, 9)).astype(np.float32)
    widths = widths_of(lips, tuple(np.linspace(-1, 1, 9)))
    assert widths.tolist() == [widths_of(lips[k : k + 1], tuple(np.linspace(-1, 1, 9)))[0] for k in range(33)]


def test_extremes_are_bounded() -> None:
    assert motion_gain(AVERAGE, 5.0, UNIT) == 2.2
    assert motion_gain(AVERAGE, 0.013, UNIT) == 0.5


class Talker:
    """Predicts moving lips for a sine, and resting lips for silence."""

    def __init__(self, unit: float = UNIT) -> None:
        self.config = SimpleNamespace(
            opening=0.035, opening_unit=unit, width_units=WIDTH_UNITS, dit=SimpleNamespace(lip_targets=9)
        )
        self.dit = SimpleNamespace(lip_centre=torch.full((9,), 0.4))
        self.audio = SimpleNamespace(past=0)

    def tokens_and_lips(self, features: torch.Tensor, times: torch.Tensor, predicted=None) -> tuple[torch.Tensor, ...]:
        tokens = features[(times * 100).long()]
        return tokens, tokens.repeat(1, 9)


class Sound:
    def __init__(self, spread: float) -> None:
        t = torch.arange(1000) / 100
        self.rows = 2.0 + spread * 2**0.5 * torch.sin(2 * torch.pi * 3.3 * t)[:, None]

    def around(self, times: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return self.rows, torch.from_numpy(times)

    def lips_at(self, times: np.ndarray) -> None:
        return None


def test_mean_and_spread_of_the_predictions_and_little_footage_changes_little() -> None:
    moments = np.random.default_rng(0).uniform(0, 9.9, 640)
    found = calibrate(Talker(), Sound(0.9), moments)
    assert found.mean == pytest.approx(np.full(9, 2.0), abs=0.1)
    assert found.spread == pytest.approx(0.9, abs=0.05)
    assert found.width_slope == pytest.approx(-0.02, abs=0.002), "all coefficients of this sound rise and fall together"
    assert found.width_spread == pytest.approx(0.0, abs=0.002), "so the opening tells all of the width"
    assert found.levels == pytest.approx(2 + 0.9 * 2**0.5 * np.sin(np.pi * (np.array(LEVELS) - 0.5)), abs=0.15)
    assert found.share == pytest.approx(640 / 656)
    few = calibrate(Talker(), Sound(0.9), moments[:16])
    assert few.mean[0] == pytest.approx(
        (calibrate(Talker(), Sound(0.9), np.tile(moments[:16], 99)).mean[0] + 0.4) / 2, abs=0.05
    )


def test_a_silent_source_gives_no_calibration() -> None:
    moments = np.linspace(0, 9, 50)
    assert calibrate(Talker(), Sound(0.01), moments) is None
    assert calibrate(Talker(unit=0.0), Sound(0.9), moments) is None
    assert calibrate(Talker(), Sound(0.9), np.zeros(0)) is None


def test_a_sound_that_cannot_be_read_is_no_sound(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    talker = SimpleNamespace(audio=MelEncoder(MelEncoderConfig(window=16, width=16, layers=1)))
    clip = SimpleNamespace(path=broken, info=SimpleNamespace(has_audio=True), start=0.0)
    tracklet, speech = SimpleNamespace(calibration=None), source_speech(talker, clip, tmp_path / "own.mel")
    calibrate_tracklets(SimpleNamespace(tracklets=[tracklet]), talker, clip, speech)
    assert tracklet.calibration is None


def test_three_predictions_close_together_make_one_and_the_tokens_are_of_the_middle() -> None:
    times = np.linspace(1, 8, 20)
    tokens, lips = predict_lips(Talker(), Sound(0.9), times)
    each = [predicted_once(Sound(0.9), times + apart) for apart in (-0.015, 0.0, 0.015)]
    assert torch.equal(tokens, each[1])
    torch.testing.assert_close(lips[:, :1], sum(each) / 3)


def predicted_once(sound: Sound, times: np.ndarray) -> torch.Tensor:
    return Talker().tokens_and_lips(*sound.around(times))[0]
