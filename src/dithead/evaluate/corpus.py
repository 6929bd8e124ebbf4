"""Which clips are measured, and whose audio drives whom. All by name, so it is the same everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dithead.errors import DataError
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


def drivers_of(names: list[str]) -> dict[str, str]:
    """Cross-audio pairing: each clip is driven by the next in order of name, the last by the first."""
    if len(names) < 2:
        raise DataError("cross-audio needs two clips or more; leave the protocol 'cross' out")
    return dict(zip(names, names[1:] + names[:1], strict=True))


def fitted(audio: Wave, seconds: float, rate: int) -> Wave:
    """``audio`` (n,) cut, or filled with silence, to the length of a picture of ``seconds``."""
    wanted = round(seconds * rate)
    return np.pad(audio[:wanted], (0, max(0, wanted - len(audio)))).astype(np.float32)
