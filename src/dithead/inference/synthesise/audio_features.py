"""Computes the features of speech in blocks, keeps them on disk, and reads them around given moments.

Letters: B moments, n samples, T feature frames (``AudioEncoder.rate`` a second), F numbers in each.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.media.audio import audio_blocks
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.mel import HOP, SAMPLE_RATE, samples_of, speech_level
from dithead.stages import stage


class SpeechFeatures(Protocol):
    """Features of a speech track around moments in time."""

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Return the features around some moments.

        Args:
            times: (B,) seconds from the beginning of the track.

        Returns:
            Features (t, F) of a span that covers all ``times``, and the times (B,) counted from the span's beginning.
        """
        ...

    def lips_at(self, times: NDArray[np.float64]) -> Tensor | None:
        """Return what the encoder's lip predictor says along the track; None where it must look at each window.

        Args:
            times: (B,) seconds from the beginning of the track.

        Returns:
            Lip coefficients (B, K), not calibrated, or (B, K + 1) with what a closure head says of the opening.
        """
        ...


def loudness_of(path: Path, encoder: AudioEncoder) -> float:
    """Return the level of the speech in a file, by which ``encoder`` normalises its features."""
    levels = array("f")
    for block in encoder.feature_blocks(_waves(path)):
        levels.extend(encoder.frame_levels(block).numpy())
    return _track_level(levels)


class FileFeatures:
    """The features of a file's speech as ``encoder`` computes them, kept in the file ``store``."""

    def __init__(
        self, encoder: AudioEncoder, audio: Path, store: Path, unwanted: threading.Event | None = None
    ) -> None:
        """Compute the features.

        Args:
            encoder: The encoder.
            audio: The file.
            store: Where they are kept.
            unwanted: Ends that with ``CancelledError`` when it is set.

        Raises:
            MediaError: The file cannot be read.
        """
        self.encoder, self._levels = encoder, array("f")
        with stage("spectrum"):
            waves = _waves(audio) if unwanted is None else _while_wanted(_waves(audio), unwanted)
            blocks = map(self._noted, encoder.feature_blocks(waves))
            self._store = _FeatureFile(store, encoder.features_width, blocks)
        self.level = _track_level(self._levels)
        self._lips = encoder.lip_blocks(self._samples)

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """See ``SpeechFeatures``."""
        span = feature_span(times, self._store.frames, self.encoder)
        features = torch.from_numpy(self._store.rows(span.first, span.stop))
        return self.encoder.at_level(features, self.level), span.times

    def lips_at(self, times: NDArray[np.float64]) -> Tensor | None:
        """See ``SpeechFeatures``."""
        if self._lips is None:
            return None
        return self._lips.at(torch.from_numpy(nearest_frames(times, self.encoder)))

    def _samples(self, first: int, stop: int) -> Tensor:
        """The track's samples from one mel frame to another, zeros beyond its ends (for ``lip_blocks``)."""
        begin, end = np.clip((first, stop), 0, self._store.frames).tolist()
        samples = torch.zeros((stop - first) * HOP)
        if begin < end:  # else the video goes on for long after its speech
            rows = torch.from_numpy(self._store.rows(begin, end))
            samples[(begin - first) * HOP : (end - first) * HOP] = samples_of(rows)
        return samples

    def _noted(self, block: Tensor) -> NDArray[np.float32]:
        self._levels.extend(self.encoder.frame_levels(block).numpy())
        return np.asarray(block.numpy(), np.float32)


class FeatureSpan(NamedTuple):
    """Which feature frames some moments need, and the moments counted from the first of them."""

    first: int
    stop: int  # excluded
    times: Tensor  # (B,) seconds


def feature_span(
    times: NDArray[np.float64], frames: int, encoder: AudioEncoder, reach: int | None = None
) -> FeatureSpan:
    """Find the feature frames around some moments.

    Args:
        times: (B,) seconds.
        frames: How many feature frames there are.
        encoder: Says how many frames a second there are and how many of the past are needed.
        reach: Frames on either side of a moment; by default what certainly holds the encoder's window.
    """
    reach = encoder.reach if reach is None else reach
    centres = nearest_frames(times, encoder)
    first = int(np.clip(centres.min() - reach - encoder.past, 0, max(frames - 1, 0)))
    stop = int(np.clip(centres.max() + reach, first + 1, max(frames, first + 1)))
    return FeatureSpan(first, stop, torch.from_numpy((centres - first) / encoder.rate))


def nearest_frames(times: NDArray[np.float64], encoder: AudioEncoder) -> NDArray[np.int64]:
    """Return the feature frames (B,) nearest to ``times`` (B,) in seconds."""
    return np.floor(np.asarray(times, np.float64) * encoder.rate + 0.5).astype(np.int64)


class _FeatureFile:
    """Rows of features (T, ``width``) in a file."""

    def __init__(self, path: Path, width: int, blocks: Iterable[NDArray[np.float32]]) -> None:
        self.path, self.width, self.frames = path, width, 0
        with path.open("wb") as file:
            for block in blocks:
                file.write(block.astype("<f4").tobytes())
                self.frames += len(block)

    def rows(self, first: int, stop: int) -> NDArray[np.float32]:
        found = np.fromfile(self.path, "<f4", (stop - first) * self.width, offset=first * self.width * 4)
        return found.reshape(-1, self.width).astype(np.float32)


def _waves(path: Path) -> Iterator[Tensor]:
    """The speech of a file in pieces (n,) at 16 kHz."""
    return (torch.from_numpy(block[:, 0]) for block in audio_blocks(path, SAMPLE_RATE, channels=1))


def _while_wanted(waves: Iterable[Tensor], unwanted: threading.Event) -> Iterator[Tensor]:
    for wave in waves:
        if unwanted.is_set():
            raise CancelledError
        yield wave


def _track_level(levels: array[float]) -> float:
    """The speech level of a track from the levels (T,) of its feature frames."""
    return speech_level(torch.from_numpy(np.frombuffer(levels, np.float32).copy()))
