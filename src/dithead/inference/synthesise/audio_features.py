"""Speech as the model hears it, in constant memory: features made in blocks, kept on disk, read where they are needed.

Blocks always cover the same samples, so speech that arrives in chunks gives the very numbers that a file gives.
Letters: n samples, T feature frames (100 a second of log-mel, 50 of a pretrained encoder), F numbers in each: 80 of
log-mel, with the 160 samples of their time behind them where the model hears sound (``MelListener.sound``).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.errors import MediaError
from dithead.media.audio import audio_blocks
from dithead.media.files import printable
from dithead.models.audio.base import MelListener
from dithead.models.audio.hf_speech import SpeechEncoder
from dithead.models.audio.mel import (
    FLOOR,
    HOP,
    MEL_RATE,
    N_MELS,
    SAMPLE_RATE,
    MelScale,
    log_mel,
    speech_level,
    with_sound,
)
from dithead.models.talking_head import QUIETEST_SPEECH, TARGET_LEVEL, TalkingHead
from dithead.types import Wave

_BLOCK = 4  # mel frames computed at once: 40 ms, so that live speech waits no longer
_MARGIN = 2  # mel frames whose samples a frame's spectrum touches on either side
REACH = 64  # mel frames around a moment that are handed to the model; more than any window of its
MelArray = NDArray[np.float32]


class Hearing(Protocol):
    """Speech features around moments in time."""

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Features (t, F) of a stretch that holds all ``times`` (B,) seconds, and these counted from its beginning."""
        ...


class MelStream:
    """Samples in, mel frames out, as soon as they are certain; with their samples, if ``sound``."""

    def __init__(self, scale: MelScale, *, sound: bool = False) -> None:
        self._scale: MelScale = scale
        self._sound = sound
        self._wave: Wave = np.zeros(0, np.float32)
        self._start = 0  # the mel frame at whose centre the kept samples begin
        self._made = 0

    def push(self, samples: Wave) -> Iterator[MelArray]:
        """Yield blocks (4, F) that ``samples`` (n,) complete."""
        self._wave = np.concatenate([self._wave, np.asarray(samples, np.float32)])
        while len(self._wave) >= (self._made + _BLOCK + _MARGIN - self._start) * HOP:
            yield self._block(_BLOCK)

    def finish(self) -> Iterator[MelArray]:
        """Yield what is left: silence follows the last sample, and the last frame lies on it."""
        left = self._start + len(self._wave) // HOP + 1 - self._made
        while left > 0:
            yield self._block(min(_BLOCK, left))
            left -= _BLOCK

    def _block(self, count: int) -> MelArray:
        first = self._made - self._start
        stop = (first + count + _MARGIN) * HOP
        wave = torch.from_numpy(self._wave[:stop])
        mel = log_mel(wave, self._scale)[first : first + count]
        if self._sound:
            mel = with_sound(mel, wave[first * HOP :])
        self._made += count
        keep = max(0, self._made - _MARGIN - self._start)
        self._wave, self._start = self._wave[keep * HOP :], self._start + keep
        return np.asarray(mel.numpy(), np.float32)


def speech_seconds(path: Path) -> float:
    """How long the speech in a file is; ``MediaError`` when it has none. Decodes it once, in constant memory."""
    count = sum(len(block) for block in audio_blocks(path, SAMPLE_RATE, channels=1))
    if not count:
        raise MediaError(f"{printable(path)}: the audio has no samples; record or export it again")
    return count / SAMPLE_RATE


def loudness_of(path: Path, scale: MelScale = "own") -> float:
    """The speech level of a file, by which its features are normalised; ``scale``: the model's ``audio.scale``."""
    means = array("f")
    for block in blocks_of(path, scale):
        means.extend(block.mean(axis=1))
    return _level(means)


def heard_by(talker: TalkingHead, audio: Path, store: Path) -> Hearing:
    """A file's speech as ``talker`` hears it, in constant memory, kept in ``store``."""
    ear = talker.audio
    return (
        SpeechFile(audio, store, ear.scale, ear.past, sound=ear.sound)
        if isinstance(ear, MelListener)
        else EncodedFile(ear, audio, store)
    )


