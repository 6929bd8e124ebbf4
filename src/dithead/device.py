"""The torch device that a name stands for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dithead.errors import ConfigError

if TYPE_CHECKING:
    import torch

KINDS = ("cuda", "mps", "cpu")
"""Kinds of device, in the order in which ``auto`` prefers them."""


def known_device(value: Any) -> str:
    """Return the name of a device that there can be. Raises ValueError, with those there are, for anything else."""
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise ValueError("must be auto, cpu, cuda or mps")
    return value


def pick_device(name: str = "auto", *, index: int | None = None) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Args:
        name: The device asked for; ``auto`` takes the first of ``KINDS`` that the machine has.
        index: Which GPU plain ``cuda`` stands for, where several processes share a machine.

    Returns:
        The device.

    Raises:
        ConfigError: The name is unknown, or the machine lacks the device.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in KINDS if available[kind])
    kind = name.split(":")[0]
    if kind not in available:
        raise ConfigError(f"unknown device '{name}'; choose auto, cpu, cuda or mps")
    if not available[kind]:
        raise ConfigError(f"this machine has no device '{name}'; use --device auto or cpu")
    return torch.device(f"cuda:{index}" if name == "cuda" and index is not None else name)
