"""Speech that arrives while it is used, and how much of it a frame needs.

Letters: B moments, n samples, F numbers in a feature frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.inference.synthesise.audio_features import feature_span, nearest_frames
from dithead.inference.synthesise.lip_calibration import LOOK_AHEAD
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.mel import FLOOR, MEL_RATE, SAMPLE_RATE, MelStream, speech_level
from dithead.types import Wave

_ENOUGH_SPEECH = 50  # feature frames from which the loudness of live speech is estimated (our choice)
LEVELS = 500
"""Blocks of feature frames whose level is remembered: about 20 s of speech (our choice)."""
_BLOCK_FRAMES = 8  # feature frames of delay, because they are computed in blocks of four that touch two on either side
_ROUNDED = 0.5 / MEL_RATE  # seconds by which a moment lies before the feature frame that stands for it, at most


def live_latency(encoder: AudioEncoder, reach: int) -> float:
    """Return the seconds of speech after a frame's moment that must have come before it is drawn, at most.

    Args:
        encoder: Hears the speech.
        reach: Feature frames after a moment that its drawing needs.
    """
    seconds = (reach + _BLOCK_FRAMES) / MEL_RATE + LOOK_AHEAD
    lips = encoder.lip_stream()
    return seconds if lips is None else max(seconds, lips.latency + _ROUNDED)


def needed_speech(time: float, encoder: AudioEncoder, reach: int) -> float:
    """Return how many seconds of speech must have come before the frame at ``time`` seconds is drawn.

    See ``live_latency`` for the other arguments.
    """
    lips = encoder.lip_stream()
    samples = MelStream.samples_for(_features_until(time + (LOOK_AHEAD if lips is None else 0.0), reach))
    if lips is not None:
        samples = max(samples, lips.samples_for(_token_after(int(nearest_frames(np.array(time), encoder)), encoder)))
    return samples / SAMPLE_RATE


def _features_until(time: float, reach: int) -> int:
    """How many feature frames must be there to draw the moment ``time``."""
    return int(time * MEL_RATE) + reach + 2


def _token_after(frame: int, encoder: AudioEncoder) -> int:
    """The last token between which lips at a feature frame are interpolated."""
    return frame // encoder.frames_per_token + 1


class SpeechBuffer:
    """Speech that arrives while it is used: asks for chunks only as far as needed, and keeps only what is needed."""

    def __init__(
        self,
        chunks: Iterable[Wave],
        loudness: float | None,
        reach: int,
        encoder: AudioEncoder,
        *,
        origin: float = 0.0,
        levels: deque[Tensor] | None = None,
    ) -> None:
        """Begin to take chunks.

        Args:
            chunks: Speech (n,) at 16 kHz.
            loudness: Of the speech, where it is known.
            reach: Feature frames after a moment that its drawing needs.
            encoder: Computes the features.
            origin: Moment in seconds at which the chunks begin.
            levels: How loud earlier speech of the same person was, where there was any; it is added to.
        """
        self.reach, self.encoder, self.origin = reach, encoder, origin
        self._chunks, self._stream = iter(chunks), encoder.stream()
        self._lips = encoder.lip_stream()
        self._loudness = loudness
        self._kept = torch.zeros(0, encoder.features_width)
        self._first = 0  # number of the first feature frame kept
        self._levels: deque[Tensor] = deque(maxlen=LEVELS) if levels is None else levels
        self._samples, self._ended = 0, False

    def reaches(self, time: float) -> bool:
        """Return whether there is speech at ``time`` seconds, after waiting for the chunks that decide it."""
        time -= self.origin
        while not self._ended and self._samples <= time * SAMPLE_RATE:
            self._next()
        return time * SAMPLE_RATE < self._samples

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """See ``audio_features.SpeechFeatures``."""
        times = times - self.origin
        needed = _features_until(float(times.max()), self.reach)
        while not self._ended and self._first + len(self._kept) < needed:
            self._next()
        span = feature_span(times, self._first + len(self._kept), self.encoder, self.reach)
        found = self._kept[span.first - self._first : span.stop - self._first]
        self._kept, self._first = self._kept[max(0, span.first - self._first) :], max(span.first, self._first)
        level = self._present_level()
        return found if level is None else self.encoder.at_level(found, level), span.times

    def lips_at(self, times: NDArray[np.float64]) -> Tensor | None:
        """See ``audio_features.SpeechFeatures``."""
        if self._lips is None:
            return None
        frames = nearest_frames(times - self.origin, self.encoder)
        while not self._ended and self._lips.tokens <= _token_after(int(frames.max()), self.encoder):
            self._next()
        if self._ended:
            self._lips.finish(int(frames.max()))
        return self._lips.at(torch.from_numpy(frames))

    def _next(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            blocks = list(self._stream.finish())
        else:
            self._samples += len(chunk)
            samples = torch.from_numpy(np.asarray(chunk, np.float32))
            blocks = list(self._stream.push(samples))
            if self._lips is not None:
                self._lips.push(samples)
        self._kept = torch.cat([self._kept, *blocks])
        if self._loudness is None:
            levels = [self.encoder.frame_levels(block) for block in blocks]
            self._levels.extend(level[level > FLOOR] for level in levels if bool((level > FLOOR).any()))

    def _present_level(self) -> float | None:
        """The level of the speech as far as it is known; None where too little of it has come."""
        if self._loudness is not None:
            return self._loudness
        levels = torch.cat(list(self._levels)) if self._levels else torch.zeros(0)
        return speech_level(levels) if len(levels) >= _ENOUGH_SPEECH else None
