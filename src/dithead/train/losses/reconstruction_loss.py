"""Computes the losses of the autoencoder: pixels, Laplacian pyramid, discriminator, features of two networks.

Letters: B batch, C channels, S side. Images are in [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dithead.critics.face_identity import FaceIdentity, chips_of_crops


def weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean of ``error`` (B, C, S, S) under ``weight`` (B, 1, S, S)."""
    return (error * weight).sum() / (weight.sum() * error.shape[1]).clamp_min(1e-6)


def pyramid_loss(prediction: Tensor, target: Tensor, weight: Tensor, levels: int = 3) -> Tensor:
    """Compute the L1 distance between Laplacian pyramids: a perceptual term that needs no download.

    Fine levels count as much as coarse ones although their coefficients are smaller, so that blur is expensive.

    Args:
        prediction: (B, C, S, S).
        target: (B, C, S, S).
        weight: (B, 1, S, S).
        levels: Band-pass levels before the coarse rest.
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
    """Compute the discriminator's hinge loss from its scores of real and generated patches."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Compute the mean relative L1 distance between a discriminator's features; the real ones are constant."""
    return torch.stack([F.l1_loss(f, r.detach()) / r.detach().abs().mean().clamp_min(1e-3)
                        for r, f in zip(real, fake, strict=True)]).mean()  # fmt: skip


def identity_loss(network: FaceIdentity, prediction: Tensor, target: Tensor) -> Tensor:
    """Compute how much a face recognition network's features of two pictures differ: the relative L1, mean over stages.

    Args:
        network: The network; its weights do not change.
        prediction: Aligned crops (B, 3, S, S), which get the gradient.
        target: The true crops (B, 3, S, S).
    """
    with torch.no_grad():
        real = network.features(chips_of_crops((target + 1) * 127.5))
    return feature_matching(real, network.features(chips_of_crops((prediction + 1) * 127.5)))
