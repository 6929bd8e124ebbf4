"""The ear: what the lips do, heard in the seconds before a moment and in half a second after it.

Of its own Whisper layers, which hear more of a voice than the window that the transformer is told of; a small network
over time reads the lips off them. It says a whole stretch at once, so that neighbouring moments agree.
Shapes: B batch, W mel frames, T = W / 2 tokens of 20 ms, H hidden width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.whisper import FirstLayers

_READ = 96  # numbers that are read off a token
_WIDTH, _REACH, _DEPTH = 128, 2, 2  # of the network over time: tokens on either side that each layer sees
_DROP = 0.4  # few people have spoken to it
_BESIDE = 3  # tokens on either side of a moment that say what its lips do: fewer quiver, more mute short closures
EAR_WINDOW = 4 * (_DEPTH * _REACH + _BESIDE + 1)
"""Mel frames that must lie around a moment at least."""


class Ear(FirstLayers):
    """Log-mel (B, W, 80) of Whisper's bands to what the lips do (B, T, K) at each of its tokens."""

    def __init__(self, window: int, hidden: int, heads: int, layers: int, lip_targets: int) -> None:
        super().__init__()
        self.add_layers(window, hidden, heads, layers)
        self.norm, self.read = nn.LayerNorm(hidden), nn.Linear(hidden, _READ)
        self.mix = nn.Linear(_READ, _WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(_WIDTH) for _ in range(_DEPTH))
        self.over_time = nn.ModuleList(nn.Conv1d(_WIDTH, _WIDTH, 2 * _REACH + 1) for _ in range(_DEPTH))
        self.lips = nn.Linear(_WIDTH, lip_targets)

    def forward(self, mel: Tensor) -> Tensor:
        """Of all tokens but those at the ends whose neighbours are not heard: (B, T - 2 D, K), D = ``margin``."""
        x = self.tokens_of(mel)
        for block in self.blocks:
            x = block(x)
        return self._told(x)

    def at(self, mel: Tensor, token: int) -> Tensor:
        """What the lips do (B, K) at one ``token``, the mean of it and its neighbours."""
        x = self.tokens_of(mel)
        for block in self.blocks[:-1]:
            x = block(x)
        reach = self.margin + _BESIDE
        near = self.blocks[-1](x, slice(token - reach, token + reach + 1))
        return self._told(near).mean(1)

    @property
    def margin(self) -> int:
        """D: tokens on either side that are needed to say what one does."""
        return _DEPTH * _REACH

    def _told(self, x: Tensor) -> Tensor:
        """(B, T, H) to (B, T - 2 D, K)."""
        h = F.gelu(self.mix(self.read(self._dropped(self.norm(x)))))
        for norm, layer in zip(self.norms, self.over_time, strict=True):
            new = F.gelu(layer(norm(h).transpose(1, 2)).transpose(1, 2))
            h = h[:, _REACH:-_REACH] + self._dropped(new)
        told: Tensor = self.lips(self._dropped(h))
        return told

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, _DROP, self.training)
