"""Clips without sound are kept when asked for: marked, silent, and as long as any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.prepare.dataset import Dataset
from dithead.prepare.prepare_dataset import prepare_dataset
from dithead.prepare.shard_writer import write_shards
from dithead.prepare.shards import CACHE_VARIABLE

SIZE = 64


def prepare(raw: Path, output: Path, **options):
    return prepare_dataset(raw, output, size=SIZE, workers=1, progress=False, **options)


@pytest.fixture(scope="module")
def raw(tmp_path_factory, presenter, write_video) -> Path:
    """A video with sound, one without a sound track, and one whose sound track holds nothing."""
    folder = tmp_path_factory.mktemp("raw")
    write_video(folder / "ann" / "speaks.mp4", presenter)
    write_video(folder / "bob" / "mute.mp4", presenter, sound=False)
    write_video(folder / "cid" / "empty.mp4", presenter, level=0.0)
    return folder


@pytest.fixture(scope="module")
def kept(raw, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "dataset"
    return output, prepare(raw, output, keep_silent=True)


def entries(folder: Path) -> dict[str, dict]:
    return {e["identity"]: e for e in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())}


def test_without_the_option_they_are_rejected(raw, tmp_path):
    result = prepare(raw, tmp_path / "dataset")
    assert (result.clips, result.silent) == (1, 0)
    assert result.rejected == {"no audio track": 1, "no sound": 1}
    assert all("has_speech" not in e for e in entries(tmp_path / "dataset").values())
    assert "keep_silent" not in json.loads((tmp_path / "dataset" / "config.json").read_text())


def test_they_are_kept_and_marked(kept):
    output, result = kept
    assert (result.clips, result.silent, result.rejected) == (3, 2, {})
    clips = {clip.identity: clip for clip in Dataset(output).clips()}
    assert {name: clip.has_speech for name, clip in clips.items()} == {"ann": True, "bob": False, "cid": False}
    listed = entries(output)
    assert listed["bob"]["has_speech"] is listed["cid"]["has_speech"] is False
    assert listed["bob"]["speech"] is None
    assert clips["bob"].meta()["has_speech"] is False
    for name in ("ann", "bob", "cid"):
        assert clips[name].frames().shape == (30, SIZE, SIZE, 3)
        assert clips[name].audio().shape == (30 * 640,)
        assert clips[name].audio().any() == (name == "ann")


def test_clips_with_sound_are_the_same_with_and_without_the_option(kept, raw, tmp_path):
    prepare(raw, tmp_path / "dataset")
    for name in ("audio.flac", "crop.mp4", "meta.json", "track.npz"):
        first, second = (next(folder.glob(f"clips/ann*/{name}")) for folder in (kept[0], tmp_path / "dataset"))
        assert first.read_bytes() == second.read_bytes()
    assert entries(kept[0])["ann"] == entries(tmp_path / "dataset")["ann"]


def test_they_are_still_done_when_the_run_is_resumed(kept, raw):
    output, _ = kept
    before = (output / "manifest.jsonl").read_bytes()
    result = prepare(raw, output, keep_silent=True)
    assert (result.files_done_before, result.silent) == (3, 2)
    assert (output / "manifest.jsonl").read_bytes() == before
    with pytest.raises(ConfigError, match="keep_silent True there"):
        prepare(raw, output)


def test_shards_keep_the_mark(kept, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    write_shards(kept[0], str(tmp_path / "packed"))
    packed = {clip.identity: clip for clip in Dataset(tmp_path / "packed").clips()}
    assert not packed["bob"].has_speech
    np.testing.assert_array_equal(packed["bob"].audio(), np.zeros(30 * 640, np.float32))
    assert Dataset(tmp_path / "packed").config.keep_silent
