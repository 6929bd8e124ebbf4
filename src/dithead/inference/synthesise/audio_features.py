"""Speech as the model hears it, in constant memory: features made in blocks, kept on disk, read where they are needed.

Letters: n samples, T feature frames (``AudioEncoder.rate`` a second), F numbers in each.
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
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.mel import SAMPLE_RATE, speech_level
from dithead.models.talking_head import TalkingHead

MelArray = NDArray[np.float32]


class Hearing(Protocol):
    """Speech features around moments in time."""

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Features (t, F) of a stretch that holds all ``times`` (B,) seconds, and these counted from its beginning."""
        ...


def speech_seconds(path: Path) -> float:
    """How long the speech in a file is; ``MediaError`` when it has none. Decodes it once, in constant memory."""
    count = sum(len(block) for block in audio_blocks(path, SAMPLE_RATE, channels=1))
    if not count:
        raise MediaError(f"{printable(path)}: the audio has no samples; record or export it again")
    return count / SAMPLE_RATE


def loudness_of(path: Path, encoder: AudioEncoder) -> float:
    """The speech level of a file, by which ``encoder`` normalises its features."""
    levels = array("f")
    for block in encoder.feature_blocks(_waves(path)):
        levels.extend(encoder.frame_levels(block).numpy())
    return _level(levels)


def heard_by(talker: TalkingHead, audio: Path, store: Path) -> Hearing:
    """A file's speech as ``talker`` hears it, in constant memory, kept in ``store``."""
    return SpeechFile(talker.audio, audio, store)


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
    """Features of a file's speech as ``encoder`` computes them, kept in the file ``store``."""

    def __init__(self, encoder: AudioEncoder, audio: Path, store: Path) -> None:
        self.encoder, self._levels = encoder, array("f")
        self.store = Store(store, encoder.features_width, map(self._noted, encoder.feature_blocks(_waves(audio))))
        self.level = _level(self._levels)

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """See ``Hearing``."""
        encoder = self.encoder
        first, stop, moved = stretch(times, self.store.frames, encoder.reach, encoder.rate, encoder.past)
        return encoder.at_level(torch.from_numpy(self.store.rows(first, stop)), self.level), moved

    def _noted(self, block: Tensor) -> MelArray:
        self._levels.extend(self.encoder.frame_levels(block).numpy())
        return np.asarray(block.numpy(), np.float32)


def _waves(path: Path) -> Iterator[Tensor]:
    """The speech of a file in pieces (n,) at 16 kHz."""
    return (torch.from_numpy(block[:, 0]) for block in audio_blocks(path, SAMPLE_RATE, channels=1))


def stretch(times: NDArray[np.float64], frames: int, reach: int, rate: float, past: int) -> tuple[int, int, Tensor]:
    """First and last (excluded) of ``frames`` frames around ``times`` (B,), and these counted from the first.

    ``reach`` frames on either side and ``past`` more before.
    """
    centres = np.floor(np.asarray(times, np.float64) * rate + 0.5).astype(np.int64)
    first = int(np.clip(centres.min() - reach - past, 0, max(frames - 1, 0)))
    stop = int(np.clip(centres.max() + reach, first + 1, max(frames, first + 1)))
    return first, stop, torch.from_numpy((centres - first) / rate)


def _level(levels: array[float]) -> float:
    """The speech level of a track whose frames are this loud (T,)."""
    return speech_level(torch.from_numpy(np.frombuffer(levels, np.float32).copy()))
