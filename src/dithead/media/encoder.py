"""How pictures are encoded, the same for whole files and for segments that are joined later."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from dithead.errors import ConfigError, OutputError
from dithead.media.files import shown
from dithead.media.info import VideoInfo
from dithead.media.planes import Planes, planes_of_rgb, working_format
from dithead.media.quality import CODECS, DEFAULT_CRF
from dithead.types import RGB

DEFAULT_PRESET = "veryfast"  # three times as quick as "fast", and hardly worse at one crf


@dataclass(frozen=True)
class PictureEncoding:
    """Encoder settings for videos like ``like``."""

    like: VideoInfo
    crf: float = DEFAULT_CRF
    lossless: bool = False
    codec: str = "libx264"
    preset: str = DEFAULT_PRESET
    repeatable: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ConfigError(f"crf must lie between 0 (best) and 51, not {self.crf:g}")

    @property
    def pix_fmt(self) -> str:
        return working_format(self.like.pix_fmt, self.like.width, self.like.height, self.like.rotation)

    @property
    def time_base(self) -> Fraction:
        return self.like.time_base or 1 / self.like.fps

    @property
    def options(self) -> dict[str, str]:
        """Options of the encoder."""
        options = {"preset": self.preset}
        if self.codec == "libx265":
            quality = "lossless=1" if self.lossless else f"crf={self.crf:g}"
            return options | {"x265-params": f"{quality}:log-level=none"}
        if self.lossless:
            return options | {"qp": "0"}
        options["mbtree"] = "0"  # the macroblock tree reads memory that nobody wrote: bits differ from run to run
        # x264 spends too little on chroma for pictures that are edited again, least of all in 4:4:4
        chroma = "-8" if "444" in self.pix_fmt else "-4"
        return options | {"crf": f"{self.crf:g}", "chromaoffset": chroma}

    def add_to(self, media: Any, path: Path) -> Any:
        """A picture stream with these settings in an output container; ``path`` is for the message."""
        try:
            stream = media.add_stream(self.codec, rate=self.like.fps, options=self.options)
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(f"{shown(path)}: cannot encode with {self.codec} ({error})") from None
        stream.width, stream.height, stream.pix_fmt = self.like.width, self.like.height, self.pix_fmt
        self._configure(stream.codec_context)
        return stream

    def context(self) -> Any:
        """A free-standing encoder with these settings, whose packets ``add_to``'s streams can take."""
        context: Any = av.CodecContext.create(self.codec, "w")
        context.width, context.height, context.pix_fmt = self.like.width, self.like.height, self.pix_fmt
        context.framerate, context.options = self.like.fps, self.options
        context.flags |= av.codec.context.Flags.global_header.value
        self._configure(context)
        return context

    def _configure(self, context: Any) -> None:
        like = self.like
        context.time_base = self.time_base
        context.color_range = 2 if like.encoding.full_range else like.color_range
        context.colorspace = like.color_space if like.color_space else like.encoding.matrix
        context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
        context.thread_type, context.thread_count = "FRAME", 1 if self.repeatable else 0
        if like.sample_aspect:
            context.sample_aspect_ratio = like.sample_aspect


class Clock:
    """Gives every frame a time stamp later than the last, in the source's time base."""

    def __init__(self, like: VideoInfo) -> None:
        self.fps = like.fps
        self.time_base = like.time_base or 1 / like.fps
        self.frames = 0
        self.last = -1

    @property
    def end(self) -> Fraction:
        """Seconds at which the last frame ends."""
        return self.last * self.time_base + 1 / self.fps

    def stamp(self, frame: Any, pts: int | None, time_base: Fraction | None) -> None:
        """Set the frame's time; without ``pts`` it follows the last at the frame rate."""
        if pts is None:
            pts = round(self.frames / (self.fps * self.time_base))
        elif time_base is not None and time_base != self.time_base:
            pts = round(pts * time_base / self.time_base)
        self.last = frame.pts = max(pts, self.last + 1)
        frame.time_base = self.time_base
        self.frames += 1


def frame_of(picture: RGB | Planes, like: VideoInfo, pix_fmt: str) -> Any:
    """An ``av.VideoFrame`` of a picture (H, W, 3) or its planes; ValueError when its size is another."""
    if not isinstance(picture, Planes):
        picture = planes_of_rgb(picture, pix_fmt, like.encoding)
    height, width = picture.arrays[0].shape
    if (width, height) != (like.width, like.height):
        raise ValueError(f"{width}x{height} frame in a {like.width}x{like.height} video")
    return picture.to_frame()


def codec_named(name: str) -> str:
    """FFmpeg's encoder for ``h264`` or ``hevc``."""
    try:
        return CODECS[name]
    except KeyError:
        raise ConfigError(f"unknown codec '{name}'; choose one of: {', '.join(CODECS)}") from None
