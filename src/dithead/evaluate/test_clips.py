"""Which clips are measured, and whose audio drives whom. All by name, so it is the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dithead.errors import ConfigError, DataError
from dithead.media.encoder import EncoderOptions
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter
from dithead.prepare.dataset import Clip, Dataset
from dithead.types import Wave

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"})


def videos_in(folder: Path | str) -> dict[str, Path]:
    """Name without suffix -> video, in order of name. Raises DataError if there is none, or a name twice."""
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


def named_paths(entries: Iterable[str]) -> dict[str, Path]:
    """``NAME=PATH`` entries as a mapping. Raises ConfigError for another form or a name twice."""
    paths: dict[str, Path] = {}
    for entry in entries:
        name, sign, path = entry.partition("=")
        if not (name and sign and path) or name in paths:
            raise ConfigError(f"{entry!r}: give each name once, as NAME=PATH")
        paths[name] = Path(path)
    return paths


def is_dataset(folder: Path | str) -> bool:
    """Whether ``folder`` was written by ``prepare``."""
    return (Path(folder) / "manifest.jsonl").is_file()


def held_out(folder: Path | str) -> list[Clip]:
    """The clips of a dataset whose people no training saw. Raises DataError when it holds none back."""
    clips = Dataset(folder).clips("val")
    if not clips:
        raise DataError(f"{folder}: no identity is held back for validation; evaluate on other videos")
    return clips


def write_held_out(clips: list[Clip], folder: Path) -> dict[str, Path]:
    """Write each clip's crops and sound as one video, once; name -> video."""
    folder.mkdir(parents=True, exist_ok=True)
    videos = {clip.id: folder / f"{clip.id}.mp4" for clip in clips}
    for clip in clips:
        if not videos[clip.id].exists():
            crops = clip.folder / "crop.mp4"
            with VideoWriter(
                videos[clip.id], probe(crops), EncoderOptions(crf=4), audio=clip.folder / "audio.flac"
            ) as writer:
                for frame in read_frames(crops):
                    writer.write(frame.pixels)
    return videos


def drivers_of(names: list[str]) -> dict[str, str]:
    """Cross-audio pairing: each clip is driven by the next in order of name, the last by the first."""
    if len(names) < 2:
        raise DataError("cross-audio needs two clips or more; leave the protocol 'cross' out")
    return dict(zip(names, names[1:] + names[:1], strict=True))


def fitted(audio: Wave, seconds: float, rate: int) -> Wave:
    """``audio`` (n,) cut, or filled with silence, to the length of a picture of ``seconds``."""
    wanted = round(seconds * rate)
    return np.pad(audio[:wanted], (0, max(0, wanted - len(audio)))).astype(np.float32)
