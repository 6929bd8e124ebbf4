"""The ear: what the lips do, heard in the seconds before a moment and in half a second after it.

Layers of Moonshine hear the sound itself; a small network over time reads the lips off them. It says a whole stretch at
once, so that neighbouring moments agree. What it gets wrong is not what the tokens' Whisper gets wrong.
Shapes: B batch, n samples at 16 kHz, T = n / 320 tokens of 20 ms, H hidden width, K numbers that say what lips do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.mel import HOP
from dithead.models.audio.moonshine_layers import CENTRE, STATE, MoonshineLayers

_TOKEN = 2 * HOP  # samples
_READ_FROM = 3  # last layers off which is read: near the sound and near the word
_READ = 96  # numbers that are read off a token
_WIDTH, _REACH, _DEPTH = 128, 2, 2  # of the network over time: tokens on either side that each layer sees
_DROP = 0.4  # few people have spoken to it
_BESIDE = 3  # tokens on either side of a moment that say what its lips do: fewer quiver, more mute short closures
LEAST_WINDOW = 4 * (_DEPTH * _REACH + _BESIDE + 1)
"""Mel frames that must lie around a moment at least."""


class LipPredictor(nn.Module):
    """Sound (B, n) to what the lips do (B, T, K) at each of its tokens."""

    def __init__(self, hidden: int, heads: int, layers: int, lip_targets: int) -> None:
        super().__init__()
        self.layers = MoonshineLayers(hidden, heads, layers)
        self.read_from = min(_READ_FROM, layers)
        self.norms_read = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(self.read_from))
        self.read = nn.Linear(self.read_from * hidden, _READ)
        self.mix = nn.Linear(_READ, _WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(_WIDTH) for _ in range(_DEPTH))
        self.over_time = nn.ModuleList(nn.Conv1d(_WIDTH, _WIDTH, 2 * _REACH + 1) for _ in range(_DEPTH))
        self.lips = nn.Linear(_WIDTH, lip_targets)

    def forward(self, sound: Tensor) -> Tensor:
        """Of all tokens but those at the ends whose neighbours are not heard: (B, T - 2 D, K), D = ``margin``."""
        return self._predict(sound, 0, sound.shape[1] // _TOKEN)

    def at(self, sound: Tensor, token: int) -> Tensor:
        """What the lips do (B, K) at one ``token``, the mean of it and its neighbours."""
        reach = self.margin + _BESIDE
        return self._predict(sound, token - reach, token + reach + 1).mean(1)

    @property
    def margin(self) -> int:
        """D: tokens on either side that are needed to say what one does."""
        return _DEPTH * _REACH

    def _predict(self, sound: Tensor, first: int, stop: int) -> Tensor:
        """What the lips do (B, stop - first - 2 D, K) between two tokens."""
        states = self.layers(sound)[-self.read_from :]
        heard = [norm(x) for norm, x in zip(self.norms_read, states, strict=True)]
        x = at_tokens(torch.cat(heard, -1), first, stop)
        h = F.gelu(self.mix(self.read(self._dropped(x))))
        for norm, layer in zip(self.norms, self.over_time, strict=True):
            new = F.gelu(layer(norm(h).transpose(1, 2)).transpose(1, 2))
            h = h[:, _REACH:-_REACH] + self._dropped(new)
        told: Tensor = self.lips(self._dropped(h))
        return told

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, _DROP, self.training)


def at_tokens(states: Tensor, first: int, stop: int) -> Tensor:
    """Moonshine's states (B, S, H) at the tokens from ``first`` on (B, stop - first, H), interpolated."""
    at = (torch.arange(first, stop, device=states.device) * _TOKEN - CENTRE) / STATE
    at = at.clamp(0, states.shape[1] - 1)
    low = at.floor().long().clamp_max(max(0, states.shape[1] - 2))
    part = (at - low).to(states)[:, None]
    return torch.lerp(states[:, low], states[:, (low + 1).clamp_max(states.shape[1] - 1)], part)
