"""A small audio encoder trained from nothing: convolutions over a log-mel window around the video frame.

Letters: B batch, W mel frames a window, L = W / 2 tokens, A their width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.base import LogMelEncoder
from dithead.models.audio.mel import FLOOR, N_MELS


@dataclass(frozen=True)
class MelEncoderConfig:
    """Sizes of the small audio encoder.

    Attributes:
        window: Mel frames (10 ms each) centred on the video frame; two of them make one token.
        width: Width of a token.
        layers: Residual convolution blocks.
        lip_targets: Lip coefficients that are predicted (``train.data.lip_basis``).
    """

    window: int = 48
    width: int = 256
    layers: int = 2
    lip_targets: int = 8

    def __post_init__(self) -> None:
        if self.window < 4 or self.window % 2 or self.width < 8 or self.width % 8 or self.layers < 0:
            raise ValueError("audio window must be even and at least 4, width a multiple of 8")

    def build(self) -> MelEncoder:
        """See ``AudioConfig.build``."""
        return MelEncoder(self)

    def load(self) -> MelEncoder:
        """See ``AudioConfig.load``; nothing is pretrained."""
        return self.build()

    def as_trained(self, run: Mapping[str, Any]) -> MelEncoderConfig:  # noqa: ARG002 - the interface
        """See ``AudioConfig.as_trained``."""
        return self


class AudioConvBlock(nn.Module):
    """Residual pair of convolutions over time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv1d(width, width, 5, padding=2)
        self.conv2 = nn.Conv1d(width, width, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens (B, A, L) to the same shape."""
        return x + self.conv2(F.gelu(self.conv1(self.norm(x))))


class MelEncoder(LogMelEncoder):
    """Log-mel windows (B, W, 80) to tokens (B, L, A)."""

    def __init__(self, config: MelEncoderConfig) -> None:
        super().__init__(config, config.window // 2)
        self.stem = nn.Conv1d(N_MELS, config.width, 3, padding=1)
        self.down = nn.Conv1d(config.width, config.width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(AudioConvBlock(config.width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, window: Tensor) -> Tensor:
        """See ``AudioEncoder.forward``."""
        x = F.gelu(self.stem((window.transpose(1, 2) - FLOOR) / 4.0 - 1.0))
        x = self.down(x)  # (B, A, L)
        for block in self.blocks:
            x = block(x)
        return self.norm(x.transpose(1, 2) + self.position)  # type: ignore[no-any-return]
