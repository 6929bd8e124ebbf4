"""Stage one learns to decode latents that a trained transformer draws."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.errors import ConfigError, ModelError
from dithead.face.lip_opening import lip_opening
from dithead.prepare.dataset import Dataset
from dithead.train.data.clips import DataSource, FrameDataset
from dithead.train.data.drawn_latents import LatentDrawer
from dithead.train.data.image_batch import image_batch
from dithead.train.data.opened_references import nearest_frame
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.options import AutoencoderOptions
from train.tiny_preset import tiny

CPU = torch.device("cpu")


def test_drawn_latents_follow_lips_and_keep_what_is_not_masked(dataset: Path, stage_two: Path) -> None:
    drawer = LatentDrawer.load(stage_two, CPU)
    frames = FrameDataset([DataSource(dataset)], "train", 50, hear=drawer.hear)
    batch = image_batch(frames, drawer.talker.size, [np.random.default_rng(k) for k in range(3)], drawn=1.0)
    assert batch["drawn"].flatten().tolist() == [1.0, 1.0, 1.0]
    noise = torch.zeros(3, *drawer.shape)
    with torch.no_grad():  # a fresh transformer says nothing yet: its output starts at zero
        drawer.talker.dit.get_parameter("out.weight").normal_(std=0.1)
    once, again = drawer.draw(batch, noise), drawer.draw(batch, noise)
    moved = drawer.draw(batch | {"lips": batch["lips"] + 3}, noise)
    assert once.shape == (3, *drawer.shape)
    assert torch.equal(once, again)
    assert torch.isfinite(once).all()
    assert not torch.allclose(once, moved)


def test_clips_without_speech_are_never_drawn(dataset: Path, stage_two: Path) -> None:
    drawer, clip = LatentDrawer.load(stage_two, CPU), Dataset(dataset).clips("train")[0]
    heard = drawer.hear(clip, np.arange(4))
    silent = drawer.hear(replace(clip, has_speech=False), np.arange(4))
    assert heard.heard
    assert not silent.heard
    assert heard.tokens.shape == silent.tokens.shape
    assert heard.lips.shape == silent.lips.shape
    frames = FrameDataset(
        [DataSource(dataset)], "train", 50, hear=lambda clip, at: drawer.hear(replace(clip, has_speech=False), at)
    )
    batch = image_batch(frames, drawer.talker.size, [np.random.default_rng(0)], drawn=1.0)
    assert not batch["drawn"].any()


def test_the_nearest_frame_is_another_one_that_is_open_alike(dataset: Path) -> None:
    clip = FrameDataset([DataSource(dataset)], "train", 50).clips[0]
    openings = np.array([lip_opening(frame) for frame in clip.landmarks])
    chosen = [nearest_frame(clip.landmarks, 3, np.random.default_rng(k)) for k in range(40)]
    assert 3 not in chosen
    away = np.abs(openings - openings[3])
    assert np.mean(away[chosen]) < np.mean(np.delete(away, 3))
    assert nearest_frame(clip.landmarks[:1], 0, np.random.default_rng(0)) == 0


def test_stage_one_learns_from_drawn_latents(dataset: Path, stage_two: Path, tmp_path: Path) -> None:
    def trained(share: float) -> dict[str, float]:
        model = stage_two / "model"
        options = AutoencoderOptions(device="cpu", latents_of=str(model), drawn_by=stage_two, init=model)
        folder = tmp_path / f"ae{share}"
        train_autoencoder([str(dataset)], tiny(f"autoencoder.drawn_share={share}"), folder, options)
        assert json.loads((folder / "config.json").read_text())["drawn_by"] == str(stage_two)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return next(line for line in lines if "pixel" in line)  # type: ignore[no-any-return]

    assert trained(0.01)["pixel"] != trained(1.0)["pixel"]


def test_latents_are_drawn_by_a_run_and_a_share_of_them(dataset: Path, stage_two: Path, tmp_path: Path) -> None:
    for share, run in ((0.0, stage_two), (0.5, None)):
        options = AutoencoderOptions(device="cpu", drawn_by=run)
        with pytest.raises(ConfigError, match="give both"):
            train_autoencoder([str(dataset)], tiny(f"autoencoder.drawn_share={share}"), tmp_path / "run", options)
        assert not (tmp_path / "run").exists()


def test_every_row_is_mixed_with_the_reference_in_its_own_share(dataset: Path, stage_two: Path) -> None:
    drawer = LatentDrawer.load(stage_two, CPU)
    frames = FrameDataset([DataSource(dataset)], "train", 50, hear=drawer.hear)
    batch = image_batch(frames, drawer.talker.size, [np.random.default_rng(k) for k in range(3)], drawn=1.0)
    noise = torch.zeros(3, *drawer.shape)
    alone, half, reference = (drawer.draw(batch, noise, share) for share in (0.0, 0.5, 1.0))
    mixed = drawer.draw(batch, noise, torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1))
    torch.testing.assert_close(mixed, torch.stack([alone[0], half[1], reference[2]]))
    assert not torch.allclose(alone, reference)


def test_another_folder_than_that_of_stage_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no finished run of `dithead train dit`"):
        LatentDrawer.load(tmp_path, CPU)
