"""Reads audio files as samples and writes them; time zero is the first video frame, or else the first sample.

Sound is decoded apart from the picture and placed by its time stamps, so that edit lists, encoder delay and late starts
count. Channels of any layout are averaged, and the resampler is flushed at the end. Letters: n samples, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dithead.errors import MediaError, OutputError
from dithead.limits import require_seconds, require_sound
from dithead.media.clock import ClockJumps
from dithead.media.files import create_media, open_media, printable, replacing
from dithead.media.sound_header import audio_stream, default_layout, sound_header, stated_seconds, time_zero
from dithead.stages import stage
from dithead.types import Wave

_RAW_FORMATS = ("aac", "mp3", "ac3", "eac3")
"""Formats without time stamps of their own: FFmpeg counts packets at the sample rate of the first one."""
_PLANAR = {"u8p": "u1", "s16p": "<i2", "s32p": "<i4", "s64p": "<i8", "fltp": "<f4", "dblp": "<f8"}
"""FFmpeg's planar sample formats -> numpy's types."""
_STAMP_TOLERANCE = 0.04
"""Seconds that a time stamp may be off before samples are moved: containers round time stamps. Our choice."""
_FLAC_FRAME = 4096  # samples
_PADDING = 4096
"""Samples by which an encoder may fill its last packets: two packets of HE-AAC."""


def read_audio(path: str | PathLike[str], rate: int = 16000) -> Wave:
    """Read all of the first audio track as mono samples.

    Args:
        path: Audio file, or a video with sound.
        rate: Sample rate in hertz.

    Returns:
        (n,) in [-1, 1].

    Raises:
        MediaError: The file has no sound that can be read.
    """
    blocks = [block[:, 0] for block in audio_blocks(Path(path), rate, channels=1)]
    wave = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not len(wave):
        raise MediaError(f"{printable(Path(path))}: the audio has no samples; record or export it again")
    return wave


def audio_seconds(path: Path, rate: int = 16000) -> float:
    """Measure the length of the first audio track in seconds, by decoding it in constant memory.

    Where the container says that the track ends within the last packets, the rest is what an encoder such as AAC's
    added to fill them, and does not count.

    Args:
        path: Audio file, or a video with sound.
        rate: Sample rate in hertz at which it is decoded.

    Raises:
        MediaError: The file has no sound that can be read, or no sample of it.
    """
    with stage("speech length"):
        count = sum(len(block) for block in audio_blocks(path, rate, channels=1))
    if not count:
        raise MediaError(f"{printable(path)}: the audio has no samples; record or export it again")
    seconds, stated = count / rate, stated_seconds(path)
    return stated if 0 < seconds - stated <= _PADDING / sound_header(path).rate else seconds


def audio_blocks(path: Path, rate: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """Yield blocks (n, channels) at ``rate`` hertz that follow one another from time zero; silence fills gaps."""
    origin, seconds = time_zero(path), 0.0
    with open_media(path) as media:
        stream = audio_stream(media, path)
        timeline = _Timeline(rate, channels, origin, raw=media.format.name in _RAW_FORMATS)
        for block in timeline.blocks(_frames(media, stream, path)):
            seconds += len(block) / rate
            require_seconds(printable(path), seconds)
            yield block


def _frames(media: Any, stream: Any, path: Path) -> Iterator[Any]:
    """Yield decoded audio frames; a damaged packet leaves a gap, and a file with nothing but damage is an error."""
    decoded = 0
    for packet in media.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in frames:
            decoded += 1
            require_sound(printable(path), frame.sample_rate, frame.layout.nb_channels)
            yield frame
    if not decoded:
        raise MediaError(f"{printable(path)}: no audio could be decoded; record or export it again")


class _Timeline:
    """Place decoded frames on one time axis and resample them, one section of equal sample rate at a time.

    Args:
        rate: Sample rate of the output in hertz.
        channels: Channels of the output, 1 to 6.
        origin: Time zero in the container's clock, in seconds; None: the first sample.
        raw: The format has no time stamps of its own; they mean nothing once the sample rate has changed.
    """

    def __init__(self, rate: int, channels: int, origin: float | None, *, raw: bool = False) -> None:
        self.raw = raw
        self.rate, self.channels, self.origin = rate, channels, origin
        self.yielded = 0  # samples so far, at the output rate
        self.section_start = 0.0  # seconds at which the present section began
        self.section_samples = 0  # source samples of the present section
        self.source_rate = 0
        self.stamps_invalid = False
        self.resampler: Any = None
        self.jumps = ClockJumps()

    def blocks(self, frames: Iterator[Any]) -> Iterator[NDArray[np.float32]]:
        """Yield blocks (n, channels) of the output."""
        for frame in frames:
            if frame.sample_rate != self.source_rate:
                self.stamps_invalid |= self.raw and self.source_rate > 0
                yield from self._end_section()
                self._start_section(frame.sample_rate)
            yield from self._placed(frame)
        yield from self._end_section()

    def _start_section(self, source_rate: int) -> None:
        self.section_start = self.yielded / self.rate
        self.section_samples, self.source_rate = 0, source_rate
        self.resampler = av.AudioResampler("fltp", default_layout(self.channels), self.rate)

    def _placed(self, frame: Any) -> Iterator[NDArray[np.float32]]:
        """Yield the frame's samples (n, channels), after silence or cut at the start as its time stamp asks."""
        samples = mix(samples_of(frame), self.channels)
        missing = 0 if frame.pts is None or self.stamps_invalid else self._missing(frame)
        for start in range(0, max(missing, 0), self.source_rate):
            yield from self._push(np.zeros((self.channels, min(self.source_rate, missing - start)), np.float32))
        yield from self._push(samples[:, max(-missing, 0) :])

    def _missing(self, frame: Any) -> int:
        """How many samples lie between the last one and this frame; below zero where they overlap."""
        stamp = float(frame.pts * frame.time_base)
        if self.origin is None:
            self.origin = stamp
        now = self.section_start + self.section_samples / self.source_rate
        begun = self.section_samples or self.yielded
        time = stamp - self.origin
        shift = (self.jumps.placed(time, now, now) if begun else time) - now
        if abs(shift) < (_STAMP_TOLERANCE if begun else 0.5 / self.source_rate):
            return 0
        return round(shift * self.source_rate)

    def _push(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        if not samples.shape[1]:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", default_layout(self.channels))
        frame.sample_rate = self.source_rate
        self.section_samples += samples.shape[1]
        for out in self.resampler.resample(frame):
            yield self._count(out)

    def _end_section(self) -> Iterator[NDArray[np.float32]]:
        if self.resampler is None or not self.section_samples:
            return
        for out in self.resampler.resample(None):
            yield self._count(out)
        self.resampler = None

    def _count(self, out: Any) -> NDArray[np.float32]:
        block = np.ascontiguousarray(out.to_ndarray().T)
        self.yielded += len(block)
        return block


def samples_of(frame: Any) -> NDArray[np.float32]:
    """Return samples (C, n) in [-1, 1] of a decoded frame in any sample format."""
    if frame.format.is_planar:  # PyAV itself reads beyond the end of the planes where there are more than eight
        dtype = _PLANAR[frame.format.name]
        planes = frame.planes[: frame.layout.nb_channels]
        raw = np.stack([np.frombuffer(plane, dtype, count=frame.samples) for plane in planes])
    else:
        raw = frame.to_ndarray().reshape(-1, len(frame.layout.channels) or 1).T
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - np.float32(128)) / np.float32(128)
    if np.issubdtype(raw.dtype, np.integer):
        return (raw / float(-np.iinfo(raw.dtype).min)).astype(np.float32)
    return np.nan_to_num(raw.astype(np.float32))


