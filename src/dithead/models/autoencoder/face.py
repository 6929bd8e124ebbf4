"""The face autoencoder of stage one: a small latent for the denoiser, and a decoder that also sees the picture.

The decoder, not the denoiser, bounds how sharp a mouth can get. Ours therefore receives the masked frame, the mask
and the reference at full resolution as skip features, so that skin, hair and beard need not pass through the latent.
The paper uses plain autoencoders; this one is our choice.
Letters: B batch, S image side, C latent channels, G = S / 16 latent side. Images are in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 16
"""Image side over latent side."""


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the face autoencoder.

    Attributes:
        latent_channels: Latent channels C.
        widths: Channels at S/2, S/4, S/8 and S/16.
        skip_widths: Channels of the picture branch at S/2, S/4 and S/8.
        decoder_widths: Channels of the decoder, as ``widths``; None: those.
        masked_widths: Channels of an encoder of its own for masked frames, as ``widths``; None: there is none. Masked
            frames are encoded for every frame that is drawn, whole pictures for references only.
    """

    latent_channels: int = 32
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    skip_widths: tuple[int, int, int] = (24, 48, 96)
    decoder_widths: tuple[int, int, int, int] | None = None
    masked_widths: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        widths = self.widths + self.skip_widths + (self.decoder_widths or ()) + (self.masked_widths or ())
        if self.latent_channels < 1 or min(widths) < 1:
            raise ValueError("autoencoder widths and latent_channels must be positive")

    @property
    def drawn_widths(self) -> tuple[int, int, int, int]:
        """Channels of the decoder."""
        return self.decoder_widths or self.widths

    def build(self) -> FaceAutoencoder:
        """Build the network with random weights."""
        return FaceAutoencoder(self)


def _norm(channels: int) -> nn.Module:
    # On CPUs the backward pass of GroupNorm dominates at high resolution; it helps at the wide, small levels.
    return nn.GroupNorm(8, channels) if channels >= 96 and channels % 8 == 0 else nn.Identity()


class ResBlock(nn.Module):
    """x + conv(silu(conv(norm(x)))); the second convolution starts at zero, so the block starts as identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(self.norm(x))))


class HalvingStem(nn.Conv2d):
    """The first convolution, at half the side: it takes squares of 2 x 2 pixels as channels."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(4 * channels, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn a picture (B, channels, S, S) into (B, width, S / 2, S / 2)."""
        return super().forward(F.pixel_unshuffle(x, 2))


class Encoder(nn.Module):
    """Image (B, 3, S, S) to latent (B, C, G, G) whose every position has unit root mean square over channels."""

    def __init__(self, config: AutoencoderConfig, widths: tuple[int, int, int, int] | None = None) -> None:
        """Make an encoder with the channels ``widths``, by default those of the configuration."""
        super().__init__()
        w = widths or config.widths
        self.stem = HalvingStem(3, w[0])
        self.levels = nn.ModuleList(ResBlock(c) for c in w)
        self.downs = nn.ModuleList(nn.Conv2d(w[i], w[i + 1], 3, stride=2, padding=1) for i in range(3))
        self.out = nn.Conv2d(w[3], config.latent_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.levels[0](self.stem(x))  # (B, w0, S/2, S/2)
        for down, level in zip(self.downs, self.levels[1:], strict=True):
            h = level(down(h))
        z = self.out(h).float()
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-4)  # bounded, so that no KL term is needed


