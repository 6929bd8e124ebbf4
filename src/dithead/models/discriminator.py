"""Patch discriminator for the adversarial part of stage one (PatchGAN, as in latent diffusion)."""

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
