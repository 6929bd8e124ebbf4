"""An audio encoder that has heard many people: the first layers of a Whisper encoder on the speech around a frame.

Unlike ``models.audio.hf_speech.SpeechEncoder`` it hears a short window, not the whole track, so that live speech gives
the numbers of a file. What the lips do is guessed from the tokens, and by an ear of its own that hears more of the
past.
Shapes: B batch, W mel frames a window, P before it, H hidden width, L tokens, A token width; F numbers a mel frame: 80,
and 160 samples behind them where there is an ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from dithead.models.audio.base import MelListener
from dithead.models.audio.lip_predictor import EAR_WINDOW, Ear
from dithead.models.audio.mel import N_MELS, sound_in
from dithead.models.audio.whisper_layers import TOKEN, FirstLayers

_GROUP = 3  # tokens whose mean is one moment to the guess of the lips


@dataclass(frozen=True)
class ContextEncoderConfig:
    """``window`` mel frames (10 ms each) are heard; the ``tokens`` around its centre, 20 ms each, are handed on.

    ``hidden``, ``heads`` and ``layers`` are those of the Whisper encoder (tiny: 384, 6 and the first 2 of 4).
    ``past`` mel frames before the window are heard too by an ear that says what the lips do; 0: there is none.
    ``ear_hidden``, ``ear_heads`` and ``ear_layers`` are those of its Moonshine encoder (tiny: 288, 8 and 4 of 6).
    """

    window: int = 96
    tokens: int = 24
    width: int = 256
    hidden: int = 384
    heads: int = 6
    layers: int = 2
    lip_targets: int = 9
    past: int = 0
    ear_hidden: int = 288
    ear_heads: int = 8
    ear_layers: int = 4
    kind: Literal["context"] = "context"

    def __post_init__(self) -> None:
        if self.window % 4 or self.tokens % (2 * _GROUP) or self.tokens * TOKEN > self.window:
            raise ValueError("audio window must be a multiple of 4, tokens one of 6 and no more than half the window")
        if self.past % 4 or self.past < 0 or (self.past and self.window < EAR_WINDOW):
            raise ValueError(f"audio past must be a multiple of 4, with a window of at least {EAR_WINDOW}, or 0")
        if self.hidden % self.heads or self.ear_hidden % self.ear_heads or self.width < 8:
            raise ValueError("hidden must be a multiple of heads, width at least 8")


class ContextEncoder(MelListener, FirstLayers):
    """Log-mel window (B, W, F) of Whisper's bands to tokens (B, L, A). Also guesses what the lips do."""

    scale = "whisper"

    def __init__(self, config: ContextEncoderConfig) -> None:
        super().__init__(config.tokens, config.width, config.lip_targets)
        self.config = config
        self.past, self.sound = config.past, config.past > 0
        self.add_layers(config.window, config.hidden, config.heads, config.layers)
        self.project = nn.Linear(config.hidden, config.width)
        self.norm = nn.LayerNorm(config.width)
        moments = config.tokens // _GROUP
        self.lips = nn.Sequential(
            nn.Linear(moments * config.width, config.width), nn.GELU(), nn.Linear(config.width, config.lip_targets)
        )
        heard = (config.ear_hidden, config.ear_heads, config.ear_layers, config.lip_targets)
        self.ear = Ear(*heard) if config.past else None

    def forward(self, mel: Tensor) -> Tensor:
        x = self.tokens_of(mel[..., :N_MELS])
        for block in self.blocks:
            x = block(x)
        first = (x.shape[1] - self.config.tokens) // 2
        near = x[:, first : first + self.config.tokens]
        return self.norm(self.project(near) + self.position)  # type: ignore[no-any-return]

    def hear(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Of a window and what came before it (B, P + W, F) the tokens (B, L, A), and what the lips do (B, K).

        Where there is an ear the latter is the mean of its word and of the tokens': two err less than either.
        """
        tokens: Tensor = self(mel[:, self.past :])
        guess = self.guess_lips(tokens)
        if self.ear is None:
            return tokens, guess
        return tokens, (guess + self.ear.at(sound_in(mel), (self.past + self.config.window // 2) // TOKEN)) / 2

    def guess_lips(self, tokens: Tensor) -> Tensor:
        """Lip-shape coefficients (B, lip_targets) of the centre frame."""
        guess: Tensor = self.lips(tokens.unflatten(1, (-1, _GROUP)).mean(2).flatten(1))
        return guess
