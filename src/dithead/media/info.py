"""Describes a video by its headers and first frame: size, rate, colour, rotation, streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from dithead.media.colour import ColourEncoding, encoding_of

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

    @property
    def encoding(self) -> ColourEncoding:
        """How the samples code colours."""
        return encoding_of(self.color_space, self.color_range, self.pix_fmt, self.height)


PICTURE_FORMATS = ("image2", "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "webp")


def describe(media: Any, stream: Any, first: Any) -> VideoInfo:
    """Describe a video by its container, its picture stream and its first decoded frame.

    Args:
        media: Open container of PyAV.
        stream: Its picture stream.
        first: The first decoded frame, which is right about colours where the headers are not.
    """
    rotation = int(first.rotation) % 360
    rotation = round(rotation / 90) % 4 * 90
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
        pix_fmt=first.format.name,
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
    )


def _duration(media: Any, stream: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return 0.0 if media.duration is None else media.duration / av.time_base
