"""Encodes the sound track of an output file as AAC, exactly as long as the picture and in step with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from dithead.media.audio import audio_blocks
from dithead.media.sound_header import sound_header
from dithead.media.sound_mix import SoundMix
from dithead.types import Wave

SoundSource: TypeAlias = "Path | SoundMix | tuple[Wave, int]"
"""A file with sound, a mix of several, or mono samples (n,) with their rate in hertz."""

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
"""Sample rates in hertz that AAC can code (ISO/IEC 14496-3, table 1.18)."""
_FALLBACK_RATE = 48000  # hertz, for sound of any other rate
_AAC_FRAME = 1024  # samples in a frame of AAC-LC


class AudioTrack:
    """Sound read in pieces of any size; silence follows its end."""

    def __init__(self, source: SoundSource) -> None:
        if isinstance(source, tuple):
            wave, source_rate = source
            self.rate, self.layout = aac_rate(source_rate), "mono"
            self._blocks = _resampled(wave, source_rate, self.rate)
        elif isinstance(source, SoundMix):
            self.rate, self.layout = aac_rate(source.rate), source.layout
            self._blocks = source.blocks(self.rate, self.channels)
        else:
            header = sound_header(source)
            self.rate, self.layout = aac_rate(header.rate), header.layout
            self._blocks = audio_blocks(source, self.rate, self.channels)
        self._rest = np.zeros((0, self.channels), np.float32)

    @property
    def channels(self) -> int:
        """How many channels the layout has."""
        return int(av.AudioLayout(self.layout).nb_channels)

    def take(self, count: int) -> NDArray[np.float32]:
        """Return the next samples (count, channels)."""
        parts, have = [self._rest], len(self._rest)
        while have < count and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            have += len(block)
        joined = np.concatenate(parts)
        self._rest = joined[count:]
        return np.pad(joined[:count], ((0, max(0, count - have)), (0, 0)))


class EncodedTrack:
    """A track as AAC outside any container, encoded when it is asked for, or ahead of that."""

    def __init__(self, track: AudioTrack) -> None:
        self.track = track
        self.bit_rate = min(128_000, 4 * track.rate) * track.channels
        self._samples = 0  # that were encoded
        self._ahead: deque[list[Any]] = deque()  # packets of each AAC frame that nobody has taken yet
        context: Any = av.CodecContext.create("aac", "w")
        context.sample_rate, context.layout, context.format = track.rate, track.layout, "fltp"
        context.time_base, context.bit_rate = Fraction(1, track.rate), self.bit_rate
        context.flags |= av.codec.context.Flags.global_header.value
        self._context = context

    def encode_until(self, seconds: float) -> None:
        """Encode whole AAC frames up to ``seconds`` now; nothing of them may be left out later."""
        while self._samples + _AAC_FRAME <= seconds * self.track.rate:
            self._ahead.append(self._encode(_AAC_FRAME))

    def frame(self) -> list[Any]:
        """Take the packets that come with the next whole AAC frame."""
        return self._ahead.popleft() if self._ahead else self._encode(_AAC_FRAME)

    def rest(self, count: int) -> list[Any]:
        """Take those of the last ``count`` samples, and what the encoder has kept back."""
        return [*(self._encode(count) if count > 0 else []), *self._context.encode(None)]

    def _encode(self, count: int) -> list[Any]:
        samples = np.ascontiguousarray(self.track.take(count).T)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", self.track.layout)
        frame.sample_rate, frame.pts = self.track.rate, self._samples
        frame.time_base = Fraction(1, self.track.rate)
        self._samples += count
        return list(self._context.encode(frame))


class AudioMuxer:
    """Writes a track into a container, in step with the picture."""

    def __init__(self, media: Any, track: EncodedTrack) -> None:
        self.media, self.encoded, self.rate, self.samples_written = media, track, track.track.rate, 0
        self.stream = media.add_stream("aac", rate=self.rate, layout=track.track.layout)
        self.stream.codec_context.bit_rate = track.bit_rate

    def write_until(self, end: Fraction) -> None:
        """Write whole AAC frames up to ``end`` seconds."""
        while self.samples_written + _AAC_FRAME <= round(end * self.rate):
            self._mux(self.encoded.frame())
            self.samples_written += _AAC_FRAME

    def finish(self, end: Fraction) -> None:
        """Write all that is left up to ``end`` seconds, and close the stream."""
        self.write_until(end)
        self._mux(self.encoded.rest(round(end * self.rate) - self.samples_written))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.stream = self.stream
            self.media.mux(packet)


def aac_rate(rate: int) -> int:
    """The rate at which sound of ``rate`` hertz is written: its own where AAC has it."""
    return rate if rate in _AAC_RATES else _FALLBACK_RATE


def _resampled(wave: Wave, rate: int, target_rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield mono samples at another rate as blocks (n, 1)."""
    resampler = av.AudioResampler("fltp", "mono", target_rate)
    for start in range(0, len(wave), rate):
        second = np.ascontiguousarray(wave[None, start : start + rate], np.float32)
        frame = av.AudioFrame.from_ndarray(second, "fltp", "mono")
        frame.sample_rate = rate
        yield from (out.to_ndarray().T.astype(np.float32) for out in resampler.resample(frame))
    if len(wave):
        yield from (out.to_ndarray().T.astype(np.float32) for out in resampler.resample(None))
