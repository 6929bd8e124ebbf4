"""The denoiser: a diffusion transformer with adaLN-Zero and audio cross-attention in every block.

Shapes: B batch, C latent channels, G latent side, N tokens, D width, L audio tokens, A audio width.
Sources: DiT (arXiv 2212.09748) for adaLN-Zero; DiT-Head (arXiv 2312.06400) for audio by cross-attention and the
masked-frame and reference conditions. Sizes are our choice.

Attention works on a token list: ``token_index`` names the latent positions to process, so tokens outside the mask,
which are known, cost nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.denoiser.chunks import CONTEXT


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of the transformer. ``grid`` is the latent side G, ``audio_width`` the width of the audio tokens.

    ``lip_targets`` above 0 adds an explicit condition: that many numbers which say what the lips do. ``audio`` is heard
    by cross-attention, or as more tokens beside the picture's; ``references`` latents, or none, are concatenated on
    channels; ``modulation_rank`` above 0 makes each block's modulation, a third of its weights, by way of that many
    numbers; ``backbone`` unet is there to compare with (``models.denoiser.unet``). ``temporal`` is how many frames are
    drawn together, with attention over time (``models.denoiser.chunks``); 0: each by itself.
    """

    grid: int = 10
    latent_channels: int = 32
    width: int = 256
    depth: int = 8
    heads: int = 4
    mlp_ratio: float = 4.0
    audio_width: int = 256
    lip_targets: int = 0
    audio: Literal["cross", "concat"] = "cross"
    references: int = 1
    modulation_rank: int = 0
    backbone: Literal["dit", "unet"] = "dit"
    temporal: int = 0

    @property
    def inputs(self) -> int:
        """Channels that go in: noisy latent, masked frame, references, mask."""
        return (2 + self.references) * self.latent_channels + 1

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2 or self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of 4 and of heads {self.heads} (even head size)")
        if min(self.grid, self.depth, self.latent_channels, self.audio_width, self.references + 1,
               self.modulation_rank + 1) < 1:  # fmt: skip
            raise ValueError("grid, depth, latent_channels and audio_width must be positive, the rest not negative")
        if self.temporal and (self.temporal <= CONTEXT or self.backbone != "dit"):
            raise ValueError(f"temporal must be 0 or at least {CONTEXT + 1} frames, and is for the backbone dit only")


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoids of t in [0, 1]: (B,) to (B, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, device=t.device) / half)
    angles = 1000.0 * t.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], -1)


def grid_embedding(grid: int, width: int) -> Tensor:
    """Two-dimensional sine-cosine positions (grid * grid, width), rows first."""
    quarter = width // 4
    frequencies = 1.0 / 10_000 ** (torch.arange(quarter) / quarter)
    angles = torch.arange(grid)[:, None] * frequencies[None]  # (G, D/4)
    axis = torch.cat([angles.sin(), angles.cos()], -1)  # (G, D/2)
    rows = axis[:, None].expand(grid, grid, -1)
    columns = axis[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], -1).reshape(grid * grid, width)


class Attention(nn.Module):
    """Multi-head attention of x (B, N, D) over a context (B, M, K)."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        b, n, d = x.shape
        q = self.query(x).view(b, n, self.heads, -1).transpose(1, 2)  # (B, H, N, D/H)
        k, v = self.key_value(context).view(b, context.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))


class TemporalAttention(nn.Module):
    """Every position looks at itself in the other frames of its chunk.

    It adds nothing at the start, so a model without it begins as one with it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads, width)
        nn.init.zeros_(self.attention.out.weight)
        nn.init.zeros_(self.attention.out.bias)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """What is added to x (B, N, D), whose B samples are chunks of ``frames`` in a row."""
        b, n, d = x.shape
        h = self.norm(x).view(-1, frames, n, d).transpose(1, 2).reshape(-1, frames, d)  # (B / frames * N, frames, D)
        h = h + timestep_embedding(torch.arange(frames, device=x.device) / 1000.0, d).to(h.dtype)
        h = self.attention(h, h).view(-1, n, frames, d)
        return h.transpose(1, 2).reshape(b, n, d)


def modulation(condition: int, count: int, rank: int) -> nn.Module:
    """Linear map of a condition to ``count`` numbers, all 0 at first; of ``rank``, if that is above 0."""
    first = [nn.Linear(condition, rank, bias=False)] if rank else []
    last = nn.Linear(rank or condition, count)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*first, last) if rank else last