def mix(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Turn (C, n) into (channels, n): unchanged when the count fits, else the average on every channel.

    Stereo goes to the two front channels of a larger layout, so that its sides are kept.
    """
    if samples.shape[0] == channels:
        return samples
    if samples.shape[0] == 2 < channels:
        return np.pad(samples, ((0, channels - 2), (0, 0)))
    return np.repeat(samples.mean(axis=0, keepdims=True), channels, axis=0)


def write_audio(path: str | PathLike[str], wave: Wave, rate: int) -> None:
    """Write mono samples as 16-bit WAV or FLAC, by suffix; the file appears whole or not at all.

    Args:
        path: The file to write.
        wave: Samples (n,) in [-1, 1].
        rate: Their sample rate in hertz.

    Raises:
        OutputError: The file cannot be written, or its name has another suffix.
    """
    path = Path(path)
    try:
        muxer, codec = {".wav": ("wav", "pcm_s16le"), ".flac": ("flac", "flac")}[path.suffix.lower()]
    except KeyError:
        raise OutputError(f"{printable(path)}: write audio to a name that ends in .wav or .flac") from None
    pcm = np.rint(np.clip(wave, -1, 32767 / 32768) * 32768).astype(np.int16)
    with replacing(path) as temporary, create_media(temporary, muxer) as media:
        stream = media.add_stream(codec, rate=rate, layout="mono", format="s16")
        media.start_encoding()  # a file without samples has a header too
        for start in range(0, len(pcm), _FLAC_FRAME):
            frame = av.AudioFrame.from_ndarray(pcm[None, start : start + _FLAC_FRAME], "s16", "mono")
            frame.sample_rate, frame.pts = rate, start
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
