"""Picks the torch device that a name stands for, and the number type that it draws fastest in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from dithead.errors import ConfigError

if TYPE_CHECKING:
    import torch

KINDS = ("cuda", "mps", "cpu")
"""Kinds of device, in the order in which ``auto`` prefers them."""

Precision = Literal["auto", "float32", "bfloat16"]
"""auto: bfloat16 where the device has instructions for it, else float32."""


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


def pick_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """Return the type in which a device draws: the one asked for, or for ``auto`` the faster one."""
    import torch

    if precision == "auto":
        fast = {"cpu": _has_bfloat16_instructions, "cuda": torch.cuda.is_bf16_supported}.get(device.type)
        return torch.bfloat16 if fast is not None and fast() else torch.float32
    return torch.float32 if precision == "float32" else torch.bfloat16


def _has_bfloat16_instructions() -> bool:
    """Whether this processor multiplies in bfloat16, and no variable of the environment keeps PyTorch from it."""
    import torch

    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    return bool(torch.cpu._is_avx512_bf16_supported())  # type: ignore[no-untyped-call]
