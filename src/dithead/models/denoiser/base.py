"""What all denoisers share: sizes, conditions, attention, and the condition vector of time, speech and lips.

Letters: B batch, C latent channels, G latent side, R reference latents, N tokens, D width, L audio tokens, A audio
width, K lip coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TIME_FEATURES = 256  # sinusoids of the time, as in DiT


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of the denoiser.

    Attributes:
        grid: Latent side G.
        latent_channels: Latent channels C.
        width: Width D of a token (of the U-Net: channels at full resolution).
        depth: Number of blocks.
        heads: Attention heads.
        mlp_ratio: Hidden width of a block's MLP over ``width``.
        audio_width: Width A of the audio tokens.
        lip_targets: Lip coefficients K that are an explicit condition; 0: there is none.
        audio: How speech enters: by cross-attention, or as more tokens beside the picture's.
        references: Reference latents R that are concatenated on channels; may be 0.
        modulation_rank: Above 0, each block's modulation, else a third of its weights, is a product of this rank.
        backbone: ``dit``, or the ``unet`` to compare with (``models.denoiser.unet``).
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

    @property
    def inputs(self) -> int:
        """Input channels: noisy latent, masked frame, references, mask."""
        return (2 + self.references) * self.latent_channels + 1

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2 or self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of 4 and of heads {self.heads} (even head size)")
        if min(self.grid, self.depth, self.latent_channels, self.audio_width, self.references + 1,
               self.modulation_rank + 1) < 1:  # fmt: skip
            raise ValueError("grid, depth, latent_channels and audio_width must be positive, the rest not negative")


class LatentConditions(NamedTuple):
    """The conditions of a denoiser, besides the noisy latent and the time.

    A tuple, because FSDP looks for the tensors in its module's arguments.
    """

    masked: Tensor
    """Latents of the masked frames (B, C, G, G)."""
    mask: Tensor
    """Share of each cell under the mask (B, 1, G, G)."""
    reference: Tensor
    """Latents of the references (B, R * C, G, G), or (B, C, G, G): one that stands for all R."""
    audio: Tensor
    """Audio tokens (B, L, A)."""
    lips: Tensor | None = None
    """Lip coefficients (B, K); None is the resting mouth."""
    token_index: Tensor | None = None
    """Positions (row * G + column) to compute, (N,) for all samples or (B, N); None is every position."""


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Compute ``width`` sinusoids (B, width) of times ``t`` (B,) in [0, 1]."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, device=t.device) / half)
    angles = 1000.0 * t.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], -1)


class Attention(nn.Module):
    """Multi-head attention of x (B, N, D) over a context (B, M, J)."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Attend from ``x`` (B, N, D) to ``context`` (B, M, J): (B, N, D)."""
        b, n, d = x.shape
        q = self.query(x).view(b, n, self.heads, -1).transpose(1, 2)  # (B, heads, N, D / heads)
        k, v = self.key_value(context).view(b, context.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))


class Denoiser(nn.Module):
    """Base of the backbones: the condition vector (B, D) of time, speech and lips, and the input channels."""

    lip_shift: Tensor
    lip_gain: Tensor
    lip_centre: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        d = config.width
        self.time = nn.Sequential(nn.Linear(_TIME_FEATURES, d), nn.SiLU(), nn.Linear(d, d))
        self.audio_summary = nn.Linear(config.audio_width, d)
        self.audio_centre = nn.Linear(config.audio_width, d)
        nn.init.zeros_(self.audio_centre.weight)
        nn.init.zeros_(self.audio_centre.bias)
        if config.lip_targets:
            self.lips = nn.Sequential(nn.Linear(config.lip_targets, d), nn.SiLU(), nn.Linear(d, d))
            self.register_buffer("lip_shift", torch.zeros(config.lip_targets))
            self.register_buffer("lip_gain", torch.ones(config.lip_targets))
            self.register_buffer("lip_centre", torch.zeros(config.lip_targets))

    def condition_vector(self, time: Tensor, audio: Tensor, lips: Tensor) -> Tensor:
        """Compute the condition vector (B, D).

        Args:
            time: From ``time_vector``, (B, D) or (1, D).
            audio: Audio tokens (B, L, A).
            lips: Lip coefficients (B, K), not used without that condition.
        """
        vector = time + self._audio_vector(audio)
        return vector + self.lips(lips) if self.config.lip_targets else vector

    def lips_or_rest(self, lips: Tensor | None, audio: Tensor) -> Tensor:
        """Return ``lips`` (B, K) in the type of the ``audio`` tokens (B, L, A); those at rest for None."""
        return audio.new_zeros(len(audio), self.config.lip_targets) if lips is None else lips.to(audio.dtype)

    def time_vector(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """Compute the part (B, D) of the condition vector that depends on the times ``t`` (B,), in type ``dtype``."""
        return self.time(timestep_embedding(t, _TIME_FEATURES).to(dtype))  # type: ignore[no-any-return]

    def _audio_vector(self, audio: Tensor) -> Tensor:
        """The mean of the window's tokens and that of its centre, where the frame is shown: (B, L, A) to (B, D)."""
        middle = audio.shape[1] // 2
        centre: Tensor = self.audio_centre(audio[:, max(middle - 2, 0) : middle + 2].mean(1))
        return self.audio_summary(audio.mean(1)) + centre

    def input_channels(self, z_t: Tensor, conditions: LatentConditions) -> Tensor:
        """Concatenate noisy latent ``z_t``, masked frame, references and mask on channels: (B, inputs, G, G).

        One reference is repeated where the denoiser takes several; a denoiser that takes none gets one all the same,
        and drops it here.
        """
        c = conditions
        repeats = self.config.references * self.config.latent_channels // max(c.reference.shape[1], 1)
        return torch.cat([z_t, c.masked, c.reference.repeat(1, repeats, 1, 1), c.mask], 1)

    @torch.no_grad()
    def set_calibration(self, gain: Tensor, shift: Tensor, centre: Tensor) -> None:
        """Store how predicted lips are scaled and shifted, each (K,); nothing happens without a lip condition.

        Args:
            gain: Factor for each coefficient.
            shift: What is added after that.
            centre: The mean of the training people's calibrated coefficients.
        """
        if self.config.lip_targets:
            self.lip_gain.copy_(gain)
            self.lip_shift.copy_(shift)
            self.lip_centre.copy_(centre)

    def calibrated(self, predicted: Tensor) -> Tensor:
        """Restore the spread of predicted lips (B, K): predictions vary less than the truth."""
        return predicted.float() * self.lip_gain + self.lip_shift
