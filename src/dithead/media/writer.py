"""Frames and sound to one video file, encoded once, in constant memory, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from dithead.errors import OutputError
from dithead.media.files import create_media, muxer_for, replacing, shown
from dithead.media.info import VideoInfo
from dithead.media.planes import Planes, planes_of_rgb, working_format
from dithead.types import RGB, Wave

Sound: TypeAlias = "Path | tuple[Wave, int]"  # a file, or mono samples with their rate

DEFAULT_CRF = 8.0  # every frame of every source tried keeps 46 dB in each plane, with the two below
DEFAULT_PRESET = "veryfast"  # three times as quick as "fast"; at crf 8 as good as that at 10
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


class VideoWriter:
    """Context manager: ``write`` frames in order; the file appears under its name when the block ends well.

    like: size, frame rate, colour tags and sample format to write.  crf: H.264 quality, smaller is better;
    ``lossless`` keeps every sample.  repeatable: the same frames give the same bytes, on any machine; slower.
    audio: cut or filled with silence to the picture's length.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        like: VideoInfo,
        *,
        crf: float = DEFAULT_CRF,
        lossless: bool = False,
        codec: str = "libx264",
        preset: str = DEFAULT_PRESET,
        repeatable: bool = False,
        audio: Sound | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.path, self.like = Path(path), like
        self.muxer = muxer_for(self.path)
        self.pix_fmt = working_format(like.pix_fmt, like.width, like.height, like.rotation)
        self.time_base = like.time_base or 1 / like.fps
        self.options = {"preset": preset} | ({"qp": "0"} if lossless else {"crf": f"{crf:g}"})
        if codec == "libx264" and not lossless:
            # x264 spends too little on chroma for pictures that are edited again, least of all in 4:4:4
            self.options["chromaoffset"] = "-8" if "444" in self.pix_fmt else "-4"
        self.codec, self.sound, self.metadata = codec, audio, metadata or {}
        self.threads = 1 if repeatable else 0
        if repeatable:  # x264's macroblock tree reads memory that nobody wrote: bits differ from run to run
            self.options["mbtree"] = "0"
        self.frames = 0
        self._last_pts = -1
        self._end = Fraction(0)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            track = None if self.sound is None else AudioTrack(self.sound)
            self._media = create_media(temporary, self.muxer, movflags="+faststart")
            stack.callback(self._media.close)
            self._media.metadata.update(self.metadata)
            self._stream = self._add_picture()
            self._audio = None if track is None else AudioMuxer(self._media, track)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._finish()
            except BaseException as late:
                if not self._stack.__exit__(type(late), late, late.__traceback__):
                    raise
        self._stack.__exit__(kind, error, trace)

    def write(self, picture: RGB | Planes, pts: int | None = None, time_base: Fraction | None = None) -> None:
        """Append one frame (H, W, 3) or its planes. Without ``pts`` it follows the last at the frame rate."""
        if not isinstance(picture, Planes):
            picture = planes_of_rgb(picture, self.pix_fmt, self.like.encoding)
        height, width = picture.arrays[0].shape
        if (width, height) != (self.like.width, self.like.height):
            raise ValueError(f"{width}x{height} frame in a {self.like.width}x{self.like.height} video")
        frame = picture.to_frame()
        frame.pts = self._next_pts(pts, time_base)
        frame.time_base = self.time_base
        self._mux(self._stream.encode(frame))
        self.frames += 1
        self._end = frame.pts * self.time_base + 1 / self.like.fps
        if self._audio is not None:
            self._audio.write_until(self._end)

    def _next_pts(self, pts: int | None, time_base: Fraction | None) -> int:
        if pts is None:
            pts = round(self.frames / (self.like.fps * self.time_base))
        elif time_base is not None and time_base != self.time_base:
            pts = round(pts * time_base / self.time_base)
        self._last_pts = max(pts, self._last_pts + 1)
        return self._last_pts

    def _add_picture(self) -> Any:
        like = self.like
        try:
            stream = self._media.add_stream(self.codec, rate=like.fps, options=self.options)
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(f"{shown(self.path)}: cannot encode with {self.codec} ({error})") from None
        stream.width, stream.height, stream.pix_fmt = like.width, like.height, self.pix_fmt
        context: Any = stream.codec_context
        context.time_base = self.time_base
        context.color_range = 2 if like.encoding.full_range else like.color_range
        context.colorspace = like.color_space if like.color_space else like.encoding.matrix
        context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
        context.thread_type, context.thread_count = "FRAME", self.threads
        if like.sample_aspect:
            context.sample_aspect_ratio = like.sample_aspect
        return stream

    def _finish(self) -> None:
        if not self.frames:
            raise OutputError(f"{shown(self.path)}: no frame to write")
        self._mux(self._stream.encode(None))
        if self._audio is not None:
            self._audio.finish(self._end)

    def _mux(self, packets: list[Any]) -> None:
        self._media.mux(packets)


