"""The audio encoder hears lips: a loud noise that opens the mouth is enough to see it learn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.config import AudioTraining, get_preset
from dithead.errors import DataError, ModelError
from dithead.models.audio import MelEncoder, MelEncoderConfig
from dithead.models.mel import FLOOR
from dithead.train.audio import train_audio
from dithead.train.audio_bank import AudioBank, Heard, cut_mel
from dithead.train.data import Source
from dithead.train.lipshape import COEFFICIENTS, LipBasis
from dithead.train.parts import load_audio

TINY = get_preset("tiny")


def listener() -> MelEncoder:
    assert isinstance(TINY.model.audio, MelEncoderConfig)
    return MelEncoder(TINY.model.audio)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise whose loudness is the jaw's opening."""
    folder = tmp_path_factory.mktemp("voices")
    rng = np.random.default_rng(0)
    for index in range(3):
        jaw = np.repeat(rng.uniform(0, 1, 30), 10).astype(np.float32)
        wave = rng.standard_normal(len(jaw) * 160) * np.repeat(jaw, 160) * 6000
        mouth = np.zeros((len(jaw), 8), np.float16)
        mouth[:, 0] = jaw
        np.savez(folder / f"voice_{index}.npz", wave=wave.astype(np.int16), mouth=mouth, gap=0.15 * jaw, voice="noise")
    return folder


def test_training_hears_the_mouth_and_resumes(dataset: Path, voices: Path, tmp_path: Path) -> None:
    settings = TINY.audio.model_copy(update={"steps": 81, "batch": 32, "learning_rate": 3e-3, "voice_share": 0.8})
    preset = TINY.model_copy(update={"audio": settings})
    run = train_audio([str(dataset)], preset, tmp_path / "audio", voices=voices, device="cpu")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    mouth = [line["mouth"] for line in lines if "mouth" in line]
    assert mouth[-1] < 0.6 * mouth[0]
    assert "held_out_r" in lines[-1]
    first, second = MelEncoder(preset.model.audio), MelEncoder(preset.model.audio)
    basis = load_audio(run, first)
    load_audio(train_audio([str(dataset)], preset, tmp_path / "audio", voices=voices, device="cpu"), second)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert basis.gain.shape == (COEFFICIENTS,)


def test_batches_depend_on_seed_and_step_alone(dataset: Path, voices: Path) -> None:
    banks = [AudioBank([Source(dataset)], voices, AudioTraining(batch=6), listener()) for _ in range(2)]
    first, second, other = banks[0].batch(3, 1), banks[1].batch(3, 1), banks[0].batch(4, 1)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["mel"], other["mel"])
    assert first["mel"].shape == (6, 16, 80)
    assert first["lips"].shape == (6, 8, COEFFICIENTS)


def test_a_folder_without_voices_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dithead voices"):
        AudioBank([Source(dataset)], tmp_path, AudioTraining(), listener())


def test_a_missing_basis_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train audio"):
        LipBasis.load(tmp_path / "lips.npz")


def test_rows_between_rows_are_interpolated_and_silence_lies_beyond() -> None:
    mel = np.arange(10, dtype=np.float16)[:, None].repeat(80, 1)
    cut = cut_mel(mel, np.array([-1.0, 2.5, 9.5]))
    np.testing.assert_allclose(cut[:, 0], [FLOOR, 2.5, FLOOR])
    heard = Heard(mel, mel[:3, :2].astype(np.float32), None, 4)
    np.testing.assert_allclose(heard.at(heard.lips, np.array([0.0, 2.0, 400.0]))[:, 0], [0, 0.5, 2])


def test_calibration_restores_the_spread_of_what_can_be_heard() -> None:
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((4000, COEFFICIENTS)) + 3
    guess = 0.6 * (truth - 3) + 0.3 * rng.standard_normal(truth.shape)
    guess[:, 0] = 0.1 * rng.standard_normal(len(truth))  # not heard at all
    plain = LipBasis(np.zeros((80, 8), np.float32), np.ones(COEFFICIENTS, np.float32))
    basis = plain.calibrated_by(truth, guess)
    fixed = guess * basis.gain + basis.shift
    np.testing.assert_allclose(fixed.mean(0), truth.mean(0), atol=1e-4)
    np.testing.assert_allclose(fixed[:, 1:].std(0), truth[:, 1:].std(0), rtol=0.02)
    assert basis.gain[0] == 1
