"""Chooses the numeric precision of training: bfloat16 autocast where the device multiplies in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from dithead.device import pick_dtype


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return bfloat16 autocast where the device has instructions for it; full precision elsewhere.

    A processor without them emulates bfloat16, and a training step takes about ten times as long as in float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=pick_dtype(device) is torch.bfloat16)