class AudioTrack:
    """Sound as a stream of exactly as many samples as asked for; silence after its end."""

    def __init__(self, sound: Sound) -> None:
        if isinstance(sound, tuple):
            wave, source_rate = sound
            self.rate, self.channels = _aac_rate(source_rate), 1
            self._blocks = _resampled(wave, source_rate, self.rate)
        else:
            from dithead.media.audio import audio_blocks, probe_audio

            source_rate, channels = probe_audio(sound)
            self.rate, self.channels = _aac_rate(source_rate), 2 if channels == 2 else 1
            self._blocks = audio_blocks(sound, self.rate, self.channels)
        self._rest = np.zeros((0, self.channels), np.float32)

    def take(self, count: int) -> NDArray[np.float32]:
        """The next (count, channels) samples."""
        parts, have = [self._rest], len(self._rest)
        while have < count and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            have += len(block)
        joined = np.concatenate(parts)
        self._rest = joined[count:]
        return np.pad(joined[:count], ((0, max(0, count - have)), (0, 0)))


class AudioMuxer:
    """Encodes a track as AAC into a container, in step with the picture."""

    def __init__(self, media: Any, track: AudioTrack) -> None:
        self.media, self.track, self.made = media, track, 0
        self.layout = "mono" if track.channels == 1 else "stereo"
        self.stream = media.add_stream("aac", rate=track.rate, layout=self.layout)
        self.stream.codec_context.bit_rate = min(128_000, 4 * track.rate) * track.channels
        self.size = 1024  # samples in an AAC frame

    def write_until(self, end: Fraction) -> None:
        """Encode whole AAC frames up to ``end`` seconds."""
        while self.made + self.size <= round(end * self.track.rate):
            self._encode(self.size)

    def finish(self, end: Fraction) -> None:
        self.write_until(end)
        if (rest := round(end * self.track.rate) - self.made) > 0:
            self._encode(rest)
        self.media.mux(self.stream.encode(None))

    def _encode(self, count: int) -> None:
        samples = np.ascontiguousarray(self.track.take(count).T)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", self.layout)
        frame.sample_rate, frame.pts = self.track.rate, self.made
        frame.time_base = Fraction(1, self.track.rate)
        self.media.mux(self.stream.encode(frame))
        self.made += count


def _aac_rate(rate: int) -> int:
    return rate if rate in _AAC_RATES else 48000


def _resampled(wave: Wave, rate: int, wanted: int) -> Iterator[NDArray[np.float32]]:
    """(n, 1) blocks of mono samples at another rate."""
    resampler = av.AudioResampler("fltp", "mono", wanted)
    for start in range(0, len(wave), rate):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave[None, start : start + rate], np.float32), "fltp", "mono"
        )
        frame.sample_rate = rate
        yield from (out.to_ndarray().T.astype(np.float32) for out in resampler.resample(frame))
    if len(wave):
        yield from (out.to_ndarray().T.astype(np.float32) for out in resampler.resample(None))
