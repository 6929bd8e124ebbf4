"""Encoder settings for pictures, the same for whole files and for segments that are joined later."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from dithead.errors import ConfigError, OutputError
from dithead.media.files import printable
from dithead.media.info import VideoInfo
from dithead.media.planes import Planes, planes_of_rgb, working_format
from dithead.media.quality import CODECS, DEFAULT_CRF
from dithead.types import RGB

DEFAULT_PRESET = "veryfast"
"""Preset of x264 and x265: three times as fast as ``fast`` and hardly worse at the same crf. Our choice."""

_LONGEST_DELAY = 60.0  # seconds between decoding and showing a frame that no encoder reaches (our choice)


@dataclass(frozen=True)
class EncoderOptions:
    """Which encoder to use and how well it is to encode."""

    crf: float = DEFAULT_CRF
    """Constant rate factor, 0 to 51; smaller is better."""
    lossless: bool = False
    """Keep every sample; ``crf`` then means nothing."""
    codec: str = "libx264"
    """FFmpeg's name of the encoder: ``libx264`` or ``libx265``."""
    preset: str = DEFAULT_PRESET
    """The encoder's balance of speed and size."""
    repeatable: bool = False
    """Encode on one thread, so that the same frames give the same bytes on any machine; slower."""

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ConfigError(f"crf must lie between 0 (best) and 51, not {self.crf:g}")


@dataclass(frozen=True)
class PictureEncoding:
    """How the pictures of one output file are encoded.

    Args:
        like: Video whose size, frame rate, time base, colour tags and sample format the output keeps.
        quality: Encoder and quality.
    """

    like: VideoInfo
    quality: EncoderOptions = EncoderOptions()

    @property
    def pix_fmt(self) -> str:
        """Sample format that is encoded, by FFmpeg's name."""
        return working_format(self.like.pix_fmt, self.like.width, self.like.height, self.like.rotation)

    @property
    def time_base(self) -> Fraction:
        """Seconds of one tick of the time stamps."""
        return self.like.time_base or 1 / self.like.fps

    @property
    def ffmpeg_options(self) -> dict[str, str]:
        """Private options of the encoder, by FFmpeg's names."""
        quality = self.quality
        options = {"preset": quality.preset}
        if quality.codec == "libx265":
            rate = "lossless=1" if quality.lossless else f"crf={quality.crf:g}"
            return options | {"x265-params": f"{rate}:log-level=none"}
        if quality.lossless:
            return options | {"qp": "0"}
        options["mbtree"] = "0"  # the macroblock tree reads uninitialised memory: bits would differ from run to run
        # x264 spends too few bits on chroma for pictures that are edited again, most of all in 4:4:4
        chroma = "-8" if "444" in self.pix_fmt else "-4"
        return options | {"crf": f"{quality.crf:g}", "chromaoffset": chroma}

    def add_stream(self, media: Any, path: Path) -> Any:
        """Add a picture stream with these settings to an output container.

        Args:
            media: Output container of PyAV.
            path: Its file, for the error message.

        Raises:
            OutputError: This FFmpeg lacks the encoder, or it refuses the settings.
        """
        codec = self.quality.codec
        try:
            stream = media.add_stream(codec, rate=self.like.fps, options=self.ffmpeg_options)
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(
                f"{printable(path)}: cannot encode with {codec} ({error}); choose another codec"
            ) from None
        stream.width, stream.height, stream.pix_fmt = self.like.width, self.like.height, self.pix_fmt
        self._configure(stream.codec_context)
        return stream

    def codec_context(self) -> Any:
        """Return an encoder outside any container, whose packets the streams of ``add_stream`` can take."""
        context: Any = av.CodecContext.create(self.quality.codec, "w")
        context.width, context.height, context.pix_fmt = self.like.width, self.like.height, self.pix_fmt
        context.framerate, context.options = self.like.fps, self.ffmpeg_options
        context.flags |= av.codec.context.Flags.global_header.value
        self._configure(context)
        return context

    def _configure(self, context: Any) -> None:
        like = self.like
        context.time_base = self.time_base
        context.color_range = 2 if like.encoding.full_range else like.color_range
        context.colorspace = like.color_space if like.color_space else like.encoding.matrix
        context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
        context.thread_type, context.thread_count = "FRAME", 1 if self.quality.repeatable else 0
        if like.sample_aspect:
            context.sample_aspect_ratio = like.sample_aspect


class FrameClock:
    """Give every frame a time stamp later than that of the frame before it, in the source's time base."""

    def __init__(self, like: VideoInfo) -> None:
        self.fps = like.fps
        self.time_base = like.time_base or 1 / like.fps
        self.frames = 0
        self.last_pts = -1

    @property
    def end(self) -> Fraction:
        """Seconds at which the last frame ends."""
        return self.last_pts * self.time_base + 1 / self.fps

    def stamp(self, frame: Any, pts: int | None, time_base: Fraction | None) -> None:
        """Set the time stamp of a frame.

        Args:
            frame: ``av.VideoFrame`` that is stamped in place.
            pts: Its time in ticks of ``time_base``; None: it follows the last frame at the frame rate.
            time_base: Seconds of a tick of ``pts``; None: the source's.
        """
        if pts is None:
            pts = round(self.frames / (self.fps * self.time_base))
        elif time_base is not None and time_base != self.time_base:
            pts = round(pts * time_base / self.time_base)
        self.last_pts = frame.pts = max(pts, self.last_pts + 1)
        frame.time_base = self.time_base
        self.frames += 1


def with_decoding_times(packets: list[Any]) -> list[Any]:
    """Mend the decoding times of encoded packets: x265 leaves them undefined where it was given a single frame."""
    for packet in packets:
        if packet.dts is None or abs(packet.pts - packet.dts) * packet.time_base > _LONGEST_DELAY:
            packet.dts = packet.pts
    return packets


def to_video_frame(picture: RGB | Planes, like: VideoInfo, pix_fmt: str) -> Any:
    """Return the ``av.VideoFrame`` of a picture (H, W, 3) or of its planes.

    Raises:
        ValueError: The picture's size is not that of ``like``.
    """
    if not isinstance(picture, Planes):
        picture = planes_of_rgb(picture, pix_fmt, like.encoding)
    height, width = picture.arrays[0].shape
    if (width, height) != (like.width, like.height):
        raise ValueError(f"{width}x{height} frame in a {like.width}x{like.height} video")
    return picture.to_frame()


def codec_named(name: str) -> str:
    """Return FFmpeg's encoder for ``h264`` or ``hevc``; ConfigError for any other name."""
    try:
        return CODECS[name]
    except KeyError:
        raise ConfigError(f"unknown codec '{name}'; choose one of: {', '.join(CODECS)}") from None
