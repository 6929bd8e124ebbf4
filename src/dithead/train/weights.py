"""Weights of earlier runs and of models, put into a network; what does not fit is told by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dithead.errors import ModelError


def fill(module: nn.Module, path: Path, otherwise: str) -> None:
    """Fill ``module`` from a file of weights; ``otherwise`` says what to do where there is none. Raises ModelError."""
    if not path.exists():
        raise ModelError(f"{path} is missing; {otherwise}")
    try:
        stored = load_file(path)
        module.load_state_dict(time_to_learn(module.state_dict(), stored) | stored)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file ({error}); {otherwise}") from None
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit the preset ({why(error)})") from None


def time_to_learn(own: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """A network's ``own`` attention over time, where ``stored`` weights have none: it adds nothing at first."""
    return {} if any(".temporal." in name for name in stored) else {n: v for n, v in own.items() if ".temporal." in n}


def why(error: Exception) -> str:
    """What torch says last, which is what does not fit."""
    return str(error).splitlines()[-1].strip()
