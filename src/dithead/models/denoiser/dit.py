"""The denoiser: a diffusion transformer with adaLN-Zero and audio cross-attention in every block.

Sources: DiT (arXiv 2212.09748) for adaLN-Zero; DiT-Head (arXiv 2312.06400) for audio by cross-attention and the
masked-frame and reference conditions. Sizes are our choice. Attention works on a list of tokens, so those outside the
mask, which are known, cost nothing.
Letters: B batch, C latent channels, G latent side, N tokens, D width, L audio tokens, A audio width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.denoiser.base import Attention, Denoiser, DiTConfig, LatentConditions


def grid_embedding(grid: int, width: int) -> Tensor:
    """Compute two-dimensional sine-cosine positions (``grid`` * ``grid``, ``width``), rows first."""
    quarter = width // 4
    frequencies = 1.0 / 10_000 ** (torch.arange(quarter) / quarter)
    angles = torch.arange(grid)[:, None] * frequencies[None]  # (G, D/4)
    axis = torch.cat([angles.sin(), angles.cos()], -1)  # (G, D/2)
    rows = axis[:, None].expand(grid, grid, -1)
    columns = axis[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], -1).reshape(grid * grid, width)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift ``x`` (B, N, D) by ``1 + scale`` and ``shift``, (B, 1, D) each."""
    return x * (1 + scale) + shift


def zero_modulation(condition: int, count: int, rank: int) -> nn.Module:
    """Make a linear map of a condition to numbers that are all 0 at first.

    Args:
        condition: Width of the condition.
        count: Numbers.
        rank: Rank of the map; 0: full rank.
    """
    first = [nn.Linear(condition, rank, bias=False)] if rank else []
    last = nn.Linear(rank or condition, count)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*first, last) if rank else last


class DiTBlock(nn.Module):
    """Self-attention, audio cross-attention and MLP, each gated by adaLN-Zero (the identity at the start).

    There is no cross-attention where audio comes as tokens beside the picture's.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        d, hidden = config.width, int(config.width * config.mlp_ratio)
        crosses = config.audio == "cross"
        self.attention = Attention(d, config.heads, d)
        self.cross = Attention(d, config.heads, config.audio_width) if crosses else None
        self.mlp = nn.Sequential(nn.Linear(d, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, d))
        self.norm = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.adaln_count = 9 if crosses else 6  # shift, scale and gate of each part
        self.modulation = zero_modulation(d, self.adaln_count * d, config.modulation_rank)

    def forward(self, x: Tensor, condition: Tensor, audio: Tensor) -> Tensor:
        """Transform tokens ``x`` (B, N, D) under ``condition`` (B, D) and ``audio`` (B, L, A) to the same shape."""
        adaln = self.modulation(F.silu(condition)).unsqueeze(1).chunk(self.adaln_count, -1)  # (B, 1, D) each
        shift_msa, scale_msa, gate_msa = adaln[:3]
        shift_mlp, scale_mlp, gate_mlp = adaln[-3:]
        h = modulate(self.norm(x), shift_msa, scale_msa)
        x = x + gate_msa * self.attention(h, h)
        if self.cross is not None:
            shift_mca, scale_mca, gate_mca = adaln[3:6]
            x = x + gate_mca * self.cross(modulate(self.norm(x), shift_mca, scale_mca), audio)
        return x + gate_mlp * self.mlp(modulate(self.norm(x), shift_mlp, scale_mlp))


class DiT(Denoiser):
    """Predicts the clean latent (or noise, or velocity, by objective) at the listed positions."""

    positions: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__(config)
        d = config.width
        self.embed = nn.Linear(config.inputs, d)
        if config.audio == "concat":
            self.audio_tokens = nn.Linear(config.audio_width, d)
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(d, 2 * d)
        self.out = nn.Linear(d, config.latent_channels)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("positions", grid_embedding(config.grid, d), persistent=False)

    def forward(self, z_t: Tensor, t: Tensor, conditions: LatentConditions) -> Tensor:
        """Predict for z_t (B, C, G, G) at time t (B,) in [0, 1].

        Returns:
            (B, C, G, G); positions that ``conditions.token_index`` does not list are zero.
        """
        index, audio = conditions.token_index, conditions.audio.to(z_t.dtype)
        every = torch.arange(self.config.grid**2, device=z_t.device) if index is None else index
        channels, time = self.input_channels(z_t, conditions), self.time_vector(t, z_t.dtype)
        return self.predict(channels, time, audio, self.lips_or_rest(conditions.lips, audio), every)

    def predict(self, channels: Tensor, time: Tensor, audio: Tensor, lips: Tensor, index: Tensor) -> Tensor:
        """Predict the latent (B, C, G, G).

        Args:
            channels: From ``input_channels``.
            time: From ``time_vector``.
            audio: Audio tokens (B, L, A).
            lips: Lip coefficients (B, K).
            index: Positions to compute, see ``LatentConditions.token_index``.
        """
        g = self.config.grid
        x = self.embed(_rows(channels.flatten(2), index)) + self.positions[index].to(channels.dtype)  # (B, N, D)
        condition = self.condition_vector(time, audio, lips)
        if self.config.audio == "concat":
            x = torch.cat([x, self.audio_tokens(audio)], 1)  # (B, N + L, D)
        x = self.transform(x, condition, audio)[:, : index.shape[-1]]
        shift, scale = self.modulation(F.silu(condition)).unsqueeze(1).chunk(2, -1)
        prediction = self.out(modulate(self.norm(x), shift, scale))  # (B, N, C)
        grid = _on_grid(prediction, index, g * g)
        return grid.transpose(1, 2).unflatten(2, (g, g)).contiguous()  # FSDP takes no views

    def transform(self, x: Tensor, condition: Tensor, audio: Tensor) -> Tensor:
        """Pass tokens ``x`` (B, N, D) through all blocks; see ``DiTBlock.forward``."""
        for block in self.blocks:
            x = block(x, condition, audio)
        return x


def _rows(tokens: Tensor, index: Tensor) -> Tensor:
    """Columns ``index`` (N,) or (B, N) of tokens (B, J, M) as rows (B, N, J)."""
    if index.ndim == 1:
        return tokens.index_select(2, index).transpose(1, 2)
    return tokens.transpose(1, 2).gather(1, index[..., None].expand(-1, -1, tokens.shape[1]))


def _on_grid(rows: Tensor, index: Tensor, cells: int) -> Tensor:
    """Put ``rows`` (B, N, C) into the places ``index`` (N,) or (B, N) of ``cells`` rows that are zero elsewhere."""
    grid = rows.new_zeros(rows.shape[0], cells, rows.shape[-1])
    if index.ndim == 1:
        return grid.index_copy_(1, index, rows)
    return grid.scatter_(1, index[..., None].expand_as(rows), rows)
