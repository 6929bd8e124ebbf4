"""Reads videos: description, decoding with the rotation undone, resampling in time. H, W: displayed size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import av
import numpy as np

from dithead.errors import MediaError
from dithead.media.colour import ColourEncoding
from dithead.media.files import open_media, printable, unreadable
from dithead.media.info import VideoInfo, describe
from dithead.media.planes import to_rgb
from dithead.stages import stage, staged
from dithead.types import RGB

_EXACT_LENGTH = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
"""Formats whose header holds the true length."""
_RATE_DENOMINATOR = 1001 * 240  # denominator up to which frame rates are kept as exact fractions


@dataclass
class VideoFrame:
    """One decoded frame. ``time`` (seconds) and ``pts`` (``time_base`` ticks) count from the first frame."""

    index: int
    time: float
    pts: int
    time_base: Fraction
    native: Any  # av.VideoFrame as decoded, not yet rotated
    encoding: ColourEncoding
    rotation: int = 0
    damaged: bool = False  # could not be decoded: the last good frame stands in for it

    @cached_property
    def pixels(self) -> RGB:
        """The picture (H, W, 3) as displayed, exactly rounded; computed on first use."""
        return self._turned(to_rgb(self.native, self.encoding))

    @property
    def quick_pixels(self) -> RGB:
        """The picture (H, W, 3) as displayed, up to two levels too dark but five times as fast: for analysis only."""
        return self._turned(to_rgb(self.native, self.encoding, exact=False))

    def _turned(self, rgb: RGB) -> RGB:
        return np.ascontiguousarray(np.rot90(rgb, self.rotation // 90))


def probe(path: str | PathLike[str]) -> VideoInfo:
    """Describe a video by its headers and first frame; MediaError if the file has none."""
    path = Path(path)
    with open_media(path) as media:
        stream = video_stream(media, path)
        first = _first_frame(media, stream, path)
        return describe(media, stream, first)


def video_stream(media: Any, path: Path) -> Any:
    """Return the first video stream; MediaError if there is none. Cover pictures of audio files do not count."""
    for stream in media.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise MediaError(f"{printable(path)}: has no video; give a file with a picture")


def first_frame_time(media: Any) -> float | None:
    """Return the seconds of the first displayed video frame in the container's clock; None without video."""
    for stream in media.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            frame = next(_decoded(media, stream), None)
            return None if frame is None or frame.pts is None else float(frame.pts * frame.time_base)
    return None


def read_frames(path: str | PathLike[str], *, fps: Fraction | float | None = None) -> Iterator[VideoFrame]:
    """Yield the frames of a video in display order, one at a time.

    Args:
        path: The video.
        fps: Resample to this rate by nearest time stamp; None: keep every frame and its own time stamp.

    Raises:
        MediaError: The file is no video, or ends before its header says.
    """
    path = Path(path)
    frames = _native_frames(path)
    return frames if fps is None else _resampled(frames, Fraction(fps).limit_denominator(_RATE_DENOMINATOR))


def _native_frames(path: Path) -> Iterator[VideoFrame]:
    """Yield every frame with its own time stamp, made strictly increasing."""
    with open_media(path) as media:
        stream = video_stream(media, path)
        stream.thread_type = "AUTO"
        count = _PacketCount()
        info: VideoInfo | None = None
        start = last = index = 0
        for frame, stamp, damaged in _with_damage_replaced(_decoded(media, stream, count), count):
            if info is None:
                info, start = describe(media, stream, frame), stamp or 0
                last = -1
            step = _frame_ticks(info.fps, frame.time_base)
            pts = stamp - start if stamp is not None else last + step
            last = pts = max(pts, last + 1)  # equal or backward stamps would break every writer
            time = float(pts * frame.time_base)
            yield VideoFrame(index, time, pts, frame.time_base, frame, info.encoding, info.rotation, damaged)
            index += 1
        _require_whole(path, media, stream, count, index, last)


def read_span(path: str | PathLike[str], first: int, last: int) -> Iterator[VideoFrame]:
    """Yield a span of frames, found by seeking; a file that does not allow that is read from its start.

    Args:
        path: The video.
        first: Time stamp of the first frame wanted, in ticks from the video's first frame.
        last: Time stamp of the last frame wanted.

    Yields:
        Frames whose ``index`` counts from the beginning of the span.
    """
    path = Path(path)
    frames = list(_sought(path, first, last))
    if not frames or frames[0].pts != first or frames[-1].pts != last:
        frames = [f for f in _native_frames(path) if first <= f.pts <= last]
    for index, frame in enumerate(frames):
        yield replace(frame, index=index)


