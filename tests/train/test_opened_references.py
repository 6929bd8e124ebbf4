"""References whose mouth was opened by geometry, and smaller networks that start from a model's larger ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dithead.checkpoint import load_model
from dithead.errors import ModelError
from dithead.face.lip_opening import lip_opening
from dithead.train.data.clips import DataSource, FrameDataset
from dithead.train.data.image_batch import image_batch
from dithead.train.data.latent_cache import ClipLatents
from dithead.train.data.opened_references import closed_frame, opened_reference
from dithead.train.stages.assemble_model import spaced_blocks
from dithead.train.stages.audio_encoder import train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.denoiser import train_dit
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions
from train.tiny_preset import tiny

SLIM = ("model.autoencoder.decoder_widths=[8,8,8,8]", "model.autoencoder.masked_widths=[8,8,8,8]")


@pytest.fixture
def model(stage_two: Path) -> Path:
    """The model folder of the tiny preset."""
    return stage_two / "model"


def test_an_opened_reference_moves_the_mouth_and_nothing_above_it(dataset: Path) -> None:
    clip = FrameDataset([DataSource(dataset)], "train", 50).clips[0]
    openings = [lip_opening(frame) for frame in clip.landmarks]
    closed, wide = int(np.argmin(openings)), int(np.argmax(openings))
    opened = opened_reference(clip.crops[closed], clip.landmarks[closed], clip.landmarks[wide])
    assert opened.shape == clip.crops[closed].shape
    assert np.any(opened != clip.crops[closed])
    again = closed_frame(clip.landmarks, np.random.default_rng(0))
    assert openings[again] <= np.median(openings)


def test_a_share_of_the_references_of_stage_one_is_opened(dataset: Path) -> None:
    frames = FrameDataset([DataSource(dataset)], "train", 50)

    def references(opened: float) -> torch.Tensor:
        rngs = [np.random.default_rng(k) for k in range(6)]
        return image_batch(frames, 64, rngs, augment=False, opened=opened)["reference"]

    none, some, all_of_them = references(0.0), references(0.5), references(1.0)
    changed = [not torch.equal(a, b) for a, b in zip(none, all_of_them, strict=True)]
    assert all(changed)
    assert 0 < sum(not torch.equal(a, b) for a, b in zip(none, some, strict=True)) < 6


def test_stage_one_keeps_the_latents_of_a_model(dataset: Path, model: Path, tmp_path: Path) -> None:
    changes = (*SLIM, "autoencoder.opened_references=0.5", "autoencoder.identity_weight=0.5",
               "autoencoder.adversarial_start=0")  # fmt: skip
    options = AutoencoderOptions(device="cpu", latents_of=str(model))
    run = train_autoencoder([str(dataset)], tiny(*changes), tmp_path / "ae", options)
    before, after = load_file(model / "autoencoder.safetensors"), load_file(run / "autoencoder.safetensors")
    kept = [name for name in before if name.startswith(("encoder.", "latent_"))]
    assert kept
    assert all(torch.equal(before[name], after[name]) for name in kept)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = next(line for line in lines if "pixel" in line)
    assert logged["identity"] > 0
    assert logged["masked"] > 0


def test_a_model_with_another_encoder_is_refused(dataset: Path, model: Path, tmp_path: Path) -> None:
    options = AutoencoderOptions(device="cpu", latents_of=str(model))
    with pytest.raises(ModelError, match="does not fit the preset"):
        train_autoencoder([str(dataset)], tiny("model.autoencoder.widths=[8,8,8,8]"), tmp_path / "ae", options)


def test_stage_two_goes_on_from_a_deeper_transformer_with_opened_references(
    dataset: Path, model: Path, tmp_path: Path
) -> None:
    audio = train_audio([str(dataset)], tiny(), tmp_path / "audio", AudioOptions(steps=2, device="cpu"))
    changes = ("model.dit.depth=1", "dit.opened_references=0.5")
    options = DenoiserOptions(device="cpu", init=model)
    shallow = train_dit([str(dataset)], tiny(*changes), tmp_path / "dit", model, audio, options)
    assert load_model(str(shallow)).config.dit.depth == 1
    cached = next((tmp_path / "dit" / "cache").glob("*.npz"))
    with np.load(cached) as stored:
        latents = ClipLatents(**{name: stored[name] for name in stored.files})
    assert latents.opened is not None
    assert latents.opened.shape == latents.latents.shape
    assert replace(latents, opened=None).seconds(1) == latents.seconds(1)


def test_evenly_spaced_blocks_keep_the_first_and_the_last() -> None:
    weights = {f"blocks.{k}.w": torch.tensor(k) for k in range(8)} | {"out.weight": torch.tensor(9)}
    taken = spaced_blocks(weights, 5)
    assert [int(taken[f"blocks.{k}.w"]) for k in range(5)] == [0, 2, 4, 5, 7]
    assert int(taken["out.weight"]) == 9
    assert spaced_blocks(weights, 8) is weights
