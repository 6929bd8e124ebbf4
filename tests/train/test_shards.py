"""Datasets in tars: the same clips from a folder or a URL, in an order that resumes; a damaged one is an error."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.config import AudioTraining, get_preset
from dithead.critics.sync_expert import EXPERTS
from dithead.errors import DataError
from dithead.prepare.dataset import Clip, Dataset
from dithead.prepare.shard_writer import write_shards
from dithead.prepare.shards import CACHE_VARIABLE, ShardError, _extract, shuffled
from dithead.train.data.clips import DataSource
from dithead.train.data.damaged_clips import DamagedClips
from dithead.train.data.frame_stream import FrameStream, is_sharded
from dithead.train.data.mouth_dataset import cache_mouth_clips
from dithead.train.data.speech_dataset import SpeechDataset
from dithead.train.loop.run_folder import RunFolder, read_checkpoint
from dithead.train.stages.audio_encoder import train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.denoiser import train_dit
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "shards-cache"))


@pytest.fixture
def packed(dataset: Path, tmp_path: Path) -> Path:
    assert write_shards(dataset, str(tmp_path / "packed"), clips_per_shard=2) == 3  # two of training, one held out
    return tmp_path / "packed"


def test_a_packed_dataset_is_the_same_dataset(dataset: Path, packed: Path) -> None:
    one, other = Dataset(dataset), Dataset(packed)
    assert [clip.id for clip in one.clips()] == [clip.id for clip in other.clips()]
    for a, b in zip(one.clips(), other.clips(), strict=True):
        np.testing.assert_array_equal(a.frames(), b.frames())
        np.testing.assert_array_equal(a.audio(), b.audio())
        np.testing.assert_array_equal(a.track().landmarks, b.track().landmarks)


def test_packing_again_gives_the_same_bytes(dataset: Path, packed: Path, tmp_path: Path) -> None:
    write_shards(dataset, str(tmp_path / "again"), clips_per_shard=2)
    for file in packed.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_training_reads_shards_at_a_url(dataset: Path, tmp_path: Path) -> None:
    write_shards(dataset, "memory://bucket/people", clips_per_shard=1)
    assert is_sharded([DataSource.parse("memory://bucket/people:0.5")])
    preset = get_preset("tiny", ["autoencoder.batch=2"])
    run = train_autoencoder(
        ["memory://bucket/people:0.5"], preset, tmp_path / "run", AutoencoderOptions(steps=3, device="cpu")
    )
    assert json.loads((run / "config.json").read_text())["data"] == [{"path": "memory://bucket/people", "weight": 0.5}]
    assert (run / "autoencoder.safetensors").exists()


def test_stage_two_from_shards_is_stage_two_from_the_folder_and_resumes(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latents are encoded from the clips as their shards are fetched; from then on nothing differs, to the bit."""
    write_shards(dataset, "memory://bucket/faces", clips_per_shard=2)
    tiny, options = get_preset("tiny"), {"device": "cpu"}
    autoencoder = train_autoencoder(
        [str(dataset)], tiny, tmp_path / "autoencoder", AutoencoderOptions(steps=2, **options)
    )
    audio = train_audio(["memory://bucket/faces"], tiny, tmp_path / "audio", AudioOptions(steps=2, **options))

    def train(source: str, name: str) -> Path:
        return train_dit(
            [source], tiny, tmp_path / name, autoencoder, audio, DenoiserOptions(steps=4, **options)
        ).parent

    folder = train(str(dataset), "folder")
    save, full = RunFolder.save, train_dit.__globals__["Schedule"]
    monkeypatch.setitem(train_dit.__globals__, "Schedule", lambda steps, **more: full(steps, save_every=2))

    def save_and_stop(run: RunFolder, state: dict[str, object]) -> None:
        save(run, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train("memory://bucket/faces", "packed")
    monkeypatch.setattr(RunFolder, "save", save)
    packed = train("memory://bucket/faces", "packed")
    one, other = (read_checkpoint(run / "checkpoint.pt")["dit"]["module"] for run in (folder, packed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_order_of_an_epoch_is_a_shuffle_that_keeps_shards_together() -> None:
    shards = {f"s{i}": list(range(10 * i, 10 * i + 10)) for i in range(20)}
    order = list(shuffled(shards, seed=1, epoch=0, together=4))
    assert sorted(order) == list(range(200))
    assert order == list(shuffled(shards, seed=1, epoch=0, together=4))
    assert order != list(shuffled(shards, seed=1, epoch=1, together=4))
    for first in range(0, 200, 40):
        assert len({clip // 10 for clip in order[first : first + 40]}) == 4
    assert len({clip // 10 for clip in order[:10]}) > 1


def test_a_stream_goes_on_in_the_middle_of_an_epoch(packed: Path) -> None:
    def clips(first: int, last: int) -> list[str]:
        stream = FrameStream([DataSource(packed)], "train", seed=3)
        return [stream.pick(np.random.default_rng(place), place)[0].id for place in range(first, last)]

    whole = clips(0, 9)
    assert whole[4:] == clips(4, 9)
    for epoch in range(3):
        assert sorted(whole[3 * epoch : 3 * epoch + 3]) == ["clip0", "clip1", "clip2"]


def damage(packed: Path, clip: Clip) -> None:
    content = bytearray((packed / clip.shard).read_bytes())
    content[len(content) // 2] ^= 1
    (packed / clip.shard).write_bytes(content)


def test_a_damaged_shard_is_named_and_stops_a_run_that_loses_too_much(packed: Path, tmp_path: Path) -> None:
    clip = Dataset(packed).clips("train")[0]
    damage(packed, clip)
    with pytest.raises(ShardError, match=rf"{clip.shard}: does not match its SHA-256"):
        Dataset(packed).clips("train")[0].frames()
    with pytest.raises(DataError, match="more than 1%"):
        train_autoencoder(
            [str(packed)], get_preset("tiny"), tmp_path / "run", AutoencoderOptions(steps=3, device="cpu")
        )


def test_a_missing_shard_is_a_damaged_one(packed: Path) -> None:
    clip = Dataset(packed).clips("val")[0]
    (packed / clip.shard).unlink()
    with pytest.raises(ShardError, match=clip.shard):
        clip.track()


def test_few_damaged_clips_are_left_out_and_counted(packed: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = Dataset(packed).clips("train")
    damage(packed, clips[0])
    damaged = DamagedClips(total=1000)
    found = [damaged.read(clip, clip.frames) for clip in clips]
    lost = sum(clip.shard == clips[0].shard for clip in clips)
    assert [frames is None for frames in found] == [clip.shard == clips[0].shard for clip in clips]
    assert damaged.shards == {clips[0].shard: lost}
    assert caplog.text.count("left out") == 1


def test_a_stream_passes_over_what_is_damaged(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = Dataset(packed).clips("train")
    damage(packed, clips[0])
    monkeypatch.setattr("dithead.train.data.damaged_clips.TOLERATED", 1.0)
    stream = FrameStream([DataSource(packed)], "train")
    good = {clip.id for clip in clips if clip.shard != clips[0].shard}
    assert {stream.pick(np.random.default_rng(0), place)[0].id for place in range(6)} == good


def test_the_audio_encoder_and_the_sync_expert_leave_out_what_is_damaged(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clips = Dataset(packed).clips("train")
    shards = [clip.shard for clip in clips]
    lost = next(clip for clip in clips if shards.count(clip.shard) == 1)
    damage(packed, lost)
    config, encoder = EXPERTS["score"], get_preset("tiny").model.audio.build()
    with pytest.raises(DataError, match="more than 1%"):
        SpeechDataset([DataSource(packed)], None, AudioTraining(), encoder)
    with pytest.raises(DataError, match="more than 1%"):
        cache_mouth_clips(tmp_path / "features", clips, config)
    monkeypatch.setattr("dithead.train.data.damaged_clips.TOLERATED", 0.5)
    assert len(SpeechDataset([DataSource(packed)], None, AudioTraining(), encoder).faces) == 2
    read = cache_mouth_clips(tmp_path / "features", clips, config)
    assert [clip is None for clip in read] == [clip == lost for clip in clips]
    assert f"left out: {packed / lost.shard}" in caplog.text


def test_old_shards_are_forgotten(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dithead.prepare.shards.MAX_UNPACKED", 1)
    clips = Dataset(packed).clips()
    folders = [clip.folder for clip in clips]
    assert sum(folder.exists() for folder in folders) < len(folders)
    assert all(clip.folder.exists() for clip in clips), "and fetched again when asked for"


def test_an_unknown_protocol_says_what_is_missing() -> None:
    with pytest.raises(DataError, match="nosuch://"):
        Dataset("nosuch://bucket/people")


def test_a_packed_dataset_can_be_moved(packed: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(packed, moved)
    assert Dataset(moved).clips()[0].frames().shape == (12, 64, 64, 3)


@pytest.mark.parametrize("filtered", [True, False])
def test_only_plain_files_within_a_shard_are_unpacked(filtered: bool, tmp_path: Path, monkeypatch) -> None:
    """Also by Pythons that have no filter for it, as 3.11.2 of Debian 12."""
    if filtered and not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no filter")
    if not filtered and sys.version_info >= (3, 12):
        pytest.skip("from 3.12 on every Python has the filter")
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    for number, (name, kind) in enumerate(
        (("clip/a", tarfile.REGTYPE), ("../b", tarfile.REGTYPE), ("c", tarfile.CHRTYPE))
    ):
        path, entry = tmp_path / f"{number}.tar", tarfile.TarInfo(name)
        entry.type, entry.size = kind, 0
        with tarfile.open(path, "w") as packed:
            packed.addfile(entry)
        with tarfile.open(path) as packed:
            if number:
                with pytest.raises(tarfile.TarError):
                    _extract(packed, tmp_path / "out")
            else:
                _extract(packed, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["clip", "a"]
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["../../../victim/evil.txt", "/etc/evil", "a\\b", ".."])
@pytest.mark.parametrize("field", ["shard", "id"])
def test_a_list_that_names_files_elsewhere_is_refused(packed: Path, name: str, field: str) -> None:
    lines = [json.loads(line) for line in (packed / "manifest.jsonl").read_text().splitlines()]
    lines[0][field] = name
    (packed / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match="is no name of a file in the dataset"):
        Dataset(packed).clips()


def test_a_cache_that_cannot_be_made_is_told(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(ShardError, match="Not a directory"):
        Dataset(packed).clips()[0].frames()


def test_shards_are_unpacked_where_other_users_have_no_access(packed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("DITHEAD_CACHE", str(tmp_path / "own"))
    assert Dataset(packed).clips()[0].folder.is_relative_to(tmp_path / "own" / "shards")