def _sought(path: Path, first: int, last: int) -> Iterator[VideoFrame]:
    """Yield the frames of a span after seeking; they may be others where the file's index is wrong."""
    with open_media(path) as media:
        stream = video_stream(media, path)
        opening = _first_frame(media, stream, path)
        info, start = describe(media, stream, opening), opening.pts or 0
        media.seek(first + start, stream=stream, backward=True)
        for frame in _decoded(media, stream):
            pts = -1 if frame.pts is None else frame.pts - start
            if pts > last:
                return
            if pts >= first:
                time = float(pts * frame.time_base)
                yield VideoFrame(0, time, pts, frame.time_base, frame, info.encoding, info.rotation)


def _frame_ticks(fps: Fraction, time_base: Fraction) -> int:
    """Ticks from one frame to the next."""
    return max(1, round(1 / (fps * time_base)))


@dataclass
class _PacketCount:
    """Packets read, to notice a file that ends before its header says."""

    packets: int = 0
    lost: list[int] = field(default_factory=list)  # time stamps of packets that gave an error


def _with_damage_replaced(frames: Iterator[Any], count: _PacketCount) -> Iterator[tuple[Any, int | None, bool]]:
    """Yield (frame, time stamp, whether it is damaged); the last good frame replaces lost and damaged ones."""
    good: Any = None
    for frame in frames:
        while good is not None and count.lost and frame.pts is not None and count.lost[0] < frame.pts:
            yield good, count.lost.pop(0), True
        if count.lost and count.lost[0] == frame.pts:
            count.lost.pop(0)
        if frame.is_corrupt and good is not None:
            yield good, frame.pts, True
        else:
            good = frame
            yield frame, frame.pts, False
    while good is not None and count.lost:
        yield good, count.lost.pop(0), True


def _decoded(media: Any, stream: Any, count: _PacketCount | None = None) -> Iterator[Any]:
    """Yield the decoded frames of one stream; packets that cannot be decoded are counted and left out."""
    count = count or _PacketCount()
    for packet in staged("decode", media.demux(stream)):
        count.packets += packet.size > 0
        try:
            with stage("decode"):
                frames = packet.decode()
            yield from frames
        except av.InvalidDataError:
            if packet.pts is not None:
                count.lost = sorted([*count.lost, packet.pts])


def _require_whole(path: Path, media: Any, stream: Any, count: _PacketCount, decoded: int, last: int) -> None:
    if decoded == 0:
        raise MediaError(f"{printable(path)}: no frame could be decoded; copy the file again or export it anew")
    promised = stream.frames or 0
    end = float(last * stream.time_base) if stream.time_base else 0.0
    if count.packets < promised or _ends_early(path, media, end):
        where = f"cut off after frame {decoded}" + (f" of {promised}" if promised else "")
        raise MediaError(f"{printable(path)}: {where}; copy the file again or export it anew")


def _ends_early(path: Path, media: Any, end: float) -> bool:
    """Whether every stream stops well before the length that the header names: then the file was cut off.

    A picture that is shorter than its sound is no such case. The whole file is read only when the picture, which ends
    at ``end`` seconds, falls short.
    """
    promised = (media.duration or 0) / av.time_base
    tolerance = max(1.0, 0.02 * promised)
    if promised - end < tolerance or media.format.name not in _EXACT_LENGTH:
        return False
    with open_media(path) as again:
        ends = (float(p.pts * p.time_base) for p in again.demux() if p.pts is not None)
        return promised - max(ends, default=0.0) >= tolerance


def _first_frame(media: Any, stream: Any, path: Path) -> Any:
    frame = next(_decoded(media, stream), None)
    if frame is None:
        raise unreadable(path, ValueError("no frame could be decoded"))
    return frame


def _resampled(frames: Iterator[VideoFrame], fps: Fraction) -> Iterator[VideoFrame]:
    """Yield the nearest source frame for each output time k / fps; as many as fit into the duration, rounded."""
    held: VideoFrame | None = None
    k, gap = 0, 0.0
    for frame in frames:
        if held is not None:
            gap = frame.time - held.time
            while float(k / fps) < (held.time + frame.time) / 2:
                yield _retimed(held, k, fps)
                k += 1
        held = frame
    while held is not None and k < max(1, round((held.time + (gap or float(1 / fps))) * fps)):
        yield _retimed(held, k, fps)
        k += 1


def _retimed(frame: VideoFrame, k: int, fps: Fraction) -> VideoFrame:
    """The frame as number k of a video of that rate; pixels that were computed already are kept."""
    copy = VideoFrame(k, float(k / fps), k, 1 / fps, frame.native, frame.encoding, frame.rotation)
    if "pixels" in frame.__dict__:
        copy.__dict__["pixels"] = frame.pixels
    return copy
