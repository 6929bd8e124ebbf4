"""Discriminators for adversarial training: of images (stage one) and of latents (stage two).

Letters: B batch, S image side, C latent channels, G latent side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Scores patches of an image, as PatchGAN does in latent diffusion (arXiv 2112.10752)."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Conv2d(4 * 4, width, 3, padding=1),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1),
        ])  # fmt: skip
        self.score = nn.Conv2d(4 * width, 1, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Score an image.

        Args:
            image: (B, 3, S, S) in [-1, 1].
            mask: (B, 1, S, S), which part of it was generated.

        Returns:
            Scores (B, 1, S/8, S/8), higher is more real; and the features of the three layers.
        """
        h = F.pixel_unshuffle(torch.cat([image, mask], 1), 2)
        features = []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.score(h), features


class LatentCritic(nn.Module):
    """Scores every position of a latent under the mask, given the masked frame's latent."""

    def __init__(self, latent_channels: int, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2 * latent_channels + 1, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, latent: Tensor, masked: Tensor, mask: Tensor) -> Tensor:
        """Score a latent.

        Args:
            latent: (B, C, G, G), real or generated.
            masked: Latent of the masked frame (B, C, G, G).
            mask: (B, 1, G, G).

        Returns:
            Scores (B, 1, G, G), higher is more real, zero outside the mask.
        """
        return torch.as_tensor(self.layers(torch.cat([latent, masked, mask], 1)) * (mask > 0))