class Block(nn.Module):
    """Self-attention, audio cross-attention and MLP, each gated by adaLN-Zero (identity at the start).

    Where audio comes as tokens beside the picture's there is no cross-attention. Frames drawn together look at one
    another after the self-attention.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        d, hidden = config.width, int(config.width * config.mlp_ratio)
        self.crosses = config.audio == "cross"
        self.attention = Attention(d, config.heads, d)
        if self.crosses:
            self.cross = Attention(d, config.heads, config.audio_width)
        self.temporal = TemporalAttention(d, config.heads) if config.temporal else None
        self.mlp = nn.Sequential(nn.Linear(d, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, d))
        parts = 3 if self.crosses else 2
        self.norms = nn.ModuleList(nn.LayerNorm(d, elementwise_affine=False, eps=1e-6) for _ in range(parts))
        self.modulation = modulation(d, 3 * parts * d, config.modulation_rank)

    def forward(self, x: Tensor, condition: Tensor, audio: Tensor, frames: int = 1) -> Tensor:
        """x (B, N, D), condition (B, D), audio (B, L, A) to (B, N, D)."""
        count, d = len(self.norms), x.shape[-1]
        shift, scale, gate = self.modulation(F.silu(condition)).view(-1, count, 3, 1, d).unbind(2)

        def normed(i: int, x: Tensor) -> Tensor:
            return torch.as_tensor(self.norms[i](x) * (1 + scale[:, i]) + shift[:, i])

        h = normed(0, x)
        x = x + gate[:, 0] * self.attention(h, h)
        if self.temporal is not None:
            x = x + self.temporal(x, frames)
        if self.crosses:
            x = x + gate[:, 1] * self.cross(normed(1, x), audio)
        return x + gate[:, -1] * self.mlp(normed(count - 1, x))


class Denoiser(nn.Module):
    """What every backbone knows: the time, the speech as a whole, and what the lips do, as one condition (B, D)."""

    lip_shift: Tensor
    lip_gain: Tensor
    lip_centre: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        d = config.width
        self.time = nn.Sequential(nn.Linear(256, d), nn.SiLU(), nn.Linear(d, d))
        self.audio_summary = nn.Linear(config.audio_width, d)
        self.audio_centre = nn.Linear(config.audio_width, d)
        nn.init.zeros_(self.audio_centre.weight)
        nn.init.zeros_(self.audio_centre.bias)
        if config.lip_targets:
            self.lips = nn.Sequential(nn.Linear(config.lip_targets, d), nn.SiLU(), nn.Linear(d, d))
            self.register_buffer("lip_shift", torch.zeros(config.lip_targets))
            self.register_buffer("lip_gain", torch.ones(config.lip_targets))
            self.register_buffer("lip_centre", torch.zeros(config.lip_targets))

    def condition(self, t: Tensor, audio: Tensor, lips: Tensor | None) -> Tensor:
        """Time (B,), audio (B, L, A) and lips (B, lip_targets) or None, the resting mouth, to (B, D)."""
        told: Tensor = self.time(timestep_embedding(t, 256).to(audio.dtype)) + self._heard(audio)
        if self.config.lip_targets:
            lips = audio.new_zeros(len(audio), self.config.lip_targets) if lips is None else lips
            told = told + self.lips(lips.to(audio.dtype))
        return told

    def picture(self, z_t: Tensor, masked_z: Tensor, reference_z: Tensor, mask_z: Tensor) -> Tensor:
        """All that is known of the picture on channels (B, inputs, G, G). One reference may stand for several; a
        denoiser that sees none is given one all the same.
        """
        missing = self.config.references * self.config.latent_channels // max(reference_z.shape[1], 1)
        return torch.cat([z_t, masked_z, reference_z.repeat(1, missing, 1, 1), mask_z], 1)

    @torch.no_grad()
    def set_calibration(self, gain: Tensor, shift: Tensor, centre: Tensor) -> None:
        """How guesses of the lips are scaled and moved, each (lip_targets,); nothing for a model not told of lips."""
        if self.config.lip_targets:
            self.lip_gain.copy_(gain)
            self.lip_shift.copy_(shift)
            self.lip_centre.copy_(centre)

    def calibrated(self, guess: Tensor) -> Tensor:
        """An audio encoder's guess of the lips (B, lip_targets), given back the spread that guessing takes away."""
        return guess.float() * self.lip_gain + self.lip_shift

    def _heard(self, audio: Tensor) -> Tensor:
        """The whole window and its centre, the moment the frame is shown, as a condition: (B, L, A) to (B, D)."""
        middle = audio.shape[1] // 2
        centre: Tensor = self.audio_centre(audio[:, max(middle - 2, 0) : middle + 2].mean(1))
        return self.audio_summary(audio.mean(1)) + centre


