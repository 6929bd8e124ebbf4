"""Pairs the videos of a tool with the true videos by their names, loosely, and says what was paired.

Tools add their own name, a number or a suffix to the names of what they make, such as ``clip1_musetalk.mp4``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dithead.errors import DataError
from dithead.evaluate.evaluation_clips import SUFFIXES, list_videos


@dataclass(frozen=True)
class Matches:
    """The videos of one tool by the names of the true videos, and what a reader should know about the pairing."""

    videos: dict[str, Path]
    notes: list[str] = field(default_factory=list)


def videos_of(place: Path | str) -> dict[str, Path]:
    """Return name without suffix -> video of a folder, or of a single file. Raises DataError when there is none."""
    place = Path(place)
    if not place.is_file():
        return list_videos(place)
    if place.suffix.lower() not in SUFFIXES:
        raise DataError(f"{place}: is no video; give a video or a folder of videos")
    return {place.stem: place}


def match_videos(tool: str, made: Mapping[str, Path], true: Mapping[str, Path]) -> Matches:
    """Find the video of a tool for every true video.

    Names that are equal come first; then names that are equal but for case and punctuation; then names of which one
    contains the other, where only one pair is possible. A single video is paired with a single true video whatever
    their names.

    Args:
        tool: Name of the tool, for the notes.
        made: Its videos by name.
        true: The true videos by name.

    Raises:
        DataError: Not one video could be paired.
    """
    if len(made) == len(true) == 1:
        (name,), (path,) = true, made.values()
        return Matches({name: path}, _paired_notes(tool, {name: path}))
    pairs = {name: path for name, path in made.items() if name in true}
    rest = {name: path for name, path in made.items() if name not in true}
    for is_pair in (_same_letters, _contained):
        free = [name for name in true if name not in pairs]
        for name, path in _unique_pairs(rest, free, is_pair):
            pairs[name] = path
        rest = {name: path for name, path in rest.items() if path not in pairs.values()}
    if not pairs:
        raise DataError(
            f"{tool}: no video is named like a true one ({', '.join(list(made)[:3])} against "
            f"{', '.join(list(true)[:3])}); rename them so that a true video's name is part of each"
        )
    loose = {name: path for name, path in pairs.items() if path.stem != name}
    return Matches(pairs, [*_paired_notes(tool, loose), *_left_out_notes(tool, rest, true, pairs)])


def _paired_notes(tool: str, pairs: Mapping[str, Path]) -> list[str]:
    return [f"{tool}: {path.name} is measured as {name}" for name, path in pairs.items() if path.stem != name]


def _left_out_notes(
    tool: str, rest: Mapping[str, Path], true: Mapping[str, Path], pairs: Mapping[str, Path]
) -> list[str]:
    notes = []
    for name, path in rest.items():
        near = [other for other in true if other not in pairs and _contained(name, other)]
        hint = f"; is it {' or '.join(near[:3])}? Then rename it" if near else ""
        notes.append(f"{tool}: {path.name} is left out, no true video is called {name!r}{hint}")
    return notes


def _unique_pairs(
    made: Mapping[str, Path], true: Iterable[str], is_pair: Callable[[str, str], bool]
) -> Iterable[tuple[str, Path]]:
    """Pairs of a true name and a video, where neither could belong to another."""
    names = list(true)
    options = {name: [other for other in names if is_pair(name, other)] for name in made}
    for name, found in options.items():
        longest = [other for other in found if not any(other != more and other in more for more in found)]
        if len(longest) == 1 and sum(longest[0] in others for others in options.values()) == 1:
            yield longest[0], made[name]


def _same_letters(name: str, other: str) -> bool:
    return _letters(name) == _letters(other)


def _contained(name: str, other: str) -> bool:
    """Whether one name is part of the other, as whole words."""
    short, long = sorted((_words(name), _words(other)), key=len)
    return any(long[k : k + len(short)] == short for k in range(len(long) - len(short) + 1))


def _letters(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    composed = unicodedata.normalize("NFC", name)  # files of a Mac have accents as letters of their own
    return re.findall(r"[^\W\d_]+|\d+", composed.lower())
