"""The first layers of a Whisper encoder (Radford et al. 2022, arXiv 2212.04356) as part of our audio encoder.

They distinguish sounds in any voice and language. They start from pretrained weights and are trained further.
Letters: B batch, W mel frames, T = W / 2 tokens of 20 ms, H hidden width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.mel import N_MELS

TOKEN = 2
"""Mel frames that one token stands for."""
_LEVEL = 1.4  # added to log-mel at our level, before the division by 4, to get Whisper's (measured on GRID and HDTF)
_SILENCE = -0.125  # the least value after that, as Whisper's own preparation leaves it (measured on the same clips)

_ALL = slice(None)


class WhisperBlock(nn.Module):
    """A layer of Whisper's encoder: self-attention and an MLP, each after a layer norm."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.query, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(3))
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.wide, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor, kept: slice = _ALL) -> Tensor:
        """Transform states (B, T, H) to the same shape, or to those of the ``kept`` places only."""
        n = self.norm1(x)
        q, k, v = self._split(self.query(n[:, kept])), self._split(self.key(n)), self._split(self.value(n))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x[:, kept] + self.out(mixed)
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class WhisperLayers(nn.Module):
    """The convolutions, positions and first ``layers`` blocks of a Whisper encoder, for windows of W mel frames."""

    def __init__(self, window: int, hidden: int, heads: int, layers: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(N_MELS, hidden, 3, padding=1)
        self.conv2 = nn.Conv1d(hidden, hidden, 3, stride=TOKEN, padding=1)
        self.place = nn.Parameter(torch.randn(window // TOKEN, hidden) * 0.02)
        self.blocks = nn.ModuleList(WhisperBlock(hidden, heads) for _ in range(layers))

    def forward(self, mel: Tensor, kept: slice = _ALL) -> Tensor:
        """Compute hidden states (B, T, H), or only the ``kept`` ones, of log-mel (B, W, 80) of Whisper's bands."""
        x = ((mel.transpose(1, 2) + _LEVEL) / 4.0).clamp_min(_SILENCE)
        x = F.gelu(self.conv2(F.gelu(self.conv1(x)))).transpose(1, 2) + self.place
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        return last(x, kept)  # type: ignore[no-any-return]

    @torch.no_grad()
    def load_pretrained(self, whisper: Any) -> None:
        """Copy the weights of a transformers ``WhisperEncoder``; of its positions the last ones.

        Raises:
            RuntimeError: The shapes differ.
        """
        self.conv1.load_state_dict(whisper.conv1.state_dict())
        self.conv2.load_state_dict(whisper.conv2.state_dict())
        self.place.copy_(whisper.embed_positions.weight[-len(self.place) :])
        for block, layer in zip(self.blocks, whisper.layers, strict=False):
            block.load_state_dict(renamed(layer.state_dict(), _NAMES))


_NAMES = {
    "self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.out_proj": "out",
    "self_attn_layer_norm": "norm1", "final_layer_norm": "norm2", "fc1": "wide", "fc2": "narrow",
}  # fmt: skip


def renamed(state: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """Rename a transformers layer's tensors.

    Args:
        state: Its ``state_dict``.
        names: Our names of its modules by theirs.
    """
    split = {key: key.rsplit(".", 1) for key in state}
    return {f"{names[module]}.{kind}": state[key] for key, (module, kind) in split.items()}
