"""Which source frame shows when: a part of the video, and what to do where speech and video differ in length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError, MediaError
from dithead.media.files import printable
from dithead.media.info import VideoInfo
from dithead.media.video import VideoFrame, read_frames, read_span

Fit = Literal["silence", "cut", "loop", "bounce", "freeze"]
"""silence: every frame of the video; longer speech is cut, shorter is followed by silence.  cut: ends with the
shorter of the two.  loop, bounce, freeze: the video is repeated, played back and forth, or stopped at its last
frame until longer speech has ended."""
_BACKWARDS = 24  # frames held at once when playing backwards
FITS: tuple[str, ...] = get_args(Fit)


@dataclass(frozen=True)
class Clip:
    """The part of a video from ``start`` to ``end`` seconds (None: its end); counted from its first frame."""

    path: Path
    info: VideoInfo
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ConfigError(f"start {self.start:g} and end {self.end} leave nothing; times are in seconds")

    def frames(self) -> Iterator[VideoFrame]:
        """The frames of the part, numbered and timed from its beginning."""
        first: VideoFrame | None = None
        for frame in read_frames(self.path):
            if self.end is not None and frame.time >= self.end - 1e-9:
                break
            if frame.time < self.start - 1e-9:
                continue
            first = first or frame
            pts = frame.pts - first.pts
            yield replace(frame, index=frame.index - first.index, pts=pts, time=float(pts * frame.time_base))
        if first is None:
            raise MediaError(f"{printable(self.path)}: has no frame after {self.start:g} s; give an earlier --start")

    def frames_backwards(self, stamps: NDArray[np.int64]) -> Iterator[VideoFrame]:
        """All frames, last one first, a few at a time; ``stamps`` (N,) are their time stamps."""
        offset = next(f for f in read_frames(self.path) if f.time >= self.start - 1e-9).pts
        for stop in range(len(stamps), 0, -_BACKWARDS):
            begin = max(0, stop - _BACKWARDS)
            span = read_span(self.path, int(stamps[begin]) + offset, int(stamps[stop - 1]) + offset)
            for index, frame in zip(range(stop - 1, begin - 1, -1), reversed(list(span)), strict=True):
                pts = frame.pts - offset
                yield replace(frame, index=index, pts=pts, time=float(pts * frame.time_base))


@dataclass(frozen=True)
class Shown:
    """One frame of the output: a source frame, its number in the clip, and when it shows."""

    frame: VideoFrame
    index: int
    pts: int  # in the source's time base

    @property
    def time(self) -> float:
        """Seconds since the output began, which is also the place in the speech."""
        return float(self.pts * self.frame.time_base)


def schedule(clip: Clip, stamps: NDArray[np.int64], fit: Fit, speech_seconds: float) -> Iterator[Shown]:
    """The output's frames in order. ``stamps`` (N,) are the clip's time stamps, as the survey saw them."""
    tick = _time_base(clip)
    step = max(1, round(1 / (clip.info.fps * tick)))
    wanted = speech_seconds / tick  # in ticks
    if fit == "cut":
        yield from (s for s in _once(clip) if s.pts < wanted or s.index == 0)
        return
    yield from _once(clip)
    if fit == "silence" or wanted <= stamps[-1] + step:
        return
    for item in _EXTENSIONS[fit](clip, stamps, step):
        if item.pts >= wanted:
            return
        yield item


def _once(clip: Clip, offset: int = 0) -> Iterator[Shown]:
    for frame in clip.frames():
        yield Shown(frame, frame.index, frame.pts + offset)


def _loop(clip: Clip, stamps: NDArray[np.int64], step: int) -> Iterator[Shown]:
    for k in count(1):
        yield from _once(clip, k * (int(stamps[-1]) + step))


def _bounce(clip: Clip, stamps: NDArray[np.int64], step: int) -> Iterator[Shown]:
    last = int(stamps[-1])
    if len(stamps) < 2:
        yield from _freeze(clip, stamps, step)
        return
    for k in count(1, 2):  # k-th stretch of ``last`` ticks runs backwards, the next forwards; ends show once
        for frame in clip.frames_backwards(stamps):
            if 0 < frame.index < len(stamps) - 1:
                yield Shown(frame, frame.index, k * last + last - frame.pts)
        yield from _once(clip, (k + 1) * last)


def _freeze(clip: Clip, stamps: NDArray[np.int64], step: int) -> Iterator[Shown]:
    *_, final = _once(clip)
    for k in count(1):
        yield replace(final, pts=int(stamps[-1]) + k * step)


_EXTENSIONS = {"loop": _loop, "bounce": _bounce, "freeze": _freeze}


def _time_base(clip: Clip) -> Fraction:
    return clip.info.time_base or 1 / clip.info.fps
