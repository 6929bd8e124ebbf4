"""An audio encoder that has heard many people: the first layers of a Whisper encoder on the speech around a frame.

Radford et al. 2022. Its first layers tell sounds apart in anyone's voice and any language; they start from pretrained
weights and go on learning. Unlike ``models.pretrained.SpeechEncoder`` it hears a short window, not the whole track, so
that live speech gives the numbers of a file.
Shapes: B batch, W mel frames a window, H hidden width, L tokens, A token width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio import MelListener
from dithead.models.mel import N_MELS

_TOKEN = 2  # mel frames a token
_LEVEL, _SILENCE = 1.4, -0.125  # what makes speech at our level Whisper's own (measured on GRID and HDTF)
_GROUP = 3  # tokens whose mean is one moment to the guess of the lips


@dataclass(frozen=True)
class ContextEncoderConfig:
    """``window`` mel frames (10 ms each) are heard; the ``tokens`` around its centre, 20 ms each, are handed on.

    ``hidden``, ``heads`` and ``layers`` are those of the Whisper encoder (tiny: 384, 6 and the first 2 of 4).
    """

    window: int = 96
    tokens: int = 24
    width: int = 256
    hidden: int = 384
    heads: int = 6
    layers: int = 2
    lip_targets: int = 9
    kind: Literal["context"] = "context"

    def __post_init__(self) -> None:
        if self.window % 4 or self.tokens % (2 * _GROUP) or self.tokens * _TOKEN > self.window:
            raise ValueError("audio window must be a multiple of 4, tokens one of 6 and no more than half the window")
        if self.hidden % self.heads or self.width < 8:
            raise ValueError("hidden must be a multiple of heads, width at least 8")


class Block(nn.Module):
    """A layer of Whisper's encoder: self-attention, then two linear maps, each normalised before."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.query, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(3))
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.wide, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm1(x)
        q, k, v = (self._split(layer(n)) for layer in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.out(mixed)
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class ContextEncoder(MelListener):
    """Log-mel window (B, W, 80) of Whisper's bands to tokens (B, L, A). Also guesses what the lips do."""

    scale = "whisper"

    def __init__(self, config: ContextEncoderConfig) -> None:
        super().__init__(config.tokens, config.width, config.lip_targets)
        self.config = config
        self.conv1 = nn.Conv1d(N_MELS, config.hidden, 3, padding=1)
        self.conv2 = nn.Conv1d(config.hidden, config.hidden, 3, stride=_TOKEN, padding=1)
        self.place = nn.Parameter(torch.randn(config.window // _TOKEN, config.hidden) * 0.02)
        self.blocks = nn.ModuleList(Block(config.hidden, config.heads) for _ in range(config.layers))
        self.project = nn.Linear(config.hidden, config.width)
        self.norm = nn.LayerNorm(config.width)
        moments = config.tokens // _GROUP
        self.lips = nn.Sequential(
            nn.Linear(moments * config.width, config.width), nn.GELU(), nn.Linear(config.width, config.lip_targets)
        )

    def forward(self, mel: Tensor) -> Tensor:
        x = ((mel.transpose(1, 2) + _LEVEL) / 4.0).clamp_min(_SILENCE)
        x = F.gelu(self.conv2(F.gelu(self.conv1(x)))).transpose(1, 2) + self.place  # (B, W/2, H)
        for block in self.blocks:
            x = block(x)
        first = (x.shape[1] - self.config.tokens) // 2
        near = x[:, first : first + self.config.tokens]
        return self.norm(self.project(near) + self.position)  # type: ignore[no-any-return]

    def guess_lips(self, tokens: Tensor) -> Tensor:
        """Lip-shape coefficients (B, lip_targets) of the centre frame."""
        guess: Tensor = self.lips(tokens.unflatten(1, (-1, _GROUP)).mean(2).flatten(1))
        return guess

    def from_elsewhere(self) -> list[nn.Parameter]:
        """What comes from Whisper, and should learn slowly."""
        parts: list[nn.Module] = [self.conv1, self.conv2, self.blocks]
        return [self.place, *(p for part in parts for p in part.parameters())]

    @torch.no_grad()
    def take_from(self, whisper: Any) -> None:
        """Start from a transformers ``WhisperEncoder`` of the same hidden width; its last places are the nearest."""
        self.conv1.load_state_dict(whisper.conv1.state_dict())
        self.conv2.load_state_dict(whisper.conv2.state_dict())
        self.place.copy_(whisper.embed_positions.weight[-len(self.place) :])
        for block, layer in zip(self.blocks, whisper.layers, strict=False):
            block.load_state_dict(_renamed(layer.state_dict()))


_NAMES = {
    "self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.out_proj": "out",
    "self_attn_layer_norm": "norm1", "final_layer_norm": "norm2", "fc1": "wide", "fc2": "narrow",
}  # fmt: skip


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A WhisperEncoderLayer's tensors under the names of ``Block``."""
    split = {key: key.rsplit(".", 1) for key in state}
    return {f"{_NAMES[module]}.{kind}": state[key] for key, (module, kind) in split.items()}
