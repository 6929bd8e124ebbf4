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
from dithead.media.quality import CODECS, DEFAULT_CRF, HARDWARE, REALTIME
from dithead.types import RGB

DEFAULT_PRESET = "veryfast"
"""Preset of x264 and x265: three times as fast as ``fast`` and hardly worse at the same crf. Our choice."""
_REALTIME_TOOLS = "bframes=3:b-adapt=0:subme=1:8x8dct=1:partitions=i8x8,i4x4"
"""What ``realtime`` adds to x264's ``ultrafast``: frames in between, which save a third of the size (docs/results)."""
_REALTIME_CRF = -0.7
"""What ``realtime`` adds to the crf, so that its PSNR is that of ``veryfast`` at the same crf."""
_THREADS = 4
"""Frames that are encoded at once. Their number changes the bytes, so it does not depend on the machine."""


_LAMBDA = 118  # FFmpeg's FF_QP2LAMBDA, by which VideoToolbox's quality of 0 to 100 is multiplied

_LONGEST_DELAY = 60.0  # seconds that no encoder decodes the first frame before it is shown (our choice)


@dataclass(frozen=True)
class EncoderOptions:
    """Which encoder to use and how well it is to encode."""

    crf: float = DEFAULT_CRF
    """Constant rate factor, 0 to 51; smaller is better."""
    lossless: bool = False
    """Keep every sample; ``crf`` then means nothing."""
    codec: str = "libx264"
    """FFmpeg's name of the encoder, see ``encoder_named``."""
    preset: str = DEFAULT_PRESET
    """The balance of speed and size: a preset of x264 and x265, or ``realtime``."""
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
        if quality.codec == "libx264":
            return _x264_options(quality, "444" in self.pix_fmt)
        if quality.codec == "libx265":
            rate = "lossless=1" if quality.lossless else f"crf={quality.crf:g}"
            preset = DEFAULT_PRESET if quality.preset == REALTIME else quality.preset
            return {"preset": preset, "x265-params": f"{rate}:frame-threads=2:log-level=none"}
        return _hardware_options(quality)

    @property
    def encoded_format(self) -> str:
        """Sample format that the encoder gets: that of the picture, but for hardware that takes chroma interleaved."""
        if self.quality.codec.endswith(("_qsv", "_amf")):
            return {"yuv420p": "nv12", "yuv420p10le": "p010le"}.get(self.pix_fmt, self.pix_fmt)
        return self.pix_fmt

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
        stream.width, stream.height, stream.pix_fmt = self.like.width, self.like.height, self.encoded_format
        self._configure(stream.codec_context)
        return stream

    def codec_context(self) -> Any:
        """Return an encoder outside any container, whose packets the streams of ``add_stream`` can take."""
        context: Any = av.CodecContext.create(self.quality.codec, "w")
        context.width, context.height, context.pix_fmt = self.like.width, self.like.height, self.encoded_format
        context.framerate, context.options = self.like.fps, self.ffmpeg_options
        context.flags |= av.codec.context.Flags.global_header.value
        self._configure(context)
        return context

    def require_encoder(self) -> None:
        """Raise OutputError unless the encoder works on this machine and takes the picture's format."""
        codec = self.quality.codec
        if not codec.endswith(HARDWARE):
            return
        try:
            if self.encoded_format not in {each.name for each in av.Codec(codec, "w").video_formats or ()}:
                raise OutputError(f"{codec} does not encode {self.pix_fmt}; use --encoder auto")
            self.codec_context().open()
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"this machine cannot encode with {codec} ({reason}); use --encoder auto") from None

    def _configure(self, context: Any) -> None:
        like = self.like
        context.time_base = self.time_base
        context.color_range = 2 if like.encoding.full_range else like.color_range
        context.colorspace = like.color_space if like.color_space else like.encoding.matrix
        context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
        context.thread_type, context.thread_count = "FRAME", 1 if self.quality.repeatable else _THREADS
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


def with_decoding_times(packets: list[Any], begin: Fraction) -> list[Any]:
    """Mend the decoding times of encoded packets: x265 leaves them undefined where it was given a single frame.

    After a pause in the video a frame is rightly decoded long before it is shown, but never before the first one.

    Args:
        packets: What the encoder returned.
        begin: Seconds at which the first frame that it was given is shown.
    """
    for packet in packets:
        if packet.dts is None or packet.dts > packet.pts or begin - packet.dts * packet.time_base > _LONGEST_DELAY:
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


def encoder_named(encoder: str, codec: str, *, lossless: bool = False) -> str:
    """Return FFmpeg's name of an encoder.

    Args:
        encoder: One of ``quality.ENCODERS``.
        codec: ``h264`` or ``hevc``.
        lossless: It must be able to encode without loss.

    Raises:
        ConfigError: The codec is unknown, or the encoder does not make it, or not without loss.
    """
    if codec not in CODECS:
        raise ConfigError(f"unknown codec '{codec}'; choose one of: {', '.join(CODECS)}")
    if encoder in HARDWARE:
        if lossless:
            raise ConfigError(f"encoder {encoder} cannot encode without loss; use auto")
        return f"{codec}_{encoder}"
    if encoder not in ("auto", CODECS[codec].removeprefix("lib")):
        raise ConfigError(f"encoder {encoder} does not make {codec}; use auto or another codec")
    return CODECS[codec]


def _x264_options(quality: EncoderOptions, full_chroma: bool) -> dict[str, str]:
    """Options of x264; ``full_chroma``: the picture is 4:4:4."""
    fast = quality.preset == REALTIME
    options = {"preset": "ultrafast", "x264-params": _REALTIME_TOOLS} if fast else {"preset": quality.preset}
    if quality.lossless:
        return options | {"qp": "0"}
    options["mbtree"] = "0"  # the macroblock tree reads uninitialised memory: bits would differ from run to run
    # x264 spends too few bits on chroma for pictures that are edited again, most of all in 4:4:4
    crf = max(0.0, quality.crf + (_REALTIME_CRF if fast else 0.0))
    return options | {"crf": f"{crf:g}", "chromaoffset": "-8" if full_chroma else "-4"}


def _hardware_options(quality: EncoderOptions) -> dict[str, str]:
    """Options by which a hardware encoder keeps the quality constant, as ``crf`` does; none of them was measured."""
    level = f"{round(quality.crf)}"
    kind = quality.codec.rpartition("_")[2]
    if kind == "nvenc":
        return {"rc": "vbr", "cq": level, "b": "0"}
    if kind == "qsv":
        return {"global_quality": level}
    if kind == "videotoolbox":
        scale = round(_LAMBDA * 100 * (1 - quality.crf / 51))
        return {"flags": "+qscale", "global_quality": f"{scale}"}
    return {"rc": "cqp", "qp_i": level, "qp_p": level, "qp_b": level}
