"""Audio encoders: windows of speech features around a video frame to tokens for cross-attention.

Shapes: B batch, W mel frames a window, L tokens, A token width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.mel import FLOOR, MEL_RATE, N_MELS, MelScale


@dataclass(frozen=True)
class MelEncoderConfig:
    """``window`` mel frames (10 ms each) centred on the video frame; two of them make one token of ``width``.

    ``lip_targets`` numbers say what the lips do (``train.data.lip_basis``).
    """

    window: int = 48
    width: int = 256
    layers: int = 2
    lip_targets: int = 8

    def __post_init__(self) -> None:
        if self.window < 4 or self.window % 2 or self.width < 8 or self.width % 8 or self.layers < 0:
            raise ValueError("audio window must be even and at least 4, width a multiple of 8")


class ConvBlock(nn.Module):
    """Residual pair of convolutions over time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv1d(width, width, 5, padding=2)
        self.conv2 = nn.Conv1d(width, width, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.gelu(self.conv1(self.norm(x))))


class SpeechTokens(nn.Module):
    """What every audio encoder has: places for its L tokens, tokens for silence, and a guess of the lips.

    Features come ``rate`` a second; beyond the ends of the speech they are ``pad``.
    """

    rate: float
    pad: float
    past = 0
    """Features before a window that are heard with it."""
    sound = False
    """Whether behind a mel frame's 80 numbers come the 160 samples from its centre on (``mel.with_sound``)."""

    def __init__(self, tokens: int, width: int, lip_targets: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.silence = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.lips = nn.Sequential(nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, lip_targets))

    def unconditional(self, batch: int) -> Tensor:
        """Tokens (B, L, A) that stand for "no audio given" in classifier-free guidance."""
        return self.silence[None].expand(batch, -1, -1)

    def hear(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, A) and what the lips do (B, lip_targets), of windows with ``past`` features before them."""
        tokens: Tensor = self(window)
        return tokens, self.guess_lips(tokens)

    def guess_lips(self, tokens: Tensor) -> Tensor:
        """Lip-shape coefficients (B, lip_targets) of the centre frame."""
        n = tokens.shape[1]
        middle = tokens[:, n // 2 - 2 : n // 2 + 2].mean(1)
        near = tokens[:, n // 4 : n - n // 4].mean(1)
        guess: Tensor = self.lips(torch.cat([middle, near, tokens.mean(1)], -1))
        return guess


class MelListener(SpeechTokens):
    """An encoder of log-mel windows (B, W, 80), with bands of ``scale``."""

    rate = float(MEL_RATE)
    pad = FLOOR
    scale: MelScale = "own"


class MelEncoder(MelListener):
    """Log-mel window (B, W, 80) to tokens (B, W // 2, A). Also guesses what the lips do."""

    def __init__(self, config: MelEncoderConfig) -> None:
        super().__init__(config.window // 2, config.width, config.lip_targets)
        self.config = config
        self.stem = nn.Conv1d(N_MELS, config.width, 3, padding=1)
        self.down = nn.Conv1d(config.width, config.width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(ConvBlock(config.width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, mel: Tensor) -> Tensor:
        x = F.gelu(self.stem((mel.transpose(1, 2) - FLOOR) / 4.0 - 1.0))
        x = self.down(x)  # (B, A, W/2)
        for block in self.blocks:
            x = block(x)
        return self.norm(x.transpose(1, 2) + self.position)
