"""The audio encoder of the presets: a pretrained Whisper's first layers on a short window, and a lip predictor.

Unlike ``hf_speech.SpeechEncoder`` it needs a short window, not the whole track, so that live speech gives the numbers
of a file. The lips are predicted from the tokens, and by a second network that receives more of the past.
Letters: B batch, W mel frames a window, P of the past before it, L tokens, A their width, K lip coefficients; F numbers
a mel frame: 80, and 160 samples behind them where there is a lip predictor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from dithead.models.audio.base import LogMelEncoder
from dithead.models.audio.lip_blocks import LipBlocks, Samples
from dithead.models.audio.lip_predictor import LEAST_WINDOW, LipPredictor, mean_lips
from dithead.models.audio.lip_stream import LipSteps, LipStream
from dithead.models.audio.mel import HOP, N_MELS, samples_of
from dithead.models.audio.whisper_layers import TOKEN, WhisperLayers
from dithead.models.recorded import is_recorded, record

_GROUP = 3  # tokens whose mean is one moment to the head that predicts the lips (our choice)


@dataclass(frozen=True)
class ContextEncoderConfig:
    """Sizes of the audio encoder.

    Attributes:
        window: Mel frames (10 ms each) that the Whisper layers receive.
        tokens: Tokens (20 ms each) around the window's centre that are handed on.
        width: Width of a token.
        hidden: Width of the Whisper layers (Whisper tiny: 384).
        heads: Their attention heads (Whisper tiny: 6).
        layers: Their number (Whisper tiny has 4).
        lip_targets: Lip coefficients that are predicted (``train.data.lip_basis``).
        past: Mel frames before the window that the lip predictor receives too; 0: there is no lip predictor.
        lip_predictor_hidden: Width of the lip predictor's Moonshine layers (Moonshine tiny: 288).
        lip_predictor_heads: Their attention heads (Moonshine tiny: 8).
        lip_predictor_layers: Their number (Moonshine tiny has 6).
        closure_hidden: Width of the lip predictor's closure head, which learned when lips are closed; 0: there is none.
        lip_readers: How many networks read the lips off the lip predictor's layers; their mean counts.
        kind: Distinguishes this configuration from those of other encoders in ``config.json``.
    """

    window: int = 96
    tokens: int = 24
    width: int = 256
    hidden: int = 384
    heads: int = 6
    layers: int = 2
    lip_targets: int = 9
    past: int = 0
    lip_predictor_hidden: int = 288
    lip_predictor_heads: int = 8
    lip_predictor_layers: int = 4
    closure_hidden: int = 0
    lip_readers: int = 1
    kind: Literal["context"] = "context"

    def __post_init__(self) -> None:
        if self.window % 4 or self.tokens % (2 * _GROUP) or self.tokens * TOKEN > self.window:
            raise ValueError("audio window must be a multiple of 4, tokens one of 6 and no more than half the window")
        if self.past % 4 or self.past < 0 or (self.past and self.window < LEAST_WINDOW):
            raise ValueError(f"audio past must be a multiple of 4, with a window of at least {LEAST_WINDOW}, or 0")
        if self.lip_readers < 1:
            raise ValueError("audio lip_readers must be at least 1")
        if self.hidden % self.heads or self.lip_predictor_hidden % self.lip_predictor_heads or self.width < 8:
            raise ValueError("hidden must be a multiple of heads, width at least 8")

    def build(self) -> ContextEncoder:
        """See ``AudioConfig.build``."""
        return ContextEncoder(self)

    def load(self) -> ContextEncoder:
        """See ``AudioConfig.load``; pretrained layers are loaded by ``load_pretrained`` of the parts."""
        return self.build()

    def as_trained(self, run: Mapping[str, Any]) -> ContextEncoderConfig:  # noqa: ARG002 - the interface
        """See ``AudioConfig.as_trained``."""
        return self


class ContextEncoder(LogMelEncoder):
    """Log-mel windows (B, W, F) of Whisper's bands to tokens (B, L, A), and lips (B, K) from the past as well."""

    scale = "whisper"
    whisper: WhisperLayers
    config: ContextEncoderConfig

    def __init__(self, config: ContextEncoderConfig) -> None:
        super().__init__(config, config.tokens)
        if config.past:
            self.past, self.has_samples, self.features_width = config.past, True, N_MELS + HOP
        self.whisper = WhisperLayers(config.window, config.hidden, config.heads, config.layers)
        self.project = nn.Linear(config.hidden, config.width)
        self.norm = nn.LayerNorm(config.width)
        moments = config.tokens // _GROUP
        self.lips = nn.Sequential(
            nn.Linear(moments * config.width, config.width), nn.GELU(), nn.Linear(config.width, config.lip_targets)
        )
        if config.past:
            sizes = (config.lip_predictor_hidden, config.lip_predictor_heads, config.lip_predictor_layers)
            self.lip_predictor = LipPredictor(*sizes, config.lip_targets, config.closure_hidden, config.lip_readers)
        self.lip_steps: LipSteps | None = None

    def forward(self, window: Tensor) -> Tensor:
        """See ``AudioEncoder.forward``; the samples are not used."""
        first = (self.config.window // TOKEN - self.config.tokens) // 2
        near = self.whisper(window[..., :N_MELS], slice(first, first + self.config.tokens))
        return self.norm(self.project(near) + self.position)  # type: ignore[no-any-return]

    def tokens_and_lips(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """See ``AudioEncoder.tokens_and_lips``.

        Where there is a lip predictor the lips are the mean of its prediction and of that from the tokens: the two err
        differently, so their mean errs less than either.
        """
        tokens: Tensor = self(window[:, self.past :])
        lips = self.predict_lips(tokens)
        if self.lip_predictor is None:
            return tokens, lips
        centre = (self.past + self.config.window // 2) // TOKEN
        return tokens, mean_lips(lips, self.lip_predictor.at(samples_of(window), centre))

    def lip_blocks(self, samples: Samples) -> LipBlocks | None:
        """See ``AudioEncoder.lip_blocks``."""
        if self.lip_predictor is None:
            return None
        return LipBlocks(self.lip_predictor, self.past, self.config.window // 2, samples)

    def record(self) -> None:
        """Record what is computed for single frames and steps (``models.recorded``); for a copy that only hears."""
        window = self.position.new_zeros(2, self.config.window, self.features_width)
        record(self, forward=(window,), predict_lips=(self.position.expand(2, -1, -1),))
        if self.lip_predictor is not None:  # only now, because no part may occur twice in what is recorded
            self.lip_steps = LipSteps(self.lip_predictor, self.past, self.config.window // 2)
            if is_recorded():
                self.lip_steps.record()

    def lip_stream(self) -> LipStream | None:
        """See ``AudioEncoder.lip_stream``."""
        if self.lip_predictor is None:
            return None
        return LipStream(self.lip_steps or LipSteps(self.lip_predictor, self.past, self.config.window // 2))

    def predict_lips(self, tokens: Tensor) -> Tensor:
        """See ``AudioEncoder.predict_lips``."""
        predicted: Tensor = self.lips(tokens.unflatten(1, (-1, _GROUP)).mean(2).flatten(1))
        return predicted
