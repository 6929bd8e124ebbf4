"""The first layers of a Moonshine encoder, as part of our own networks; Jeffries et al. 2024, arXiv 2410.15608.

They hear the samples themselves, not a spectrogram, and were made to write down speech of any length.
Shapes: B batch, n samples at 16 kHz, T states 24 ms apart, H hidden width, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.whisper_layers import renamed

STATE = 384
"""Samples from one state to the next."""
CENTRE = 447.5
"""Sample in the middle of what the first state hears (the convolutions alone: 895 samples)."""
_TURNED = 0.9  # share of a head's numbers that say where it is
_BASE = 10_000.0


class MoonshineBlock(nn.Module):
    """A layer of Moonshine's encoder: self-attention with rotary places, then two linear maps."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(hidden, bias=False), nn.LayerNorm(hidden, bias=False)
        self.query, self.key, self.value, self.out = (nn.Linear(hidden, hidden, bias=False) for _ in range(4))
        self.wide, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        """(B, T, H) and ``turns`` of its places."""
        n = self.norm1(x)
        q, k, v = (layer(n).unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for layer in (self.query, self.key, self.value))  # fmt: skip
        mixed = F.scaled_dot_product_attention(turned(q, turn), turned(k, turn), v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))  # type: ignore[no-any-return]


class MoonshineLayers(nn.Module):
    """Convolutions over the samples and ``layers`` blocks; ``load_pretrained`` gives them pretrained weights."""

    def __init__(self, hidden: int, heads: int, layers: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, hidden, 127, stride=64, bias=False)
        self.norm = nn.GroupNorm(1, hidden)
        self.conv2 = nn.Conv1d(hidden, 2 * hidden, 7, stride=3)
        self.conv3 = nn.Conv1d(2 * hidden, hidden, 3, stride=2)
        self.blocks = nn.ModuleList(MoonshineBlock(hidden, heads) for _ in range(layers))
        self.width = hidden // heads

    def forward(self, sound: Tensor) -> list[Tensor]:
        """Samples (B, n) in [-1, 1], of any loudness, to what each block makes of them, (B, T, H) each."""
        x = self.norm(torch.tanh(self.conv1(sound[:, None])))
        x = F.gelu(self.conv3(F.gelu(self.conv2(x)))).transpose(1, 2)
        turn, states = turns(x.shape[1], self.width).to(x), []
        for block in self.blocks:
            x = block(x, turn)
            states.append(x)
        return states

    @torch.no_grad()
    def load_pretrained(self, moonshine: Any) -> None:
        """Start from a transformers ``MoonshineEncoder`` of the same widths."""
        parts = {"conv1": "conv1", "conv2": "conv2", "conv3": "conv3", "norm": "groupnorm"}
        for ours, theirs in parts.items():
            self.get_submodule(ours).load_state_dict(getattr(moonshine, theirs).state_dict())
        for block, layer in zip(self.blocks, moonshine.layers, strict=False):
            block.load_state_dict(renamed(layer.state_dict(), _NAMES))


def turns(count: int, width: int) -> Tensor:
    """Cosines and sines (2, count, 2 R) that turn R pairs of a head's ``width`` numbers by their place."""
    pairs = int(width * _TURNED) // 2
    angle = torch.arange(count)[:, None] / _BASE ** (torch.arange(pairs) / pairs)
    return torch.stack([angle.cos(), angle.sin()]).repeat_interleave(2, -1)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Queries or keys (B, heads, T, D) with each neighbouring pair of their first numbers turned by its place."""
    cos, sin = turn
    near, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    across = torch.stack([-near[..., 1::2], near[..., ::2]], -1).flatten(-2)
    return torch.cat([near * cos + across * sin, rest], -1)


_NAMES = {
    "self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.o_proj": "out",
    "input_layernorm": "norm1", "post_attention_layernorm": "norm2", "mlp.fc1": "wide", "mlp.fc2": "narrow",
}  # fmt: skip
