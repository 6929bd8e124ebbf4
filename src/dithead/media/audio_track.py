"""Sound for an output file: exactly as many samples as the picture is long, encoded as AAC in step with it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from dithead.types import Wave

Sound: TypeAlias = "Path | tuple[Wave, int]"  # a file, or mono samples with their rate

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


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