class DiT(Denoiser):
    """Estimate of the clean latent (or noise, by objective) for the tokens asked for."""

    positions: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__(config)
        d = config.width
        self.embed = nn.Linear(config.inputs, d)
        if config.audio == "concat":
            self.audio_tokens = nn.Linear(config.audio_width, d)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(d, 2 * d)
        self.out = nn.Linear(d, config.latent_channels)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("positions", grid_embedding(config.grid, d), persistent=False)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        masked_z: Tensor,
        mask_z: Tensor,
        reference_z: Tensor,
        audio: Tensor,
        token_index: Tensor | None = None,
        lips: Tensor | None = None,
        frames: int = 1,
    ) -> Tensor:
        """Predict for z_t (B, C, G, G) at time t (B,) in [0, 1].

        masked_z: (B, C, G, G); reference_z: (B, references * C, G, G), or one for all; mask_z: (B, 1, G, G); audio:
        (B, L, A). ``token_index`` (N,) or (B, N) lists the positions (row * G + column) to process. ``lips``
        (B, lip_targets) says what the lips do; absent is the resting mouth. The B samples are chunks of ``frames`` in a
        row, for attention over time. Returns (B, C, G, G); positions not listed are zero.
        """
        g, b = self.config.grid, len(z_t)
        every = torch.arange(g * g, device=z_t.device) if token_index is None else token_index
        index = every.expand(b, every.shape[-1])  # (B, N)
        tokens = self.picture(z_t, masked_z, reference_z, mask_z).flatten(2).transpose(1, 2)  # (B, G*G, inputs)
        x = self.embed(_pick(tokens, index)) + self.positions[index].to(z_t.dtype)  # (B, N, D)
        condition = self.condition(t, audio.to(x.dtype), lips)
        if self.config.audio == "concat":
            x = torch.cat([x, self.audio_tokens(audio).to(x.dtype)], 1)  # (B, N + L, D)
        for block in self.blocks:
            x = block(x, condition, audio, frames)
        x = x[:, : index.shape[1]]
        shift, scale = self.modulation(F.silu(condition)).unsqueeze(1).chunk(2, -1)
        prediction = self.out(self.norm(x) * (1 + scale) + shift)  # (B, N, C)
        grid = prediction.new_zeros(b, g * g, prediction.shape[-1])
        grid.scatter_(1, index[..., None].expand_as(prediction), prediction)
        return grid.transpose(1, 2).unflatten(2, (g, g)).contiguous()  # FSDP takes no views


def _pick(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (B, N) of tokens (B, M, K) to (B, N, K)."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def tokens_per_sample(mask_z: Tensor, frames: int = 1) -> Tensor:
    """For each sample its positions under the mask: (B, 1, G, G) to (B, N), N that of the largest mask.

    Smaller masks are filled up with positions outside, which do no harm. Samples of a chunk of ``frames`` get the
    positions under any of their masks.
    """
    touched = (mask_z > 0).flatten(1)  # (B, G*G)
    if frames > 1:
        touched = touched.unflatten(0, (-1, frames)).any(1).repeat_interleave(frames, 0)
    order = torch.argsort(touched.to(torch.int8), dim=1, descending=True, stable=True)
    return order[:, : int(touched.sum(1).max())]


def tokens_under_mask(mask_z: Tensor, ring: int = 0) -> Tensor:
    """Positions whose cell the mask touches in any sample, with ``ring`` cells around: (B, 1, G, G) to (N,)."""
    touched = (mask_z > 0).any(0, keepdim=True).float()
    grown = F.max_pool2d(touched, 2 * ring + 1, stride=1, padding=ring)
    return grown.flatten().nonzero().squeeze(1)
