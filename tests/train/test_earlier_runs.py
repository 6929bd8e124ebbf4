"""Runs begun with earlier versions resume, or say in one line why they cannot."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dithead.config import get_preset
from dithead.errors import ConfigError, DataError
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.train.loop.earlier_runs import upgrade_settings
from dithead.train.loop.run_folder import RunFolder, read_checkpoint
from dithead.train.loop.trainable import Trainable
from dithead.train.stages.audio_encoder import AudioEncoderWithHeads, train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.denoiser import train_dit
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions

SIZES = {"window": 32, "tokens": 12, "width": 16, "hidden": 24, "heads": 2, "layers": 1, "past": 64}
LIP_PREDICTOR = {"hidden": 40, "heads": 2, "layers": 2}
CONFIG = ContextEncoderConfig(**SIZES, **{f"lip_predictor_{name}": size for name, size in LIP_PREDICTOR.items()})


def rewrite(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def old_name(name: str) -> str:
    """The name that a tensor of a training's module had."""
    return name.replace("encoder.whisper.", "encoder.").replace("encoder.lip_predictor.", "encoder.ear.")


def old_model_settings(config: dict[str, Any]) -> None:
    """What ``model`` of a run's configuration held."""
    config["model"]["dit"]["temporal"] = 0
    audio = config["model"]["audio"]
    for name in ("closure_hidden", "lip_readers"):
        audio.pop(name, None)
    for size in LIP_PREDICTOR:
        if f"lip_predictor_{size}" in audio:
            audio[f"ear_{size}"] = audio.pop(f"lip_predictor_{size}")


def test_a_run_of_each_stage_begun_before_resumes(dataset: Path, tmp_path: Path) -> None:
    small = {"steps": 2, "device": "cpu"}
    model = get_preset("tiny").model.model_copy(update={"audio": CONFIG})
    preset = get_preset("tiny").model_copy(update={"model": model})

    def autoencoder() -> Path:
        return train_autoencoder([str(dataset)], preset, tmp_path / "autoencoder", AutoencoderOptions(**small))

    def audio() -> Path:
        return train_audio([str(dataset)], preset, tmp_path / "audio", AudioOptions(**small))

    def denoiser(first: Path, second: Path) -> Path:
        return train_dit([str(dataset)], preset, tmp_path / "dit", first, second, DenoiserOptions(**small))

    denoiser(autoencoder(), audio())
    for stage in ("autoencoder", "dit"):
        rewrite(tmp_path / stage / "config.json", old_model_settings)
    rewrite(tmp_path / "dit" / "config.json", lambda c: c["training"].update(weighting="default"))
    rewrite(tmp_path / "audio" / "config.json", lambda c: c["model"].pop("closure_hidden"))
    rewrite(tmp_path / "audio" / "config.json", lambda c: c["model"].pop("lip_readers"))
    rewrite(tmp_path / "audio" / "config.json", lambda c: c["model"].update(
        {f"ear_{size}": c["model"].pop(f"lip_predictor_{size}") for size in LIP_PREDICTOR}))  # fmt: skip
    assert (denoiser(autoencoder(), audio()) / "dit.safetensors").exists()


def test_a_setting_that_is_gone_is_named_where_the_run_used_it(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"stage": "dit", "model": {"dit": {"width": 32}}})
    rewrite(tmp_path / "config.json", lambda config: config["model"]["dit"].update(temporal=0))
    RunFolder(tmp_path, {"stage": "dit", "model": {"dit": {"width": 32}}})
    rewrite(tmp_path / "config.json", lambda config: config["model"]["dit"].update(temporal=4))
    with pytest.raises(ConfigError, match=r"model\.dit\.temporal 4 there, absent now") as raised:
        RunFolder(tmp_path, {"stage": "dit", "model": {"dit": {"width": 32}}})
    assert "\n" not in str(raised.value)


def test_settings_of_today_stay_as_they_are() -> None:
    settings = {"stage": "audio", "model": dataclasses.asdict(CONFIG), "empty": {}, "data": [{"path": "a"}]}
    assert upgrade_settings(settings) == settings


@pytest.mark.parametrize("content", ['{"DATA": "other"}', "[]", "{"])
def test_a_data_file_of_another_form_is_one_clear_line(dataset: Path, tmp_path: Path, content: str) -> None:
    config = {"stage": "toy", "data": [{"path": str(dataset)}]}
    RunFolder(tmp_path, config)
    (tmp_path / "data.json").write_text(content.replace("DATA", str(dataset)))
    with pytest.raises((ConfigError, DataError)) as raised:
        RunFolder(tmp_path, config)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("slow_whisper", [False, True])
def test_moments_of_an_earlier_checkpoint_go_to_the_parameters_they_belong_to(
    slow_whisper: bool, tmp_path: Path
) -> None:
    """Earlier versions called some tensors otherwise and registered the Whisper layers' positions before the heads."""
    encoder = ContextEncoder(CONFIG)
    slow = list(encoder.whisper.parameters()) if slow_whisper else []
    trainable = Trainable(AudioEncoderWithHeads(encoder), 1e-3, 0.9, slow=slow, slow_rate=0.05)
    names = {id(p): name for name, p in trainable.module.named_parameters()}
    place = "encoder.whisper.place"
    state = trainable.module.state_dict()
    order = [name for name in state if name != place]
    order.insert(order.index("encoder.silence") + 1, place)
    slow_names = [names[id(p)] for p in slow]
    numbered = [name for name in order if name in names.values() and name not in slow_names] + slow_names
    moments = {
        i: {"step": torch.tensor(1.0), "exp_avg": torch.full_like(state[name], i), "exp_avg_sq": state[name] ** 2}
        for i, name in enumerate(numbered)
    }
    optimizer = {**trainable.optimizer.state_dict(), "state": moments}
    average = {"n_averaged": torch.tensor(1), **{f"module.{old_name(name)}": state[name] for name in order}}
    part = {"module": {old_name(name): state[name] for name in order}, "average": average, "optimizer": optimizer}
    torch.save({"step": 1, "listener": part}, tmp_path / "checkpoint.pt")
    trainable.restore(read_checkpoint(tmp_path / "checkpoint.pt")["listener"])
    for parameter, moment in trainable.optimizer.state.items():
        assert (moment["exp_avg"] == numbered.index(names[id(parameter)])).all()
    assert len(trainable.optimizer.state) == len(names)
