"""How stage one is judged: frames of people held out, rebuilt, against what they were.

Images (B, 3, S, S) in [-1, 1]; mask and mouth (B, 1, S, S).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dithead.critics.lpips import lpips_network
from dithead.prepare.conditions import to_pixels
from dithead.train.loop.runtime import Batch
from dithead.train.losses.reconstruction_loss import weighted_mean
from dithead.types import RGB

Distance = Callable[[Tensor, Tensor], Tensor]
"""Of pictures (B, 3, S, S) each, (B,)."""


def load_lpips(file: str, device: torch.device) -> Distance | None:
    """LPIPS by the weights in ``file``; None without one. Raises ModelError, MissingExtraError."""
    if not file:
        return None
    network = lpips_network(Path(file)).to(device)
    return lambda one, other: network(one.to(device), other.to(device))


def held_out_numbers(picture: Tensor, truth: Batch, lpips: Distance | None = None) -> dict[str, float]:
    """L1 at the mouth, PSNR in dB and SSIM where the mask is, and LPIPS where its weights are given."""
    image, mask = truth["image"], truth["mask"]
    squared = weighted_mean((picture - image).square(), mask)
    numbers = {
        "held_out_mouth_l1": float(weighted_mean((picture - image).abs(), truth["mouth"])),
        "held_out_psnr": float(10 * torch.log10(4 / squared.clamp_min(1e-10))),
        "held_out_ssim": ssim(picture, image, mask),
    }
    if lpips is not None:
        with torch.no_grad():
            numbers["held_out_lpips"] = float(lpips(picture, image).mean())
    return numbers


def ssim(picture: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Mean structural similarity of luma under the mask (Gaussian window of 11, sigma 1.5), over all frames.

    Over the whole picture it would be nearly 1 however bad the mouth is: what lies outside the mask is copied.
    """
    pairs = zip(to_pixels(picture), to_pixels(truth), strict=True)
    maps = [cv2.quality.QualitySSIM_compute(_luma(a), _luma(b))[1] for a, b in pairs]  # (S, S) each
    return float(weighted_mean(torch.from_numpy(np.stack(maps)[:, None]), mask))


def _luma(image: RGB) -> RGB:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
