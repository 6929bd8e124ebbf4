"""Calibration: from the source's own sound, where it has any, and the training average where it has none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dithead.inference.analyse.tracklet import LipCalibration
from dithead.inference.synthesise.lip_calibration import (
    STILL_MOUTH,
    calibrate,
    calibrate_tracklets,
    motion_gain,
    predict_lips,
    width_gain,
    widths_of,
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
    assert found.width_spread == pytest.approx(0.02 * 0.9, abs=0.002)
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
    tracklet = SimpleNamespace(calibration=None)
    calibrate_tracklets(SimpleNamespace(tracklets=[tracklet]), talker, clip, tmp_path / "own.mel")
    assert tracklet.calibration is None


def test_three_predictions_close_together_make_one_and_the_tokens_are_of_the_middle() -> None:
    times = np.linspace(1, 8, 20)
    tokens, lips = predict_lips(Talker(), Sound(0.9), times)
    each = [predicted_once(Sound(0.9), times + apart) for apart in (-0.015, 0.0, 0.015)]
    assert torch.equal(tokens, each[1])
    torch.testing.assert_close(lips[:, :1], sum(each) / 3)


def predicted_once(sound: Sound, times: np.ndarray) -> torch.Tensor:
    return Talker().tokens_and_lips(*sound.around(times))[0]
