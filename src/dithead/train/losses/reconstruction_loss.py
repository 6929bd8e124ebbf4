"""Losses of stage one. Images (B, 3, S, S) in [-1, 1]; weights (B, 1, S, S)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Mean of error (B, C, S, S) under weight (B, 1, S, S)."""
    return (error * weight).sum() / (weight.sum() * error.shape[1]).clamp_min(1e-6)


def pyramid_loss(prediction: Tensor, target: Tensor, weight: Tensor, levels: int = 3) -> Tensor:
    """L1 between Laplacian pyramids: a perceptual term that needs no download.

    Fine levels count as much as coarse ones although their coefficients are smaller, so blur is expensive.
    """
    difference = prediction - target
    total = difference.new_zeros(())
    for level in range(levels):
        coarse = F.avg_pool2d(difference, 2)
        band = difference - F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        total = total + 2.0 ** (1 - level) * weighted_mean(band.abs(), weight)
        difference, weight = coarse, F.avg_pool2d(weight, 2)
    return total + weighted_mean(difference.abs(), weight)


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of patch scores."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean L1 between discriminator features; the real ones are a constant."""
    return torch.stack([F.l1_loss(f, r.detach()) / r.detach().abs().mean().clamp_min(1e-3)
                        for r, f in zip(real, fake, strict=True)]).mean()  # fmt: skip
