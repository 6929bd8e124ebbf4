"""Describes a video by its headers and first frame: size, rate, colour, rotation, streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from dithead.media.colour import ColourEncoding, encoding_of
from dithead.media.orientation import orientation_of
from dithead.media.picture import TRANSPARENT, Picture

_UNSPECIFIED = 2  # H.273 code for primaries, transfer and matrix


@dataclass(frozen=True)
class VideoInfo:
    """A description of a video file; width and height are as displayed, with the rotation undone."""

    width: int
    height: int
    fps: Fraction  # average rate
    frames: int | None = None  # None: unknown
    duration: float = 0.0  # seconds; 0 when unknown
    pix_fmt: str = "yuv420p"
    color_range: int = 0  # FFmpeg's AVColorRange: 1 limited, 2 full
    color_space: int = _UNSPECIFIED
    color_primaries: int = _UNSPECIFIED
    color_trc: int = _UNSPECIFIED
    rotation: int = 0  # degrees counter-clockwise that the reader undoes
    has_audio: bool = False
    start_time: float = 0.0  # seconds of the first frame in the container's clock
    time_base: Fraction | None = None  # seconds of a tick of the time stamps
    codec: str = ""  # FFmpeg's name of the decoder
    sample_aspect: Fraction | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    still: bool = False  # a picture, not a video
    other_streams: tuple[str, ...] = ()  # types of the streams besides the picture, such as "audio" or "subtitle"
    chapters: int = 0  # how many the container names
    remarks: tuple[str, ...] = ()  # what of the file is changed or left out, as far as its header says

    @property
    def encoding(self) -> ColourEncoding:
        """How the samples code colours."""
        return encoding_of(
            self.color_space, self.color_range, self.pix_fmt, self.height, self.color_trc, self.color_primaries
        )


PICTURE_FORMATS = ("image2", "qoi_pipe", "exr_pipe", "hdr_pipe", "dpx_pipe", "psd_pipe", "jpegxl_pipe", "jpegls_pipe")
"""FFmpeg's formats of still pictures; most pictures are read by ``media.picture`` instead."""
PICTURE_TICK = Fraction(1, 1000)
"""Seconds of a tick of the time stamps of animated pictures."""
_STILL_RATE = Fraction(25)
_HIGHEST_RATE = 120


def picture_info(picture: Picture) -> VideoInfo:
    """Describe a picture as a video: a film of BT.709 if it is animated, else a still in RGB."""
    tag = 2 if picture.still else 1  # unspecified, or BT.709
    rate = _STILL_RATE if picture.still else Fraction(len(picture.times) / picture.seconds).limit_denominator(1000)
    return VideoInfo(
        width=picture.width,
        height=picture.height,
        fps=min(max(rate, Fraction(1, 60)), Fraction(_HIGHEST_RATE)),
        frames=len(picture.times),
        duration=picture.seconds,
        pix_fmt="rgb24" if picture.still else "yuv420p",
        time_base=PICTURE_TICK,
        codec=picture.kind.lower(),
        still=picture.still,
        remarks=_picture_remarks(picture),
        color_range=0 if picture.still else 1,
        color_space=tag,
        color_primaries=tag,
        color_trc=tag,
    )


def _picture_remarks(picture: Picture) -> tuple[str, ...]:
    found = [TRANSPARENT] if picture.transparent else []
    if picture.stored_width:
        found.append(f"it is scaled down to {picture.width}x{picture.height}, the most that players of H.264 show")
    if picture.still and picture.pages > 1:
        found.append(f"only the first of its {picture.pages} pictures is used")
    return tuple(found)


def describe(media: Any, stream: Any, first: Any, pix_fmt: str) -> VideoInfo:
    """Describe a video by its container, its picture stream and its first decoded frame.

    Args:
        media: Open container of PyAV.
        stream: Its picture stream.
        first: The first decoded frame, which is right about colours where the headers are not.
        pix_fmt: FFmpeg's name of the format in which the frames are displayed.
    """
    rotation = orientation_of(first).rotation
    width, height = first.width, first.height
    if rotation % 180:
        width, height = height, width
    fps = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    return VideoInfo(
        width=width,
        height=height,
        fps=Fraction(fps),
        frames=stream.frames or None,
        duration=_duration(media, stream),
        pix_fmt=pix_fmt,
        color_range=int(first.color_range),
        color_space=int(first.colorspace),
        color_primaries=int(first.color_primaries),
        color_trc=int(first.color_trc),
        rotation=rotation,
        has_audio=bool(media.streams.audio),
        start_time=float((first.pts or 0) * first.time_base),
        time_base=first.time_base,
        codec=stream.codec_context.name,
        sample_aspect=stream.sample_aspect_ratio or None,
        metadata=dict(media.metadata),
        still=media.format.name in PICTURE_FORMATS,
        other_streams=tuple(s.type for s in media.streams if s.index != stream.index),
        chapters=len(media.chapters()),
        remarks=_stream_remarks(stream),
    )


def _stream_remarks(stream: Any) -> tuple[str, ...]:
    tags = {name.lower(): text for name, text in stream.metadata.items()}
    return ("its transparency is left out",) if tags.get("alpha_mode") == "1" else ()


def _duration(media: Any, stream: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return 0.0 if media.duration is None else media.duration / av.time_base
