"""The first layers of a Moonshine encoder (Jeffries et al. 2024, arXiv 2410.15608) as part of our lip predictor.

They take samples, not a spectrogram, and were trained to transcribe speech of any length.
Letters: B batch, n samples at 16 kHz, T states 24 ms apart, H hidden width, D width of a head, R rotated pairs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.whisper_layers import renamed

STATE = 384
"""Samples from one state to the next, from the strides of the convolutions."""
KERNEL, STRIDE = 127, 64
"""Samples that the first convolution sees, and samples from one of its outputs to the next."""
CENTRE = 447.5
"""Sample in the middle of the first state's receptive field (of the convolutions alone: 895 samples)."""
_ROTATED = 0.9  # share of a head's numbers that are rotated by their position, as in Moonshine
_BASE = 10_000.0  # of the rotary frequencies, as in Moonshine


class MoonshineBlock(nn.Module):
    """A layer of Moonshine's encoder: self-attention with rotary positions, and an MLP."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(hidden, bias=False), nn.LayerNorm(hidden, bias=False)
        self.query, self.key, self.value, self.out = (nn.Linear(hidden, hidden, bias=False) for _ in range(4))
        self.wide, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """Transform ``x`` (B, T, H), whose positions have the ``rotation`` of ``rotations``, to the same shape."""
        n = self.norm1(x)
        q, k, v = (layer(n).unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for layer in (self.query, self.key, self.value))  # fmt: skip
        mixed = F.scaled_dot_product_attention(rotated(q, rotation), rotated(k, rotation), v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))  # type: ignore[no-any-return]

    def attend(
        self, x: Tensor, rotation: Tensor, place: int, before: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Transform states as ``forward`` does, where those before them have left their keys and values.

        Args:
            x: (B, T, H), the states from ``place`` on.
            rotation: Of all positions of the window.
            place: How many states there are before these.
            before: Their keys, not rotated, and values (B, place, H); None where there are none.

        Returns:
            The states (B, T, H), and keys and values (B, place + T, H) of all.
        """
        n = self.norm1(x)
        key, value = self.key(n), self.value(n)
        if before is not None:
            key, value = torch.cat([before[0], key], 1), torch.cat([before[1], value], 1)
        q, k, v = (y.unflatten(2, (self.heads, -1)).transpose(1, 2) for y in (self.query(n), key, value))
        count = key.shape[1]
        mixed = F.scaled_dot_product_attention(rotated(q, rotation[:, place:count]), rotated(k, rotation[:, :count]), v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x)))), key, value


class MoonshineLayers(nn.Module):
    """The convolutions over the samples and the first ``layers`` blocks."""

    def __init__(self, hidden: int, heads: int, layers: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, hidden, KERNEL, stride=STRIDE, bias=False)
        self.norm = nn.GroupNorm(1, hidden)
        self.conv2 = nn.Conv1d(hidden, 2 * hidden, 7, stride=3)
        self.conv3 = nn.Conv1d(2 * hidden, hidden, 3, stride=2)
        self.blocks = nn.ModuleList(MoonshineBlock(hidden, heads) for _ in range(layers))
        self.width = hidden // heads

    def forward(self, sound: Tensor) -> list[Tensor]:
        """Compute the states after each block, (B, T, H) each, of samples (B, n) in [-1, 1] of any loudness."""
        x = self.norm(torch.tanh(self.conv1(sound[:, None])))
        x = F.gelu(self.conv3(F.gelu(self.conv2(x)))).transpose(1, 2)
        rotation, states = rotations(x.shape[1], self.width).to(x), []
        for block in self.blocks:
            x = block(x, rotation)
            states.append(x)
        return states

    @torch.no_grad()
    def load_pretrained(self, moonshine: Any) -> None:
        """Copy the weights of a transformers ``MoonshineEncoder``. Raises RuntimeError where the shapes differ."""
        parts = {"conv1": "conv1", "conv2": "conv2", "conv3": "conv3", "norm": "groupnorm"}
        for ours, theirs in parts.items():
            self.get_submodule(ours).load_state_dict(getattr(moonshine, theirs).state_dict())
        for block, layer in zip(self.blocks, moonshine.layers, strict=False):
            block.load_state_dict(renamed(layer.state_dict(), _NAMES))


def rotations(count: int, width: int) -> Tensor:
    """Compute cosines and sines (2, ``count``, 2 R) that rotate R pairs of a head's ``width`` numbers by position."""
    pairs = int(width * _ROTATED) // 2
    angle = torch.arange(count)[:, None] / _BASE ** (torch.arange(pairs) / pairs)
    return torch.stack([angle.cos(), angle.sin()]).repeat_interleave(2, -1)


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate neighbouring pairs of the first 2 R numbers of queries or keys ``x`` (B, heads, T, D) by ``rotation``."""
    cos, sin = rotation
    pairs, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    orthogonal = torch.stack([-pairs[..., 1::2], pairs[..., ::2]], -1).flatten(-2)
    return torch.cat([pairs * cos + orthogonal * sin, rest], -1)


_NAMES = {
    "self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.o_proj": "out",
    "input_layernorm": "norm1", "post_attention_layernorm": "norm2", "mlp.fc1": "wide", "mlp.fc2": "narrow",
}  # fmt: skip
