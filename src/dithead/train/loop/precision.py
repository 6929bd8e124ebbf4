"""Chooses the numeric precision of training: bfloat16 autocast where the device supports it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return bfloat16 autocast on CPU and CUDA; full precision elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type in ("cpu", "cuda"))
