"""The one builder of the model's picture conditions, shared by training and generation.

Pictures come in as uint8 RGB and leave as float tensors in [-1, 1]. Letters: B frames, S crop side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """Turn crops (B, S, S, 3) of 8 bits into images (B, 3, S, S) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Turn images (B, 3, S, S) in [-1, 1] into crops (B, S, S, 3) of 8 bits."""
    scaled = ((images.float() + 1.0) * 127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def mask_tensor(mask: NDArray[np.floating[Any]]) -> Tensor:
    """Turn a mask (S, S) or (B, S, S) into (B, 1, S, S) of 0 and 1: a soft edge would let the source's lips through."""
    tensor = torch.from_numpy(np.ascontiguousarray(mask)).float()
    return (tensor > 0.5).float().view(-1, 1, *tensor.shape[-2:])


def apply_mask(images: Tensor, mask: Tensor) -> Tensor:
    """Grey out, before encoding, what the model has to draw in images (B, 3, S, S), by a mask (B, 1, S, S)."""
    return images * (1.0 - mask)


def frame_conditions(crops: NDArray[np.uint8], mask: NDArray[np.floating[Any]]) -> tuple[Tensor, Tensor]:
    """Turn crops (B, S, S, 3) and a mask (S, S) into masked frames (B, 3, S, S) and the mask (B, 1, S, S)."""
    hard = mask_tensor(mask).expand(len(crops), -1, -1, -1)
    return apply_mask(to_tensor(crops), hard), hard
