"""The interface of audio encoders: speech to features, windows of features to tokens and lip coefficients.

A track's features are computed once, from the whole wave (training) or in blocks (generation, live use). A window of
them around a video frame becomes tokens for the denoiser's cross-attention and a prediction of the lips.
Letters: B batch, n samples at 16 kHz, T feature frames, F numbers in each, W frames of a window, P of the past before
it, L tokens, A their width, K lip coefficients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dithead.models.audio.lip_blocks import LipBlocks, Samples
from dithead.models.audio.lip_predictor import LipPredictor, mean_lips
from dithead.models.audio.lip_stream import LipStream
from dithead.models.audio.mel import (
    FLOOR,
    MEL_RATE,
    N_MELS,
    MelScale,
    MelStream,
    frame_levels,
    level_shift,
    log_mel,
    normalise_level,
    shift_level,
    with_samples,
)
from dithead.models.audio.whisper_layers import WhisperLayers


class AudioConfig(Protocol):
    """What the configurations of all audio encoders have in common."""

    @property
    def window(self) -> int:
        """Feature frames of a window, centred on the video frame."""
        ...

    @property
    def width(self) -> int:
        """Width A of a token."""
        ...

    @property
    def lip_targets(self) -> int:
        """Number K of lip coefficients that are predicted (``train.data.lip_basis``)."""
        ...

    def build(self) -> AudioEncoder:
        """Build the encoder with random weights."""
        ...

    def load(self) -> AudioEncoder:
        """Build the encoder that training starts from, with its weights where it is pretrained. Raises ModelError."""
        ...

    def as_trained(self, run: Mapping[str, Any]) -> AudioConfig:
        """Return the configuration of the encoder of a training run, which the run stored as ``run``."""
        ...


class FeatureStream(Protocol):
    """Turns speech that arrives piece by piece into features, as soon as they are certain."""

    def push(self, samples: Tensor) -> Iterator[Tensor]:
        """Yield the feature blocks (t, F) that ``samples`` (n,) complete."""
        ...

    def finish(self) -> Iterator[Tensor]:
        """Yield the remaining blocks at the end of the speech."""
        ...


class AudioEncoder(nn.Module, ABC):
    """Base of all audio encoders.

    It holds what every encoder has: positions for its L tokens, tokens for silence, and a head that predicts the lips.

    Attributes:
        rate: Feature frames a second.
        pad: Value of the features beyond the ends of the speech.
        features_width: F, numbers in a feature frame.
        past: Feature frames before a window that ``tokens_and_lips`` needs besides it.
        has_samples: Whether the 160 samples of a mel frame stand behind its 80 numbers (``mel.with_samples``).
        frames_per_token: Feature frames that one token stands for.
        mel_features: Whether features are log-mel, which training may augment (``train.data.speech_augmentation``).
        live: Whether features can be computed while the speech arrives (``stream``).
        lip_predictor: The second network that predicts the lips, from the samples; None where there is none.
        whisper: The layers that may start from a pretrained Whisper; None where there are none.
    """

    rate: float
    pad: float
    features_width: int
    past: int = 0
    has_samples: bool = False
    frames_per_token: int
    mel_features: bool
    live: bool
    config: AudioConfig

    def __init__(self, config: AudioConfig, tokens: int) -> None:
        super().__init__()
        self.config = config
        self.position = nn.Parameter(torch.randn(tokens, config.width) * 0.02)
        self.silence = nn.Parameter(torch.randn(tokens, config.width) * 0.02)
        self.lips = nn.Sequential(
            nn.Linear(3 * config.width, config.width), nn.GELU(), nn.Linear(config.width, config.lip_targets)
        )
        self.lip_predictor: LipPredictor | None = None
        self.whisper: WhisperLayers | None = None

    @abstractmethod
    def forward(self, window: Tensor) -> Tensor:
        """Turn windows of features (B, W, F) into tokens (B, L, A)."""

    @abstractmethod
    def features(self, wave: Tensor) -> Tensor:
        """Compute features (T, F) of speech (n,) at 16 kHz, on the CPU, with the level normalised."""

    @abstractmethod
    def feature_blocks(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield features of speech that comes in chunks (n,) of any length, in blocks (t, F), in constant memory.

        Their level is not normalised yet, because it depends on the whole track: see ``at_level``.
        """

    def stream(self) -> FeatureStream:
        """Make a stream for live speech, whose blocks are those of ``feature_blocks``. Only where ``live`` is true."""
        raise NotImplementedError(f"{type(self).__name__} needs the whole speech at once")

    def frame_levels(self, features: Tensor) -> Tensor:
        """Compute the loudness (T,) of each feature frame, for the track's level (``mel.speech_level``)."""
        return features.new_zeros(len(features))

    def at_level(self, features: Tensor, level: float) -> Tensor:  # noqa: ARG002 - a pretrained network does it itself
        """Normalise the level of features (T, F) of a track whose level is ``level``."""
        return features

    @property
    def reach(self) -> int:
        """Feature frames on either side of a moment that certainly hold its window."""
        return self.config.window

    def unconditional(self, batch: int) -> Tensor:
        """Return the tokens (B, L, A) that stand for "no audio" in classifier-free guidance."""
        return self.silence[None].expand(batch, -1, -1)

    def tokens_and_lips(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Compute tokens (B, L, A) and predicted lips (B, K) for windows with the past before them (B, P + W, F)."""
        tokens: Tensor = self(window)
        return tokens, self.predict_lips(tokens)

    def lip_blocks(self, samples: Samples) -> LipBlocks | None:
        """Return the second prediction of the lips along a whole track; None for an encoder without a lip predictor.

        Args:
            samples: Where the track's samples come from.
        """
        del samples
        return None

    def lip_stream(self) -> LipStream | None:
        """Do as ``lip_blocks`` for speech that arrives piece by piece."""
        return None

    def tokens_and_mean_lips(self, window: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """Do as ``tokens_and_lips``, where the lip predictor's part (B, K) is known already.

        Args:
            window: Windows without the past (B, W, F).
            predicted: The lips from ``lip_blocks``, or (B, K + 1) with what a closure head says.
        """
        tokens: Tensor = self(window)
        return tokens, mean_lips(self.predict_lips(tokens), predicted.to(tokens))

    def predict_lips(self, tokens: Tensor) -> Tensor:
        """Predict the lip coefficients (B, K) of the centre frame from tokens (B, L, A) alone."""
        n = tokens.shape[1]
        middle = tokens[:, n // 2 - 2 : n // 2 + 2].mean(1)
        near = tokens[:, n // 4 : n - n // 4].mean(1)
        predicted: Tensor = self.lips(torch.cat([middle, near, tokens.mean(1)], -1))
        return predicted


class LogMelEncoder(AudioEncoder):
    """Base of encoders whose features are log-mel with bands of ``scale``, and the samples where they need them."""

    rate = float(MEL_RATE)
    pad = FLOOR
    frames_per_token = 2
    mel_features = True
    live = True
    features_width = N_MELS
    scale: MelScale = "own"

    def features(self, wave: Tensor) -> Tensor:
        """See ``AudioEncoder.features``."""
        mel = normalise_level(log_mel(wave, self.scale))
        return with_samples(mel, wave) if self.has_samples else mel

    def feature_blocks(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """See ``AudioEncoder.feature_blocks``."""
        stream = self.stream()
        for chunk in chunks:
            yield from stream.push(chunk)
        yield from stream.finish()

    def stream(self) -> MelStream:
        """See ``AudioEncoder.stream``."""
        return MelStream(self.scale, with_samples=self.has_samples)

    def frame_levels(self, features: Tensor) -> Tensor:
        """Compute the mean log power (T,) over the mel bands."""
        return frame_levels(features)

    def at_level(self, features: Tensor, level: float) -> Tensor:
        """See ``AudioEncoder.at_level``."""
        return shift_level(features, level_shift(level))
