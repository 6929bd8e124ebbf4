"""A small convolutional U-Net with the transformer's interface, as the baseline of the ablation of the backbone.

It has the usual shape of latent diffusion: residual blocks with scale and shift from the condition, attention over
picture and audio in the middle. It computes every position, and keeps the listed ones.
Letters: B batch, N channels of a block, G grid side, D width of the condition, L audio tokens, A audio width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.denoiser.base import Attention, Denoiser, DiTConfig, LatentConditions


class UNetBlock(nn.Module):
    """Residual pair of convolutions with scale and shift from the condition; the identity at the start."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(min(8, channels), channels) for _ in range(2))
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.modulation = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Transform ``x`` (B, N, G, G) under a ``condition`` (B, D) to the same shape."""
        scale, shift = self.modulation(F.silu(condition))[..., None, None].chunk(2, 1)
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))


class MiddleBlock(nn.Module):
    """A U-Net block, then attention over the picture and over the audio."""

    def __init__(self, channels: int, config: DiTConfig) -> None:
        super().__init__()
        self.conv = UNetBlock(channels, config.width)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.attention = Attention(channels, config.heads, channels)
        self.cross = Attention(channels, config.heads, config.audio_width)

    def forward(self, x: Tensor, condition: Tensor, audio: Tensor) -> Tensor:
        """Transform ``x`` (B, N, G, G) under ``condition`` (B, D) and ``audio`` (B, L, A) to the same shape."""
        x = self.conv(x, condition)
        tokens = x.flatten(2).transpose(1, 2)  # (B, G*G, N)
        h = self.norms[0](tokens)
        tokens = tokens + self.attention(h, h)
        tokens = tokens + self.cross(self.norms[1](tokens), audio)
        return tokens.transpose(1, 2).unflatten(2, x.shape[-2:])


class UNet(Denoiser):
    """``width`` channels at full resolution, twice as many at half; ``depth`` blocks, half of them in the middle."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__(config)
        w, outer = config.width, max(1, config.depth // 4)
        self.stem = nn.Conv2d(config.inputs, w, 3, padding=1)
        self.before = nn.ModuleList(UNetBlock(w, w) for _ in range(outer))
        self.down = nn.Conv2d(w, 2 * w, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(MiddleBlock(2 * w, config) for _ in range(max(1, config.depth // 2)))
        self.up = nn.Conv2d(3 * w, w, 3, padding=1)
        self.after = nn.ModuleList(UNetBlock(w, w) for _ in range(outer))
        self.norm = nn.GroupNorm(min(8, w), w)
        self.out = nn.Conv2d(w, config.latent_channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, z_t: Tensor, t: Tensor, conditions: LatentConditions) -> Tensor:
        """See ``DiT.forward``."""
        h = self.stem(self.input_channels(z_t, conditions))  # (B, width, G, G)
        audio = conditions.audio.to(h.dtype)
        lips = self.lips_or_rest(conditions.lips, audio)
        condition = self.condition_vector(self.time_vector(t, audio.dtype), audio, lips)
        for block in self.before:
            h = block(h, condition)
        low = self.down(h)
        for block in self.middle:
            low = block(low, condition, audio)
        h = self.up(torch.cat([h, F.interpolate(low, size=h.shape[-2:], mode="nearest")], 1))
        for block in self.after:
            h = block(h, condition)
        return _only_listed(self.out(F.silu(self.norm(h))), conditions.token_index)


def _only_listed(prediction: Tensor, token_index: Tensor | None) -> Tensor:
    """Zero at positions that are not listed."""
    if token_index is None:
        return prediction
    b, _, g, _ = prediction.shape
    listed = prediction.new_zeros(b, g * g).scatter_(1, token_index.expand(b, token_index.shape[-1]), 1.0)
    return prediction * listed.view(b, 1, g, g)