class Store:
    """Rows of features in a file, (T, ``width``)."""

    def __init__(self, path: Path, width: int, blocks: Iterable[MelArray]) -> None:
        self.path, self.width, self.frames = path, width, 0
        with path.open("wb") as file:
            for block in blocks:
                file.write(block.astype("<f4").tobytes())
                self.frames += len(block)

    def rows(self, first: int, stop: int) -> MelArray:
        found = np.fromfile(self.path, "<f4", (stop - first) * self.width, offset=first * self.width * 4)
        return found.reshape(-1, self.width).astype(np.float32)


class SpeechFile:
    """Features of a file's speech, kept in another file; ``past`` frames before each window are handed on too."""

    def __init__(self, audio: Path, store: Path, scale: MelScale, past: int = 0, *, sound: bool = False) -> None:
        self._past, self._means = past, array("f")
        width = N_MELS + HOP * sound
        self.store = Store(store, width, map(self._noted, blocks_of(audio, scale, sound=sound)))
        self.shift = shift_for(_level(self._means))

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """See ``Hearing``."""
        first, stop, moved = stretch(times, self.store.frames, past=self._past)
        return levelled(self.store.rows(first, stop), self.shift), moved

    def _noted(self, block: MelArray) -> MelArray:
        self._means.extend(block[:, :N_MELS].mean(axis=1))
        return block


class EncodedFile:
    """What a pretrained speech encoder hears in a file, kept in another file."""

    def __init__(self, encoder: SpeechEncoder, audio: Path, store: Path) -> None:
        self.rate, self.reach = encoder.rate, encoder.config.window
        device = encoder.position.device
        waves = (torch.from_numpy(block[:, 0]).to(device) for block in audio_blocks(audio, SAMPLE_RATE, channels=1))
        blocks = (block.numpy() for block in encoder.feature_blocks(waves))
        self.store = Store(store, encoder.features_width, blocks)

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """See ``Hearing``."""
        first, stop, moved = stretch(times, self.store.frames, self.reach, self.rate)
        return torch.from_numpy(self.store.rows(first, stop)), moved


def blocks_of(path: Path, scale: MelScale, *, sound: bool = False) -> Iterator[MelArray]:
    """Blocks of features (4, F), the last one shorter, of a file's speech."""
    return mel_blocks((block[:, 0] for block in audio_blocks(path, SAMPLE_RATE, channels=1)), scale, sound=sound)


def mel_blocks(chunks: Iterable[Wave], scale: MelScale, *, sound: bool = False) -> Iterator[MelArray]:
    """Blocks of features of 16 kHz samples that come in chunks (n,) of any length."""
    stream = MelStream(scale, sound=sound)
    for chunk in chunks:
        yield from stream.push(chunk)
    yield from stream.finish()


def shift_for(level: float) -> float:
    """What to add to the features of speech of this level; silence is not made louder."""
    return 0.0 if level < QUIETEST_SPEECH else TARGET_LEVEL - level


def levelled(mel: MelArray, shift: float) -> Tensor:
    """Features (T, F) with log-mel moved to the common level; digital silence and the samples stay as they are."""
    found = torch.from_numpy(mel)
    spectrum = found[:, :N_MELS]
    return torch.cat([torch.where(spectrum <= FLOOR, spectrum, spectrum + shift), found[:, N_MELS:]], 1)


def stretch(
    times: NDArray[np.float64], frames: int, reach: int = REACH, rate: float = MEL_RATE, past: int = 0
) -> tuple[int, int, Tensor]:
    """First and last (excluded) of ``frames`` frames around ``times`` (B,), and these counted from the first.

    ``reach`` frames on either side and ``past`` more before.
    """
    centres = np.floor(np.asarray(times, np.float64) * rate + 0.5).astype(np.int64)
    first = int(np.clip(centres.min() - reach - past, 0, max(frames - 1, 0)))
    stop = int(np.clip(centres.max() + reach, first + 1, max(frames, first + 1)))
    return first, stop, torch.from_numpy((centres - first) / rate)


def _level(means: array[float]) -> float:
    """The speech level of log-mel frames with these means (T,)."""
    return speech_level(torch.from_numpy(np.frombuffer(means, np.float32).copy()[:, None]))
