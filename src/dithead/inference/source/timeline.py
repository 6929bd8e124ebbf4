"""Schedules the source frames of the output, also where speech and video differ in length."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError, MediaError
from dithead.media.files import printable
from dithead.media.info import VideoInfo
from dithead.media.picture import WHITE
from dithead.media.video import VideoFrame, read_frames, read_span
from dithead.options import Fit

_ROUNDING = 1e-6  # frames by which a time in seconds may miss a frame through rounding
_BACKWARDS = 24  # frames held at once when a video is played backwards


@dataclass(frozen=True)
class SourceClip:
    """The part of a video from ``start`` to ``end`` seconds (None: to its end), counted from its first frame."""

    path: Path
    info: VideoInfo
    start: float = 0.0
    end: float | None = None
    background: tuple[int, int, int] = WHITE  # what shows through transparent pixels
    seekable: bool = True  # the frames keep the file's own clock, so that a span can be found by seeking
    kept: tuple[VideoFrame, ...] | None = None  # all frames of the part, where they were kept when decoded

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ConfigError(f"start {self.start:g} and end {self.end} leave nothing; times are in seconds")

    @property
    def expected_frames(self) -> int | None:
        """How many frames the part has if the file's header is right; None where it does not say."""
        fps = self.info.fps
        whole = self.info.frames or round(self.info.duration * fps)
        if not whole:
            return None
        stop = whole if self.end is None else min(whole, ceil(self.end * float(fps) - _ROUNDING))
        return max(1, stop - ceil(self.start * float(fps) - _ROUNDING))

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames of the part, numbered and timed from its beginning. Raises MediaError when there is none."""
        if self.kept is not None:
            yield from self.kept
            return
        first: VideoFrame | None = None
        for frame in read_frames(self.path, background=self.background):
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
        """Yield all frames, the last one first, decoding a few at a time; ``stamps`` (N,) are their time stamps."""
        offset = next(f for f in read_frames(self.path) if f.time >= self.start - 1e-9).pts
        for stop in range(len(stamps), 0, -_BACKWARDS):
            begin = max(0, stop - _BACKWARDS)
            bounds = int(stamps[begin]) + offset, int(stamps[stop - 1]) + offset
            span = list(read_span(self.path, *bounds, background=self.background, seekable=self.seekable))
            assert len(span) == stop - begin, "a span begins and ends with the frames that were asked for"
            while span:
                frame = span.pop()
                pts = frame.pts - offset
                yield replace(frame, index=begin + len(span), pts=pts, time=float(pts * frame.time_base))
            # PyAV's frame and its side data refer to each other. Until that of the opening frame is found to be
            # garbage, it keeps the buffers of all frames of its decoder: 78 MB at 1080p.
            gc.collect()


@dataclass(frozen=True)
class ScheduledFrame:
    """One frame of the output: a source frame, its number in the clip, and when it is displayed."""

    frame: VideoFrame
    index: int
    pts: int  # in the source's time base

    @property
    def time(self) -> float:
        """Seconds since the output began, which is also the place in the speech."""
        return float(self.pts * self.frame.time_base)


def schedule(clip: SourceClip, stamps: NDArray[np.int64], fit: Fit, speech_seconds: float) -> Iterator[ScheduledFrame]:
    """Yield the output's frames in order.

    Args:
        clip: The source.
        stamps: (N,) time stamps of its frames, as the first pass saw them.
        fit: What to do where speech and video differ in length.
        speech_seconds: How long the speech is; infinity repeats the video without end.
    """
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


def scheduled_frames(clip: SourceClip, stamps: NDArray[np.int64], fit: Fit, speech_seconds: float) -> int:
    """Count the frames that ``schedule`` yields, but for rounding where a video of uneven frame rate is extended."""
    tick = _time_base(clip)
    step = max(1, round(1 / (clip.info.fps * tick)))
    wanted = speech_seconds / tick
    if fit == "cut":
        return max(1, int((stamps < wanted).sum()))
    missing = 0 if fit == "silence" else wanted - int(stamps[-1]) - step
    return len(stamps) + max(0, ceil(missing * tick * clip.info.fps - 1e-6))


def _once(clip: SourceClip, offset: int = 0) -> Iterator[ScheduledFrame]:
    for frame in clip.frames():
        yield ScheduledFrame(frame, frame.index, frame.pts + offset)


def _loop(clip: SourceClip, stamps: NDArray[np.int64], step: int) -> Iterator[ScheduledFrame]:
    for k in count(1):
        yield from _once(clip, k * (int(stamps[-1]) + step))


def _bounce(clip: SourceClip, stamps: NDArray[np.int64], step: int) -> Iterator[ScheduledFrame]:
    last = int(stamps[-1])
    if len(stamps) < 2:
        yield from _freeze(clip, stamps, step)
        return
    for k in count(1, 2):  # the k-th span of ``last`` ticks runs backwards, the next one forwards
        for frame in clip.frames_backwards(stamps):
            if 0 < frame.index < len(stamps) - 1:
                yield ScheduledFrame(frame, frame.index, k * last + last - frame.pts)
        yield from _once(clip, (k + 1) * last)


def _freeze(clip: SourceClip, stamps: NDArray[np.int64], step: int) -> Iterator[ScheduledFrame]:
    *_, final = _once(clip)
    for k in count(1):
        yield replace(final, pts=int(stamps[-1]) + k * step)


_EXTENSIONS = {"loop": _loop, "bounce": _bounce, "freeze": _freeze}


def _time_base(clip: SourceClip) -> Fraction:
    return clip.info.time_base or 1 / clip.info.fps
