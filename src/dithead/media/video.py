"""Reads videos: description, decoding with the rotation undone, resampling in time. H, W: displayed size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import av
import numpy as np

from dithead.errors import MediaError
from dithead.limits import MAX_FRAME_PIXELS, require_frame_size, require_frames, require_seconds
from dithead.media.clock import REMARK as JUMPED
from dithead.media.clock import FrameTimes
from dithead.media.colour import ColourEncoding
from dithead.media.damage import PacketCount, with_damage_replaced
from dithead.media.files import open_media, printable, unreadable
from dithead.media.info import PICTURE_TICK, VideoInfo, describe, picture_info
from dithead.media.partial_rgb import PartialRGB
from dithead.media.picture import WHITE, Picture, describe_picture, picture_format, picture_frames
from dithead.media.planes import Planes, planes_of, to_rgb
from dithead.media.presentation import DecodedFrame, Presentation
from dithead.media.wholeness import is_cut_off
from dithead.stages import stage, staged
from dithead.types import RGB, RGBLike

_EXACT_LENGTH = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
"""Formats whose header holds the true length."""
_LAST_FRAME = 0.1  # seconds by which containers round the length of their last frame (our choice)
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
    remark: str = ""  # what was changed for display, or is odd about it, for the notes of the result
    new_size: bool = False  # its stored size differs from that of the frame before it, so a shot begins here

    @cached_property
    def pixels(self) -> RGB:
        """The picture (H, W, 3) as displayed, exactly rounded; computed on first use."""
        return self._turned(to_rgb(self.native, self.encoding))

    @property
    def quick_pixels(self) -> RGB:
        """The picture (H, W, 3) as displayed, up to two levels too dark but five times as fast: for analysis only."""
        return self._turned(to_rgb(self.native, self.encoding, exact=False))

    @cached_property
    def quick_partial(self) -> RGBLike:
        """The same as ``quick_pixels``, but converted only where it is sliced, wherever the format allows that."""
        if PartialRGB.supports(self.native, self.rotation):
            return PartialRGB.of_frame(self.native, self.encoding, self.rotation)
        return self.quick_pixels

    @cached_property
    def partial(self) -> RGBLike:
        """Nearly the same as ``pixels``, but converted only where it is sliced, wherever the format allows that.

        Colours are interpolated as ``Planes.rgb`` does it, which does not know where exactly the chroma samples lie.
        """
        if PartialRGB.supports(self.native, self.rotation):
            return PartialRGB.of_frame(self.native, self.encoding, self.rotation, exact=True)
        return self.pixels

    def planes(self, pix_fmt: str) -> Planes:
        """Return the samples as displayed, in a format that ``working_format`` names; they are the caller's own."""
        return planes_of(self.native, pix_fmt, self.encoding, self.rotation)

    def _turned(self, rgb: RGB) -> RGB:
        return np.ascontiguousarray(np.rot90(rgb, self.rotation // 90))


def probe(path: str | PathLike[str]) -> VideoInfo:
    """Describe a video or a picture by its headers and first frame; MediaError if the file has none."""
    path = Path(path)
    if (picture := describe_picture(path)) is not None:
        return picture_info(picture)
    with open_media(path) as media:
        stream = video_stream(media, path)
        first = _first_frame(media, stream, path)
        shown = next(Presentation(WHITE).shown([DecodedFrame(first, first.pts)]))
        return describe(media, stream, first, shown.native.format.name)


def video_stream(media: Any, path: Path) -> Any:
    """Return the first video stream; MediaError if there is none. Cover pictures of audio files do not count."""
    for stream in _pictures(media):
        context = stream.codec_context
        require_frame_size(printable(path), context.width or 1, context.height or 1)
        context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
        return stream
    unknown = any(stream.codec_context is None for stream in media.streams.video)
    what = "has a picture of a kind that cannot be decoded" if unknown else "has no video"
    raise MediaError(f"{printable(path)}: {what}; give a file with a picture")


def first_frame_time(media: Any) -> float | None:
    """Return the seconds of the first displayed video frame in the container's clock; None without video."""
    for stream in _pictures(media):
        frame = next(_decoded(media, stream), None)
        return None if frame is None or frame.pts is None else float(frame.pts * frame.time_base)
    return None


def _pictures(media: Any) -> Iterator[Any]:
    """The streams that are films and that can be decoded."""
    for stream in media.streams.video:
        cover = stream.disposition & av.stream.Disposition.attached_pic
        if not cover and stream.codec_context is not None:
            yield stream


def read_frames(
    path: str | PathLike[str], *, fps: Fraction | float | None = None, background: tuple[int, int, int] = WHITE
) -> Iterator[VideoFrame]:
    """Yield the frames of a video or a picture in display order, one at a time.

    Args:
        path: The video or picture.
        fps: Resample to this rate by nearest time stamp; None: keep every frame and its own time stamp.
        background: Red, green and blue that show through transparent pixels.

    Raises:
        MediaError: The file is no video, or ends before its header says.
    """
    path = Path(path)
    frames = _native_frames(path, background)
    return frames if fps is None else _resampled(frames, Fraction(fps).limit_denominator(_RATE_DENOMINATOR))


def _native_frames(path: Path, background: tuple[int, int, int]) -> Iterator[VideoFrame]:
    """Yield every frame with its own time stamp, made strictly increasing."""
    if (picture := describe_picture(path)) is not None:
        yield from _picture_frames(path, picture, background)
        return
    done = 0
    try:
        for frame in _film_frames(path, background, "AUTO"):
            yield frame
            done += 1
    except _DamagedError:
        yield from islice(_film_frames(path, background, "NONE"), done, None)


def _film_frames(path: Path, background: tuple[int, int, int], threads: str) -> Iterator[VideoFrame]:
    """Yield every frame of a film.

    Where several threads decode, an error can take good frames around it along, so it ends the work with
    ``_DamagedError``; on one thread (``NONE``) it costs only its own frame.
    """
    with open_media(path) as media:
        stream = video_stream(media, path)
        stream.thread_type = threads
        count, presentation = PacketCount(strict=threads != "NONE"), Presentation(background)
        info: VideoInfo | None = None
        index = 0
        for item in presentation.shown(with_damage_replaced(_decoded(media, stream, count), count)):
            if info is None:
                info = describe(media, stream, item.decoded, item.native.format.name)
                time_base = item.decoded.time_base
                times = FrameTimes(time_base, _frame_ticks(info.fps, time_base))
            pts = times.place(item.stamp)
            require_seconds(printable(path), time := float(pts * time_base))
            require_frames(printable(path), index)
            yield VideoFrame(
                index, time, pts, time_base, item.native, info.encoding, info.rotation, item.damaged,
                remark=JUMPED if times.jumped else item.remark, new_size=item.new_size,
            )  # fmt: skip
            index += 1
        _require_whole(path, media, stream, count, index, min(_LAST_FRAME, 0.5 / float(info.fps)) if info else 0.0)


def _picture_frames(path: Path, picture: Picture, background: tuple[int, int, int]) -> Iterator[VideoFrame]:
    info = picture_info(picture)
    for index, (pixels, time) in enumerate(zip(picture_frames(path, background), picture.times, strict=True)):
        native = av.VideoFrame.from_ndarray(pixels, "rgb24")
        pts = round(time / PICTURE_TICK)
        yield VideoFrame(index, time, pts, PICTURE_TICK, native, info.encoding)


def read_span(
    path: str | PathLike[str],
    first: int,
    last: int,
    *,
    background: tuple[int, int, int] = WHITE,
    seekable: bool = True,
) -> Iterator[VideoFrame]:
    """Yield a span of frames, found by seeking; a file that does not allow that is read from its start.

    Args:
        path: The video.
        first: Time stamp of the first frame wanted, in ticks from the video's first frame.
        last: Time stamp of the last frame wanted.
        background: Red, green and blue that show through transparent pixels.
        seekable: Whether the file's own clock is that of the frames; it is not where it jumps.

    Yields:
        Frames whose ``index`` counts from the beginning of the span.
    """
    path = Path(path)
    frames = list(_sought(path, first, last, background)) if seekable and picture_format(path) is None else []
    if not frames or frames[0].pts != first or frames[-1].pts != last:
        frames = [f for f in _native_frames(path, background) if first <= f.pts <= last]
    for index, frame in enumerate(frames):
        yield replace(frame, index=index)


def _sought(path: Path, first: int, last: int, background: tuple[int, int, int]) -> Iterator[VideoFrame]:
    """Yield the frames of a span after seeking; they may be others where the file's index is wrong."""
    with open_media(path) as media:
        stream = video_stream(media, path)
        opening, presentation = _first_frame(media, stream, path), Presentation(background)
        start, time_base = opening.pts or 0, opening.time_base
        shown = next(presentation.shown([DecodedFrame(opening, opening.pts)]))
        info = describe(media, stream, opening, shown.native.format.name)
        media.seek(first + start, stream=stream, backward=True)
        decoded = (DecodedFrame(frame, frame.pts) for frame in _decoded(media, stream))
        for item in presentation.shown(decoded):
            pts = -1 if item.stamp is None else item.stamp - start
            if pts > last:
                return
            if pts >= first:
                time = float(pts * time_base)
                yield VideoFrame(0, time, pts, time_base, item.native, info.encoding, info.rotation)


def _frame_ticks(fps: Fraction, time_base: Fraction) -> int:
    """Ticks from one frame to the next."""
    return max(1, round(1 / (fps * time_base)))


class _DamagedError(Exception):
    """A packet could not be decoded."""


def _decoded(media: Any, stream: Any, count: PacketCount | None = None) -> Iterator[Any]:
    """Yield the decoded frames of one stream; packets that cannot be decoded are counted and left out."""
    count = count or PacketCount()
    for packet in staged("decode", media.demux(stream)):
        count.packets += packet.size > 0
        if packet.pts is not None:
            count.end = max(count.end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        try:
            with stage("decode"):
                frames = packet.decode()
            count.failing = count.failing and not frames
            if count.failing and packet.pts is not None:
                count.lost = sorted([*count.lost, packet.pts])
            yield from frames
        except (av.InvalidDataError, av.PatchWelcomeError):
            if count.strict:
                raise _DamagedError from None
            count.failing = True
            if packet.pts is not None:
                count.lost = sorted([*count.lost, packet.pts])


def _require_whole(path: Path, media: Any, stream: Any, count: PacketCount, decoded: int, room: float) -> None:
    if decoded == 0:
        raise MediaError(f"{printable(path)}: no frame could be decoded; copy the file again or export it anew")
    promised = stream.frames or 0
    lacking = count.packets < promised or (not promised and _falls_short(media, count, room))
    if (lacking and is_cut_off(path)) or _ends_early(path, media, count.end):
        where = f"cut off after frame {decoded}" + (f" of {promised}" if promised else "")
        raise MediaError(f"{printable(path)}: {where}; copy the file again or export it anew")


def _falls_short(media: Any, count: PacketCount, room: float) -> bool:
    """Whether the picture ends before the header says, by more than ``room`` seconds, or the header does not say."""
    promised = float(media.duration or 0) / av.time_base
    return promised == 0 or count.end < promised - room


def _ends_early(path: Path, media: Any, end: float) -> bool:
    """Whether every stream stops well before the length that the header names: then the file was cut off.

    A picture that is shorter than its sound is no such case. The whole file is read only when the picture, whose last
    frame ends at ``end`` seconds, falls short.
    """
    promised = (media.duration or 0) / av.time_base
    tolerance = max(1.0, 0.02 * promised)
    if promised - end < tolerance or media.format.name not in _EXACT_LENGTH:
        return False
    with open_media(path) as again:
        ends = (float((p.pts + (p.duration or 0)) * p.time_base) for p in again.demux() if p.pts is not None)
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
    copy = replace(frame, index=k, time=float(k / fps), pts=k, time_base=1 / fps, damaged=False)
    if "pixels" in frame.__dict__:
        copy.__dict__["pixels"] = frame.pixels
    return copy
