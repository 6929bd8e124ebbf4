"""The audio encoder predicts lips: a loud noise that opens the mouth is enough to see it learn."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dithead.checkpoint import build_model, read_config, save_model
from dithead.config import AudioTraining, get_preset
from dithead.errors import ConfigError, DataError, ModelError
from dithead.face.mesh_indices import (
    INNER_LIP_BOTTOM,
    INNER_LIP_TOP,
    LEFT_EYE_OUTER,
    LIP_INDICES,
    MOUTH_LEFT,
    RIGHT_EYE_OUTER,
)
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.models.audio.mel import FLOOR
from dithead.models.audio.mel_encoder import MelEncoder, MelEncoderConfig
from dithead.train.data.clips import DataSource
from dithead.train.data.lip_basis import COEFFICIENTS, LipBasis, lip_shapes
from dithead.train.data.speech_dataset import MOUTH, SpeechDataset, SpeechTrack, cut_mel
from dithead.train.stages.assemble_model import load_audio
from dithead.train.stages.audio_encoder import start_lip_predictor, train_audio
from dithead.train.stages.options import AudioOptions

TINY = get_preset("tiny")
LIP_PREDICTOR = {"lip_predictor_hidden": 40, "lip_predictor_heads": 2, "lip_predictor_layers": 2}


def encoder() -> MelEncoder:
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
        mouth = np.zeros((len(jaw), MOUTH), np.float16)
        mouth[:, 0] = jaw
        lips = np.zeros((len(jaw), len(LIP_INDICES), 2), np.float16)
        lips[:, LIP_INDICES.index(INNER_LIP_BOTTOM), 1] = 0.15 * jaw
        np.savez(folder / f"voice_{index}.npz", wave=wave.astype(np.int16), mouth=mouth, lips=lips, voice="noise")
    return folder


def test_training_learns_the_mouth_and_resumes(dataset: Path, voices: Path, tmp_path: Path) -> None:
    settings = TINY.audio.model_copy(update={"steps": 81, "batch": 32, "learning_rate": 3e-3, "voice_share": 0.8})
    preset = TINY.model_copy(update={"audio": settings})
    run = train_audio([str(dataset)], preset, tmp_path / "audio", AudioOptions(voices=voices, device="cpu"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    mouth = [line["mouth"] for line in lines if "mouth" in line]
    assert mouth[-1] < 0.6 * mouth[0]
    assert "held_out_r" in lines[-1]
    first, second = MelEncoder(preset.model.audio), MelEncoder(preset.model.audio)
    basis = load_audio(run, first)
    load_audio(
        train_audio([str(dataset)], preset, tmp_path / "audio", AudioOptions(voices=voices, device="cpu")), second
    )
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert basis.gain.shape == (COEFFICIENTS,)


@pytest.fixture
def model_with_tokens(tmp_path: Path) -> Path:
    """A tiny model with Whisper layers and without a lip predictor."""
    small = {"window": 32, "tokens": 12, "width": 16, "hidden": 24, "heads": 2, "layers": 1}
    config = TINY.model.model_copy(update={"audio": ContextEncoderConfig(**small), "opening_unit": 0.04})
    return save_model(tmp_path / "model", build_model(config), version="0")


def test_the_lip_predictor_is_trained_while_the_tokens_of_a_model_stay(
    dataset: Path, model_with_tokens: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(read_config(model_with_tokens).audio, past=64, **LIP_PREDICTOR)
    settings = TINY.audio.model_copy(update={"steps": 30, "batch": 8, "learning_rate": 3e-3})
    preset = TINY.model_copy(update={"audio": settings, "model": TINY.model.model_copy(update={"audio": config})})
    run = train_audio(
        [str(dataset)], preset, tmp_path / "run", AudioOptions(device="cpu", tokens_of=str(model_with_tokens))
    )
    before, after = load_file(model_with_tokens / "audio.safetensors"), load_file(run / "audio.safetensors")
    assert all(torch.equal(value.float(), after[name]) for name, value in before.items())
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {"lip_predictor"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["lip_predictor"] for line in lines if "lip_predictor" in line]
    assert losses[-1] < losses[0]
    assert LipBasis.load(run / "lips.npz").scale[-1] == pytest.approx(0.04)


def test_a_closure_head_is_trained_beside_the_lips(dataset: Path, model_with_tokens: Path, tmp_path: Path) -> None:
    config = read_config(model_with_tokens).audio
    audio = dataclasses.replace(config, past=64, closure_hidden=8, lip_readers=2, **LIP_PREDICTOR)
    settings = TINY.audio.model_copy(update={"steps": 30, "batch": 8, "learning_rate": 3e-3})
    preset = TINY.model_copy(update={"audio": settings, "model": TINY.model.model_copy(update={"audio": audio})})
    options = AudioOptions(device="cpu", tokens_of=str(model_with_tokens))
    run = train_audio([str(dataset)], preset, tmp_path / "run", options)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["closures"] for line in lines if "closures" in line]
    assert losses[-1] < 0.9 * losses[0]
    learned = load_file(run / "audio.safetensors")
    for name in ("norms.0.weight", "more_readers.0.norms.0.weight"):
        assert (learned[f"lip_predictor.{name}"] != 1).any(), "each reader learns: a fresh norm's weights are 1"


def test_the_lip_predictor_of_a_model_is_where_another_starts(dataset: Path, tmp_path: Path) -> None:
    config = ContextEncoderConfig(
        window=32, tokens=12, width=16, hidden=24, heads=2, layers=1, past=64, **LIP_PREDICTOR
    )
    model = TINY.model.model_copy(update={"audio": config, "opening_unit": 0.04})
    folder = save_model(tmp_path / "model", build_model(model), version="0")
    encoder, wanted = config.load(), load_file(folder / "audio.safetensors")
    slow = start_lip_predictor(encoder, str(folder))
    taken = {name for name, value in encoder.state_dict().items() if torch.equal(value, wanted[name].float())}
    assert {name for name in wanted if name.startswith("lip_predictor.")} <= taken
    assert len(taken) < len(wanted)
    assert slow


def test_keeping_the_tokens_of_a_model_needs_a_lip_predictor(
    dataset: Path, model_with_tokens: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="model.audio.past"):
        train_audio(
            [str(dataset)], TINY, tmp_path / "run", AudioOptions(device="cpu", tokens_of=str(model_with_tokens))
        )


def test_what_the_lip_predictor_is_trained_on_lies_within_the_clip_and_far_from_the_ends(dataset: Path) -> None:
    config = ContextEncoderConfig(
        window=32, tokens=12, width=16, hidden=24, heads=2, layers=1, past=64, **LIP_PREDICTOR
    )
    encoder = ContextEncoder(config)
    assert encoder.lip_predictor is not None
    batch = SpeechDataset([DataSource(dataset)], None, AudioTraining(batch=6, tempo=0.0), encoder).batch(0, 0)
    assert batch["mel"].shape == (6, 96, 240)
    assert batch["stretch"].shape == (6, 48 - 2 * encoder.lip_predictor.margin, COEFFICIENTS)
    inside = batch["inside"].bool()
    assert not inside[:, :16].any()
    assert not inside[:, -4:].any()  # of 8 tokens after the moment 4 are beyond what is predicted
    assert inside.any()


def test_batches_depend_on_seed_and_step_alone(dataset: Path, voices: Path) -> None:
    banks = [SpeechDataset([DataSource(dataset)], voices, AudioTraining(batch=6), encoder()) for _ in range(2)]
    first, second, other = banks[0].batch(3, 1), banks[1].batch(3, 1), banks[0].batch(4, 1)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["mel"], other["mel"])
    assert first["mel"].shape == (6, 16, 80)
    assert first["lips"].shape == (6, 8, COEFFICIENTS)


def test_a_folder_without_voices_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dithead voices"):
        SpeechDataset([DataSource(dataset)], tmp_path, AudioTraining(), encoder())


def test_a_missing_basis_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train audio"):
        LipBasis.load(tmp_path / "lips.npz")


def test_rows_between_rows_are_interpolated_and_silence_lies_beyond() -> None:
    mel = np.arange(10, dtype=np.float16)[:, None].repeat(80, 1)
    cut = cut_mel(mel, np.array([-1.0, 2.5, 9.5]))
    np.testing.assert_allclose(cut[:, 0], [FLOOR, 2.5, FLOOR])
    track = SpeechTrack(mel, mel[:3, :2].astype(np.float32), None, 4)
    np.testing.assert_allclose(track.at(track.lips, np.array([0.0, 2.0, 400.0]))[:, 0], [0, 0.5, 2])


def test_calibration_restores_the_spread_of_what_can_be_predicted() -> None:
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((4000, COEFFICIENTS)) + 3
    predicted = 0.6 * (truth - 3) + 0.3 * rng.standard_normal(truth.shape)
    predicted[:, 0] = 0.1 * rng.standard_normal(len(truth))  # not predicted at all
    plain = LipBasis(np.zeros((80, 8), np.float32), np.ones(COEFFICIENTS, np.float32))
    basis = plain.calibrated_to(truth, predicted)
    fixed = predicted * basis.gain + basis.shift
    np.testing.assert_allclose(fixed.mean(0), truth.mean(0), atol=1e-4)
    np.testing.assert_allclose(fixed[:, 1:].std(0), truth[:, 1:].std(0), rtol=0.02)
    assert basis.gain[0] == 1


def test_the_width_of_the_lips_is_a_sum_of_the_coefficients() -> None:
    rng = np.random.default_rng(0)
    rest = rng.uniform(0, 100, (478, 2)).astype(np.float32)
    rest[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER]] = [100, 0], [0, 0]
    spread, opening = rng.normal(0, 3, 60), np.abs(rng.normal(8, 3, 60))
    faces = np.repeat(rest[None], 60, axis=0)
    faces[:, MOUTH_LEFT, 0] += spread
    faces[:, INNER_LIP_BOTTOM] = faces[:, INNER_LIP_TOP] + np.stack([np.zeros(60), opening], axis=1)
    shapes = lip_shapes(faces)
    basis = LipBasis.fit([shapes])
    widths = basis.coefficients(shapes) @ basis.width_units
    assert widths - widths.mean() == pytest.approx((spread - spread.mean()) / 100, abs=1e-3)
