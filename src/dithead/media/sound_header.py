"""What a file says of its sound without decoding it: rate, channels, tracks, length, and where time zero lies.

One job asks several times, and each time it takes 20 ms to open a large video, and 50 to read its first frame (Zen 3).
So answers are kept for as long as the file has the same size and time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import av

from dithead.errors import MediaError
from dithead.media.files import open_media, printable, require_file
from dithead.media.video import first_frame_time

T = TypeVar("T")

_REMEMBERED = 64  # files (our choice)
_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1")  # by the number of channels
_NAMED_LAYOUTS = (*_LAYOUTS, "3.0", "3.0(back)", "quad", "5.0(side)", "5.1(side)")
"""Layouts that FFmpeg's AAC encoder takes; files often name none, such as "1 channels"."""


class SoundHeader(NamedTuple):
    """The first audio track of a file."""

    rate: int  # samples a second
    channels: int
    layout: str  # FFmpeg's name of the channels as which it is written
    tracks: int  # of sound that the file has
    end: float  # seconds in the container's clock at which an MP4 or MOV says that it ends; infinite elsewhere
    start: float  # seconds in the same clock at which it begins


def _kept_while_unchanged(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """Remember what a function reads of files, until they change."""

    @functools.lru_cache(_REMEMBERED)
    def remembered(path: Path, size: int, time: int) -> T:
        del size, time
        return read(path)

    @functools.wraps(read)
    def call(path: Path) -> T:
        require_file(path)
        state = path.stat()
        return remembered(path, state.st_size, state.st_mtime_ns)

    return call


@_kept_while_unchanged
def sound_header(path: Path) -> SoundHeader:
    """Describe the first audio track of a file; MediaError if there is none."""
    with open_media(path) as media:
        stream = audio_stream(media, path)
        channels, name = int(stream.channels), str(stream.layout.name)
        layout = name if name in _NAMED_LAYOUTS else default_layout(channels or 1)
        start = float((stream.start_time or 0) * stream.time_base)
        states = "mp4" in media.format.name and stream.duration
        end = start + float(stream.duration * stream.time_base) if states else float("inf")
        return SoundHeader(int(stream.rate), channels, layout, len(media.streams.audio), end, start)


@_kept_while_unchanged
def time_zero(path: Path) -> float | None:
    """Return the seconds of the first displayed video frame in the container's clock; None without video."""
    with open_media(path) as media:
        return first_frame_time(media)


def stated_seconds(path: Path) -> float:
    """Return the seconds from time zero to the end of the first audio track; infinite where no header says them."""
    header, origin = sound_header(path), time_zero(path)
    return header.end - (header.start if origin is None else origin)


def audio_stream(media: Any, path: Path) -> Any:
    """Return the first audio stream of an open file; MediaError if there is none."""
    if not media.streams.audio:
        raise MediaError(f"{printable(path)}: has no audio track; give a file with speech")
    return media.streams.audio[0]


def most_channels(layouts: Sequence[str]) -> str:
    """Return the one of several layouts that has most channels."""
    return max(layouts, key=lambda name: int(av.AudioLayout(name).nb_channels))


def default_layout(channels: int) -> str:
    """Return FFmpeg's usual layout of so many channels; stereo for more than six."""
    return _LAYOUTS[channels - 1] if channels <= len(_LAYOUTS) else "stereo"
