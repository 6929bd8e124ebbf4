"""Chooses the clips that are measured, and whose speech drives whom: by file name, so that it is repeatable."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from dithead.errors import ConfigError, DataError, MediaError
from dithead.media.encoder import EncoderOptions
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.prepare.dataset import Clip, Dataset
from dithead.types import Wave

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"})
NEARLY_LOSSLESS = EncoderOptions(crf=4)
"""For crops that are measured afterwards, so that encoding them once more changes little (our choice)."""


def list_videos(folder: Path | str) -> dict[str, Path]:
    """Return name without suffix -> video, in order of name. Raises DataError if there is none, or a name twice."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a folder of videos")
    videos: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in videos:
            raise DataError(f"{folder}: two videos are called {path.stem!r}; rename one")
        videos[path.stem] = path
    if not videos:
        raise DataError(f"{folder}: holds no video; give a folder of videos")
    return videos


def parse_named_paths(entries: Iterable[str]) -> dict[str, Path]:
    """Split ``NAME=PATH`` entries into a mapping. Raises ConfigError for another form or a name twice."""
    paths: dict[str, Path] = {}
    for entry in entries:
        name, sign, path = entry.partition("=")
        if not (name and sign and path) or name in paths:
            raise ConfigError(f"{entry!r}: give each name once, as NAME=PATH")
        paths[name] = Path(path)
    return paths


def is_dataset(folder: Path | str) -> bool:
    """Return whether ``folder`` was written by ``dithead prepare``."""
    return (Path(folder) / "manifest.jsonl").is_file()


def validation_clips(folder: Path | str) -> list[Clip]:
    """Return the clips of people whom a dataset holds out from training. Raises DataError when there is none."""
    clips = Dataset(folder).clips("val")
    if not clips:
        raise DataError(f"{folder}: holds nobody out for validation; evaluate on other videos")
    return clips


def write_clips(clips: list[Clip], folder: Path) -> dict[str, Path]:
    """Write the crops and the sound of each clip as one video, unless it is there already; return name -> video."""
    folder.mkdir(parents=True, exist_ok=True)
    videos = {clip.id: folder / f"{clip.id}.mp4" for clip in clips}
    for clip in clips:
        if not videos[clip.id].exists():
            crops = clip.folder / "crop.mp4"
            sound = clip.folder / "audio.flac"
            with VideoWriter(videos[clip.id], probe(crops), NEARLY_LOSSLESS, audio=sound) as writer:
                for frame in read_frames(crops):
                    writer.write(frame.pixels)
    return videos


def has_sound(path: Path) -> bool:
    """Return whether a video has sound; one that cannot be read has none."""
    try:
        return probe(path).has_audio
    except MediaError:
        return False


def pair_drivers(names: list[str], with_sound: Collection[str]) -> dict[str, str]:
    """Return clip -> the clip whose speech drives it: the next one with sound in order of name, which goes round.

    A clip is left out where no other has sound. Raises DataError for fewer than two clips.
    """
    if len(names) < 2:
        raise DataError(
            "the protocol cross needs two clips or more: give more, or leave it out with --protocol self "
            "--protocol silent --protocol mask"
        )
    pairs: dict[str, str] = {}
    for place, name in enumerate(names):
        driver = next((other for other in names[place + 1 :] + names[:place] if other in with_sound), None)
        if driver is not None:
            pairs[name] = driver
    return pairs


def fit_length(audio: Wave, seconds: float, rate: int) -> Wave:
    """Cut sound (n,) to a length in seconds, or append silence to it."""
    samples = round(seconds * rate)
    return np.pad(audio[:samples], (0, max(0, samples - len(audio)))).astype(np.float32)
