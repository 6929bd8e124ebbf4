"""Speech as the model hears it, in constant memory: log-mel computed in small blocks and read back where it is needed.

Blocks always cover the same samples, so speech that arrives in chunks gives the very numbers that a file gives.
Letters: n samples, T mel frames (100 a second).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.errors import MediaError
from dithead.media.audio import audio_blocks, read_audio
from dithead.media.files import shown
from dithead.models.audio import MelEncoder
from dithead.models.mel import FLOOR, HOP, MEL_RATE, N_MELS, SAMPLE_RATE, log_mel, speech_level
from dithead.models.talking_head import QUIETEST_SPEECH, TARGET_LEVEL, TalkingHead
from dithead.types import Wave

_BLOCK = 4  # mel frames computed at once: 40 ms, so that live speech waits no longer
_MARGIN = 2  # mel frames whose samples a frame's spectrum touches on either side
REACH = 64  # mel frames around a moment that are handed to the model; more than any window of its
MelArray = NDArray[np.float32]


class Hearing(Protocol):
    """Speech features around moments in time."""

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Features (t, 80) of a stretch that holds all ``times`` (B,) seconds, and these counted from its beginning."""
        ...


class MelStream:
    """Samples in, mel frames out, as soon as they are certain."""

    def __init__(self) -> None:
        self._wave: Wave = np.zeros(0, np.float32)
        self._start = 0  # the mel frame at whose centre the kept samples begin
        self._made = 0

    def push(self, samples: Wave) -> Iterator[MelArray]:
        """Yield blocks (4, 80) that ``samples`` (n,) complete."""
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
        mel = log_mel(torch.from_numpy(self._wave[:stop]))[first : first + count]
        self._made += count
        keep = max(0, self._made - _MARGIN - self._start)
        self._wave, self._start = self._wave[keep * HOP :], self._start + keep
        return np.asarray(mel.numpy(), np.float32)


def speech_seconds(path: Path) -> float:
    """How long the speech in a file is; ``MediaError`` when it has none. Decodes it once, in constant memory."""
    count = sum(len(block) for block in audio_blocks(path, SAMPLE_RATE, channels=1))
    if not count:
        raise MediaError(f"{shown(path)}: the audio has no samples; record or export it again")
    return count / SAMPLE_RATE


def loudness_of(path: Path) -> float:
    """The speech level of a file, by which its features are normalised."""
    return _level(blocks_of(path))


def heard_by(talker: TalkingHead, audio: Path, store: Path) -> Hearing | Tensor:
    """A file's speech as ``talker`` hears it: from ``store``, in constant memory, if its encoder takes log-mel.

    A pretrained speech encoder listens to the whole track at once, so its features (T, H) are held.
    """
    if isinstance(talker.audio, MelEncoder):
        return SpeechFile(audio, store)
    return talker.encode_audio(torch.from_numpy(read_audio(audio, SAMPLE_RATE)))


class SpeechFile:
    """Features of a file's speech, kept in another file."""

    def __init__(self, audio: Path, store: Path) -> None:
        self.store, self.frames, levels = store, 0, []
        with store.open("wb") as file:
            for block in blocks_of(audio):
                file.write(block.astype("<f4").tobytes())
                self.frames += len(block)
                levels.append(block.mean(axis=1))
        self.shift = shift_for(speech_level(torch.from_numpy(np.concatenate(levels)[:, None])))

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """See ``Hearing``."""
        first, stop, moved = stretch(times, self.frames)
        found = np.fromfile(self.store, "<f4", (stop - first) * N_MELS, offset=first * N_MELS * 4)
        return levelled(found.reshape(-1, N_MELS).astype(np.float32), self.shift), moved


def blocks_of(path: Path) -> Iterator[MelArray]:
    """Mel blocks (4, 80), the last one shorter, of a file's speech."""
    return mel_blocks(block[:, 0] for block in audio_blocks(path, SAMPLE_RATE, channels=1))


def mel_blocks(chunks: Iterable[Wave]) -> Iterator[MelArray]:
    """Mel blocks of 16 kHz samples that come in chunks (n,) of any length."""
    stream = MelStream()
    for chunk in chunks:
        yield from stream.push(chunk)
    yield from stream.finish()


def shift_for(level: float) -> float:
    """What to add to the features of speech of this level; silence is not made louder."""
    return 0.0 if level < QUIETEST_SPEECH else TARGET_LEVEL - level


def levelled(mel: MelArray, shift: float) -> Tensor:
    """Features (T, 80) moved to the common level; digital silence stays where it is."""
    found = torch.from_numpy(mel)
    return torch.where(found <= FLOOR, found, found + shift)


def stretch(times: NDArray[np.float64], frames: int, reach: int = REACH) -> tuple[int, int, Tensor]:
    """First and last (excluded) of ``frames`` mel frames around ``times`` (B,), and these counted from the first."""
    centres = np.floor(np.asarray(times, np.float64) * MEL_RATE + 0.5).astype(np.int64)
    first = int(np.clip(centres.min() - reach, 0, max(frames - 1, 0)))
    stop = int(np.clip(centres.max() + reach, first + 1, max(frames, first + 1)))
    return first, stop, torch.from_numpy((centres - first) / MEL_RATE)


def _level(blocks: Iterable[MelArray]) -> float:
    means = np.concatenate([block.mean(axis=1) for block in blocks])
    return speech_level(torch.from_numpy(means[:, None]))
