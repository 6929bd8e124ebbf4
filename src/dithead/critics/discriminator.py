"""Discriminators: of pictures, for stage one (PatchGAN, as in latent diffusion), and of latents, for stage two."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Image (B, 3, S, S) with mask (B, 1, S, S) to patch scores and the features behind them."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Conv2d(4 * 4, width, 3, padding=1),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1),
        ])  # fmt: skip
        self.score = nn.Conv2d(4 * width, 1, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores (B, 1, S/8, S/8), higher is more real; features of the three layers."""
        h = F.pixel_unshuffle(torch.cat([image, mask], 1), 2)
        features = []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.score(h), features


class LatentCritic(nn.Module):
    """Latent (B, C, G, G), what is known of it and the mask (B, 1, G, G) to a score for every position."""

    def __init__(self, latent_channels: int, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2 * latent_channels + 1, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, latent: Tensor, masked: Tensor, mask: Tensor) -> Tensor:
        """Scores (B, 1, G, G), higher is more real, zero outside the mask."""
        return torch.as_tensor(self.layers(torch.cat([latent, masked, mask], 1)) * (mask > 0))