class SkipBranch(nn.Module):
    """Masked frame, mask and reference at full resolution to features at S/2, S/4 and S/8."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        w = config.skip_widths
        self.stem = HalvingStem(3 + 1 + 3, w[0])
        self.levels = nn.ModuleList(ResBlock(c) for c in w)
        self.downs = nn.ModuleList(nn.Conv2d(w[i], w[i + 1], 3, stride=2, padding=1) for i in range(2))
        self.project = nn.ModuleList(nn.Conv2d(w[i], config.drawn_widths[i], 1) for i in range(3))

    def forward(self, masked: Tensor, mask: Tensor, reference: Tensor) -> list[Tensor]:
        x = torch.cat([masked, mask * 2 - 1, reference], 1)  # (B, 7, S, S)
        h = self.levels[0](self.stem(x))
        features = [self.project[0](h)]
        for i in range(2):
            h = self.levels[i + 1](self.downs[i](h))
            features.append(self.project[i + 1](h))
        return features


class Decoder(nn.Module):
    """Latent plus picture features to image (B, 3, S, S)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        w = config.drawn_widths
        self.stem = nn.Conv2d(config.latent_channels, w[3], 1)
        self.middle = nn.Sequential(ResBlock(w[3]), ResBlock(w[3]))
        self.ups = nn.ModuleList(nn.Conv2d(w[i + 1], w[i], 1) for i in range(3))
        self.levels = nn.ModuleList(ResBlock(w[i]) for i in range(3))
        self.refine = ResBlock(w[1])
        self.out = nn.Conv2d(w[0], 3 * 4, 3, padding=1)

    def forward(self, z: Tensor, features: list[Tensor]) -> Tensor:
        h = self.middle(self.stem(z))  # (B, w3, G, G)
        for i in (2, 1, 0):
            h = F.interpolate(self.ups[i](h), scale_factor=2.0, mode="nearest") + features[i]
            h = self.levels[i](h)
            h = self.refine(h) if i == 1 else h
        return F.pixel_shuffle(self.out(h), 2)


class FaceAutoencoder(nn.Module):
    """Stage one. Latents that leave ``encode`` and enter ``decode`` have unit variance per channel.

    The per-channel statistics are measured once after training (``set_statistics``) and stored with the weights, so
    that no caller ever scales a latent.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.masked_encoder = Encoder(config, config.masked_widths) if config.masked_widths else None
        self.skip = SkipBranch(config)
        self.decoder = Decoder(config)
        self.register_buffer("latent_mean", torch.zeros(1, config.latent_channels, 1, 1))
        self.register_buffer("latent_std", torch.ones(1, config.latent_channels, 1, 1))

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def encode_masked(self, x: Tensor) -> Tensor:
        """Encode a masked frame (B, 3, S, S), with the encoder of whole images where there is no other."""
        return self._scaled(x, self.encoder if self.masked_encoder is None else self.masked_encoder)

    def encode(self, x: Tensor) -> Tensor:
        """Encode an image (B, 3, S, S) as a scaled latent (B, C, G, G). Raises ValueError if S is no multiple of 16."""
        return self._scaled(x, self.encoder)

    def _scaled(self, x: Tensor, encoder: nn.Module) -> Tensor:
        if x.shape[-1] % FACTOR or x.shape[-2] % FACTOR:
            raise ValueError(f"image side must be a multiple of {FACTOR}, got {tuple(x.shape[-2:])}")
        return (encoder(x) - self.latent_mean) / self.latent_std  # type: ignore[no-any-return]

    def decode(self, z: Tensor, masked: Tensor, mask: Tensor, reference: Tensor) -> Tensor:
        """Decode a latent.

        Args:
            z: Scaled latent (B, C, G, G).
            masked: Masked frame (B, 3, S, S).
            mask: (B, 1, S, S), 1 where the image is generated.
            reference: Reference frame (B, 3, S, S).

        Returns:
            Image (B, 3, S, S) in [-1, 1], equal to ``masked`` outside the mask.
        """
        raw = z * self.latent_std + self.latent_mean
        image = self.decoder(raw.to(masked.dtype), self.skip(masked, mask, reference))
        return masked * (1 - mask) + image * mask

    @torch.no_grad()
    def set_statistics(self, raw_latents: Tensor) -> None:
        """Store mean and standard deviation over raw encoder outputs (N, C, G, G)."""
        self.latent_mean.copy_(raw_latents.mean((0, 2, 3), keepdim=True))
        self.latent_std.copy_(raw_latents.std((0, 2, 3), keepdim=True).clamp_min(1e-3))
