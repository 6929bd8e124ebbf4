"""Training uses each clip's own frame rate, and leaves out clips without speech where it needs speech."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import AudioTraining, DiTTraining, get_preset
from dithead.critics.sync_expert import EXPERTS
from dithead.errors import DataError
from dithead.models.audio.mel_encoder import MelEncoder
from dithead.prepare.dataset import Dataset
from dithead.train.data.clips import DataSource, FrameDataset, choose_clips, choose_held_out_clips
from dithead.train.data.latent_cache import LatentEncoder, cache_clips
from dithead.train.data.latent_dataset import LatentDataset
from dithead.train.data.lip_basis import LipBasis
from dithead.train.data.mouth_dataset import cache_mouth_clips
from dithead.train.data.speech_dataset import SpeechDataset
from dithead.train.losses.sync_loss import SyncWindows
from dithead.train.metrics.held_out_latents import held_out_clips
from dithead.train.stages.audio_encoder import train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.options import AudioOptions, AutoencoderOptions
from dithead.train.stages.start import parse_sources

TINY = get_preset("tiny")
BASIS = LipBasis(np.zeros((80, 8), np.float32), np.ones(9, np.float32))


def at_fps(dataset: Path, folder: Path, fps: int) -> Path:
    """The dataset as if it had been prepared at another rate: the same frames and sound."""
    shutil.copytree(dataset, folder)
    text = (dataset / "manifest.jsonl").read_text().replace('"fps": 25', f'"fps": {fps}')
    (folder / "manifest.jsonl").write_text(text)
    return folder


def namesake(dataset: Path, folder: Path) -> Path:
    """A dataset of other people, whose folder and clips have the same names."""
    shutil.copytree(dataset, folder / dataset.name)
    listed = folder / dataset.name / "manifest.jsonl"
    listed.write_text(listed.read_text().replace('"identity": "', '"identity": "another '))
    return folder / dataset.name


@pytest.fixture(scope="module")
def fast(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return at_fps(dataset, tmp_path_factory.mktemp("fast") / "data", 50)


def cached(dataset: Path, folder: Path, head: Any) -> LatentDataset:
    items = choose_clips([DataSource(dataset)], "train", 10**9)
    clips = cache_clips(folder, items, [1] * len(items), LatentEncoder(head, 0))
    return LatentDataset(clips, BASIS, DiTTraining(steps=1, batch=2), head.audio)


@pytest.fixture(scope="module")
def head() -> Any:
    torch.manual_seed(0)
    return build_model(TINY.model)


def test_the_denoiser_gets_the_speech_of_a_frame_at_the_clips_own_rate(fast: Path, tmp_path: Path, head: Any) -> None:
    data = cached(fast, tmp_path, head)
    clip = data.clips[0]
    assert int(clip.fps) == 50
    window = data.window(clip, 6, None)  # shown after 0.12 s
    np.testing.assert_array_equal(window, clip.mel[12 - 8 : 12 + 8].astype(np.float32))
    assert held_out_clips(data, 1)[0].times[:3].tolist() == pytest.approx([0.0, 0.02, 0.04])


def test_cached_latents_are_those_of_the_clip_and_its_frames(
    dataset: Path, fast: Path, tmp_path: Path, head: Any
) -> None:
    folder, clips = tmp_path / "latents", 0
    for data in (dataset, namesake(dataset, tmp_path / "other"), fast):
        cached(data, folder, head)
        clips += len(Dataset(data).clips("train"))
        assert len(list(folder.glob("*.npz"))) == clips
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    cached(dataset, folder, head)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")} == times, "what is there is read"
    item = choose_clips([DataSource(dataset)], "train", 10**9)[0]
    part = replace(item, frames=slice(0, item.frames.stop // 2))
    whole, half = cache_clips(folder, [item, part], [1, 1], LatentEncoder(head, 0))
    assert (len(whole.latents.latents), len(half.latents.latents)) == (item.frames.stop, item.frames.stop // 2)


def test_mouths_of_two_clips_of_one_name_are_kept_apart(dataset: Path, tmp_path: Path) -> None:
    one, two = (Dataset(folder).clips()[0] for folder in (dataset, namesake(dataset, tmp_path / "other")))
    assert (one.dataset, one.id) == (two.dataset, two.id)
    assert one.cache_name != two.cache_name
    cache_mouth_clips(tmp_path / "mouths", [one, two], EXPERTS["score"])
    assert len(list((tmp_path / "mouths").glob("*.npz"))) == 2


def test_the_audio_encoder_learns_lips_at_the_clips_own_rate(dataset: Path, fast: Path) -> None:
    encoder = MelEncoder(TINY.model.audio)  # type: ignore[arg-type]
    for data, spacing in ((dataset, 4.0), (fast, 2.0)):
        made = SpeechDataset([DataSource(data)], None, AudioTraining(batch=2), encoder)
        assert {face.spacing for face in made.faces} == {spacing}


def test_the_sync_loss_wants_25_frames_a_second(dataset: Path, fast: Path, tmp_path: Path, head: Any) -> None:
    SyncWindows(cached(dataset, tmp_path / "slow", head), head, 5, 0)
    with pytest.raises(DataError, match="has 50 frames a second; the sync loss needs 25"):
        SyncWindows(cached(fast, tmp_path / "fast", head), head, 5, 0)


@pytest.fixture
def partly_silent(dataset: Path, tmp_path: Path) -> Path:
    """A dataset in which one clip has no sound at all, and says so."""
    folder = tmp_path / "data"
    shutil.copytree(dataset, folder)
    (folder / "clips" / "clip1" / "audio.flac").unlink()
    entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for entry in entries:
        entry["has_speech"] = entry["id"] != "clip1"
    (folder / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return folder


def test_silent_clips_serve_appearance_alone(partly_silent: Path) -> None:
    appearance, speech = (parse_sources(stage, [str(partly_silent)]) for stage in ("autoencoder", "dit"))
    assert [item.clip.id for item in choose_clips(appearance, "train", 100)] == ["clip0", "clip1", "clip2"]
    assert [item.clip.id for item in choose_clips(speech, "train", 100)] == ["clip0", "clip2"]
    assert len(FrameDataset(appearance, "train", 100).clips) == 3
    for stage in ("audio", "sync"):
        assert len(choose_clips(parse_sources(stage, [str(partly_silent)]), "train", 100)) == 2


def test_stages_train_on_a_partly_silent_dataset_and_count_what_they_leave_out(
    partly_silent: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    train_autoencoder([str(partly_silent)], TINY, tmp_path / "ae", AutoencoderOptions(steps=1, device="cpu"))
    assert "which have no speech" not in caplog.text
    train_audio([str(partly_silent)], TINY, tmp_path / "audio", AudioOptions(steps=3, device="cpu"))
    assert "left out: 1 of 4 clips, which have no speech" in caplog.text


def test_a_dataset_without_any_speech_is_refused(
    partly_silent: Path,
) -> None:
    manifest = partly_silent / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"has_speech": true', '"has_speech": false'))
    with pytest.raises(DataError, match="no clip of split 'train' with speech"):
        choose_clips(parse_sources("dit", [str(partly_silent)]), "train", 100)


def test_held_out_clips_of_the_later_stages_have_speech(partly_silent: Path) -> None:
    source = DataSource(partly_silent, speech_only=True)
    lines = (partly_silent / "manifest.jsonl").read_text()
    (partly_silent / "manifest.jsonl").write_text(lines.replace('"split": "val"', '"split": "train"'))
    assert "clip1" not in [item.clip.id for item in choose_held_out_clips([source])]
    assert "clip1" in [item.clip.id for item in choose_held_out_clips([replace(source, speech_only=False)])]
