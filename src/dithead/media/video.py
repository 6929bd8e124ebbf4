"""Video files to frames: probing, decoding with rotation undone, resampling in time. H, W: displayed size."""

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
from dithead.media.colour import Encoding
from dithead.media.files import open_media, printable, unreadable
from dithead.media.info import VideoInfo, describe
from dithead.media.planes import to_rgb
from dithead.types import RGB

_HONEST = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")  # formats whose header holds the true length


@dataclass
class VideoFrame:
    """One decoded frame. ``time`` (seconds) and ``pts`` (``time_base`` ticks) count from the first frame."""

    index: int
    time: float
    pts: int
    time_base: Fraction
    native: Any  # av.VideoFrame as decoded, not yet rotated
    encoding: Encoding
    rotation: int = 0
    damaged: bool = False  # could not be decoded: shows the last good frame instead

    @cached_property
    def pixels(self) -> RGB:
        """(H, W, 3) as displayed, exactly rounded; computed when first asked for."""
        return self._turned(to_rgb(self.native, self.encoding))

    @property
    def quick_pixels(self) -> RGB:
        """(H, W, 3) as displayed, up to two levels too dark: five times as quick, for looking at, not to keep."""
        return self._turned(to_rgb(self.native, self.encoding, exact=False))

    def _turned(self, rgb: RGB) -> RGB:
        return np.ascontiguousarray(np.rot90(rgb, self.rotation // 90))


def probe(path: str | PathLike[str]) -> VideoInfo:
    """Describe the video at ``path`` from its headers and first frame; ``MediaError`` if there is none."""
    path = Path(path)
    with open_media(path) as media:
        stream = video_stream(media, path)
        first = _first_frame(media, stream, path)
        return describe(media, stream, first)


def video_stream(media: Any, path: Path) -> Any:
    """The first real video stream; cover pictures of audio files do not count."""
    for stream in media.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise MediaError(f"{printable(path)}: has no video; give a file with a picture")


def first_frame_time(media: Any) -> float | None:
    """Seconds of the first displayed video frame in the container's clock; None without video."""
    for stream in media.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            frame = next(_decoded(media, stream), None)
            return None if frame is None or frame.pts is None else float(frame.pts * frame.time_base)
    return None


def read_frames(path: str | PathLike[str], *, fps: Fraction | float | None = None) -> Iterator[VideoFrame]:
    """Yield the frames of ``path`` in display order, one at a time.

    fps: resample to this rate by nearest time stamp; None keeps every frame and its own time stamp.
    Raises ``MediaError`` naming the file when it is no video, or ends before its header says.
    """
    path = Path(path)
    frames = _native_frames(path)
    return frames if fps is None else _resampled(frames, Fraction(fps).limit_denominator(1001 * 240))


def _native_frames(path: Path) -> Iterator[VideoFrame]:
    with open_media(path) as media:
        stream = video_stream(media, path)
        stream.thread_type = "AUTO"
        count = _Count()
        info: VideoInfo | None = None
        start = last = index = 0
        for frame, stamp, damaged in _mended(_decoded(media, stream, count), count):
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
    """The frames with time stamps from ``first`` to ``last`` (ticks from the first frame), found by seeking.

    ``index`` counts from the span's beginning. Files that cannot be sought in are read from their start.
    """
    path = Path(path)
    frames = list(_sought(path, first, last))
    if not frames or frames[0].pts != first or frames[-1].pts != last:
        frames = [f for f in _native_frames(path) if first <= f.pts <= last]
    for index, frame in enumerate(frames):
        yield replace(frame, index=index)


def _sought(path: Path, first: int, last: int) -> Iterator[VideoFrame]:
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
    return max(1, round(1 / (fps * time_base)))


@dataclass
class _Count:
    """Packets seen by the demuxer, to notice a file that ends before its header says."""

    packets: int = 0
    lost: list[int] = field(default_factory=list)  # time stamps of packets that gave an error


def _mended(frames: Iterator[Any], count: _Count) -> Iterator[tuple[Any, int | None, bool]]:
    """(frame, time stamp, is it damaged) with every lost or damaged frame replaced by the last good one."""
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


def _decoded(media: Any, stream: Any, count: _Count | None = None) -> Iterator[Any]:
    """Decoded frames of one stream; packets that cannot be decoded are counted, and left out."""
    count = count or _Count()
    for packet in media.demux(stream):
        count.packets += packet.size > 0
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            if packet.pts is not None:
                count.lost = sorted([*count.lost, packet.pts])


def _require_whole(path: Path, media: Any, stream: Any, count: _Count, decoded: int, last: int) -> None:
    if decoded == 0:
        raise MediaError(f"{printable(path)}: no frame could be decoded; copy the file again or export it anew")
    promised = stream.frames or 0
    end = float(last * stream.time_base) if stream.time_base else 0.0
    if count.packets < promised or _ends_early(path, media, end):
        where = f"cut off after frame {decoded}" + (f" of {promised}" if promised else "")
        raise MediaError(f"{printable(path)}: {where}; copy the file again or export it anew")


def _ends_early(path: Path, media: Any, end: float) -> bool:
    """Whether no stream comes near the length in the header; ``end``: of the picture, in seconds.

    Containers that are cut off simply stop. A picture shorter than its sound is no such case, so the whole file
    is only looked through when the picture falls short.
    """
    promised = (media.duration or 0) / av.time_base
    slack = max(1.0, 0.02 * promised)
    if promised - end < slack or media.format.name not in _HONEST:
        return False
    with open_media(path) as again:
        ends = (float(p.pts * p.time_base) for p in again.demux() if p.pts is not None)
        return promised - max(ends, default=0.0) >= slack


def _first_frame(media: Any, stream: Any, path: Path) -> Any:
    frame = next(_decoded(media, stream), None)
    if frame is None:
        raise unreadable(path, ValueError("no frame could be decoded"))
    return frame


def _resampled(frames: Iterator[VideoFrame], fps: Fraction) -> Iterator[VideoFrame]:
    """Nearest source frame for each output time k / fps; as many outputs as the duration holds, rounded."""
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
    copy = VideoFrame(k, float(k / fps), k, 1 / fps, frame.native, frame.encoding, frame.rotation)
    if "pixels" in frame.__dict__:
        copy.__dict__["pixels"] = frame.pixels
    return copy
