"""Metrics of the autoencoder: reconstructed frames of held-out people against the true ones.

Letters: B batch, S side. Images (B, 3, S, S) are in [-1, 1]; mask and mouth are (B, 1, S, S).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dithead.critics.face_identity import embed_crops
from dithead.critics.lpips import lpips_network
from dithead.critics.ssim import structural_similarity
from dithead.prepare.conditions import to_pixels
from dithead.train.loop.batches import Batch
from dithead.train.losses.reconstruction_loss import weighted_mean
from dithead.types import RGB

Distance = Callable[[Tensor, Tensor], Tensor]
"""A distance (B,) of two batches of images (B, 3, S, S)."""


def load_lpips(file: str, device: torch.device) -> Distance | None:
    """Load LPIPS with the weights in ``file``; None where no file is named.

    Raises:
        ModelError: The file cannot be read.
        MissingExtraError: The network's library is not installed.
    """
    if not file:
        return None
    network = lpips_network(Path(file)).to(device)
    return lambda one, other: network(one.to(device), other.to(device))


def held_out_metrics(picture: Tensor, truth: Batch, lpips: Distance | None = None) -> dict[str, float]:
    """Measure L1 at the mouth, PSNR in dB and SSIM under the mask, the faces' identity, and LPIPS where it is given.

    Args:
        picture: Reconstructions (B, 3, S, S).
        truth: ``image``, ``mask`` and ``mouth`` of the same frames.
        lpips: The perceptual distance.
    """
    image, mask = truth["image"], truth["mask"]
    squared = weighted_mean((picture - image).square(), mask)
    metrics = {
        "held_out_mouth_l1": float(weighted_mean((picture - image).abs(), truth["mouth"])),
        "held_out_psnr": float(10 * torch.log10(4 / squared.clamp_min(1e-10))),
        "held_out_ssim": ssim(picture, image, mask),
        "held_out_identity": identity_distance(picture, image),
    }
    if lpips is not None:
        with torch.no_grad():
            metrics["held_out_lpips"] = float(lpips(picture, image).mean())
    return metrics


def ssim(picture: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Compute the mean structural similarity of luma under the mask (Gaussian window of 11, sigma 1.5).

    Over the whole picture it would be nearly 1 however bad the mouth is, because the rest is copied.
    """
    pairs = zip(to_pixels(picture), to_pixels(truth), strict=True)
    maps = [structural_similarity(_luma(a), _luma(b)) for a, b in pairs]  # (S, S) each
    return float(weighted_mean(torch.from_numpy(np.stack(maps)[:, None]), mask))


def identity_distance(picture: Tensor, truth: Tensor) -> float:
    """Compute the mean distance of two faces (B, 3, S, S) to a face recognition network (``critics.face_identity``)."""
    one, other = (embed_crops(list(to_pixels(each))) for each in (picture, truth))
    return float(np.linalg.norm(one - other, axis=1).mean())


def _luma(image: RGB) -> RGB:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
