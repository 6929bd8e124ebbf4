"""The one builder of model conditions, shared by training and generation.

Shapes: B frames, S crop side. Pictures come in as uint8 RGB and leave as float tensors in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """Crops (B, S, S, 3) uint8 to (B, 3, S, S) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Images (B, 3, S, S) in [-1, 1] to (B, S, S, 3) uint8."""
    scaled = ((images.float() + 1.0) * 127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def mask_tensor(mask: NDArray[np.floating[Any]]) -> Tensor:
    """Mask (S, S) or (B, S, S) in [0, 1] to (B, 1, S, S), hard-edged: a soft edge would show the source's lips."""
    tensor = torch.from_numpy(np.ascontiguousarray(mask)).float()
    return (tensor > 0.5).float().view(-1, 1, *tensor.shape[-2:])


def apply_mask(images: Tensor, mask: Tensor) -> Tensor:
    """Grey out what the model has to make: (B, 3, S, S) and (B, 1, S, S) to (B, 3, S, S). Before encoding, always."""
    return images * (1.0 - mask)


def frame_conditions(crops: NDArray[np.uint8], mask: NDArray[np.floating[Any]]) -> tuple[Tensor, Tensor]:
    """Crops (B, S, S, 3) and mask (S, S) to the masked frames (B, 3, S, S) and the mask (B, 1, S, S)."""
    hard = mask_tensor(mask).expand(len(crops), -1, -1, -1)
    return apply_mask(to_tensor(crops), hard), hard
