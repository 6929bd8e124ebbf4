"""Late and early sound is corrected, and a picture that does not speak is rejected; on rendered presenters."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from dithead.critics.sync_offset import av_offset
from dithead.media.audio import read_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.prepare.clip_writer import ClipOutcome
from dithead.prepare.dataset import Dataset
from dithead.prepare.manifest import read_record
from dithead.prepare.prepare_dataset import prepare_dataset
from dithead.prepare.settings import PrepareConfig
from dithead.prepare.sync_check import MIN_FRAMES, SyncChecker, SyncMeasurement

PRESENTERS = sorted((Path(__file__).parents[2] / "examples" / "presenters").glob("*.mp4"))
RATE, FRAMES = 16000, 80
LATE = {"right": 0, "late": 4, "early": -3}


def moved(wave: np.ndarray, frames: int) -> np.ndarray:
    n = frames * RATE // 25
    return np.pad(wave, (n, 0))[: len(wave)] if n >= 0 else np.pad(wave[-n:], (0, -n))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One presenter in step, late and early, and one whose face is still during speech."""
    folder, speaker = tmp_path_factory.mktemp("raw"), PRESENTERS[0]
    frames = [frame.pixels[::2, ::2] for frame in islice(read_frames(speaker), FRAMES)]
    info = replace(probe(speaker), width=frames[0].shape[1], height=frames[0].shape[0])
    wave = read_audio(speaker, RATE)[: FRAMES * RATE // 25]
    cases = {name: (frames, moved(wave, k)) for name, k in LATE.items()} | {"still": ([frames[0]] * FRAMES, wave)}
    for name, (pictures, sound) in cases.items():
        with VideoWriter(folder / f"{name}.mp4", info, audio=(sound, RATE)) as writer:
            for picture in pictures:
                writer.write(picture)
    return folder


@pytest.fixture(scope="module")
def entries(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict]]:  # type: ignore[type-arg]
    output = tmp_path_factory.mktemp("out") / "dataset"
    result = prepare_dataset(raw, output, workers=1, progress=False, min_confidence=0.05)
    assert result.corrected == 2
    lines = map(json.loads, (output / "manifest.jsonl").read_text().splitlines())
    return output, {line["id"]: line for line in lines}


@pytest.mark.parametrize("name", LATE)
def test_an_offset_is_found_and_corrected(entries, name: str) -> None:
    output, lines = entries
    speech = lines[name]["speech"]
    assert (speech["offset"], speech["corrected"]) == (LATE[name], LATE[name] != 0)
    (clip,) = [c for c in Dataset(output).clips() if c.id == name]
    assert av_offset(clip)[0] == 0
    assert clip.meta()["speech"] == speech
    assert clip.audio().shape == (clip.length * 640,)


def test_the_sound_is_moved_and_not_changed(entries) -> None:
    clips = {clip.id: clip.audio() for clip in Dataset(entries[0]).clips()}
    inner = slice(5 * 640, -5 * 640)
    for name in ("late", "early"):
        assert np.corrcoef(clips["right"][inner], clips[name][inner])[0, 1] > 0.98  # each went through AAC


def test_a_picture_that_does_not_speak_is_rejected(entries) -> None:
    output, lines = entries
    assert lines["still"]["status"] == "rejected"
    assert lines["still"]["reason"].startswith("the picture does not speak: confidence 0.0")
    assert not (output / "clips" / "still").exists()
    assert not list((output / "clips").glob(".*"))


def test_nothing_is_moved_when_switched_off_or_unsure(raw: Path, tmp_path: Path) -> None:
    only = tmp_path / "raw"
    only.mkdir()
    (only / "late.mp4").symlink_to(raw / "late.mp4")
    for name, options in {"off": {"correct_offset": False}, "unsure": {"offset_confidence": 5.0}}.items():
        assert prepare_dataset(only, tmp_path / name, workers=1, progress=False, **options).corrected == 0  # type: ignore[arg-type]
        (clip,) = Dataset(tmp_path / name).clips()
        assert av_offset(clip)[0] == LATE["late"]


def test_a_record_keeps_the_measurement(entries, raw: Path) -> None:
    from dithead.prepare.raw_videos import find_raw_videos

    (source,) = [s for s in find_raw_videos(raw, entries[0]) if s.slug == "late"]
    (outcome,) = read_record(entries[0], source) or []
    assert outcome == ClipOutcome("late", FRAMES, speech=SyncMeasurement(**entries[1]["late"]["speech"]))


def test_other_rates_and_short_clips_are_left_alone() -> None:
    landmarks, crop = np.full((4, 478, 2), 32, np.float32), np.zeros((64, 64, 3), np.uint8)
    other = SyncChecker(landmarks, PrepareConfig(fps=30))
    other.add_crop(crop)
    assert other.measure(np.ones(RATE, np.float32)) is None
    short = SyncChecker(landmarks, PrepareConfig(offset_confidence=0, min_confidence=9))
    for _ in range(MIN_FRAMES - 1):
        short.add_crop(crop)
    wave = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    speech = short.measure(wave)
    assert speech is not None
    assert not speech.corrected
    assert short.rejection(speech, wave) == ""
    short.add_crop(crop)  # long enough now
    assert "does not speak" in short.rejection(speech, wave)
    assert short.rejection(speech, wave / 1000) == ""  # nothing is said: a mouth at rest is right
