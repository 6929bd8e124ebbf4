"""Weights of runs and of models: written whole, put into a network; what does not fit is told by name."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dithead.errors import ModelError, OutputError
from dithead.media.files import replacing
from dithead.models.format_migration import migrate_tensors


def save_weights(path: Path, weights: dict[str, Tensor], about: dict[str, str] | None = None) -> Path:
    """Write tensors as safetensors, ``about`` in the header, whole or not at all. Raises OutputError."""
    with replacing(path) as part:
        try:
            save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, part, about)
        except SafetensorError as error:  # so it reports a full disk
            raise OutputError(f"{path}: could not be written ({error}); make room and run it again") from None
    return path


def fill(module: nn.Module, path: Path, otherwise: str, own: str | None = None) -> None:
    """Fill ``module`` from a file of weights; ``otherwise`` says what to do where there is none. Raises ModelError.

    ``own``: the part of the module that stays as it is, whatever the file has of it.
    """
    if not path.exists():
        raise ModelError(f"{path} is missing; {otherwise}")
    try:
        stored = migrate_tensors(load_file(path), path)
        if own is not None:
            part = f"{own}."
            kept = {name: value for name, value in module.state_dict().items() if name.startswith(part)}
            stored = {name: value for name, value in stored.items() if not name.startswith(part)} | kept
        module.load_state_dict(stored)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file ({error}); {otherwise}") from None
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit the preset ({why(error)})") from None


def why(error: Exception) -> str:
    """What torch says last, which is what does not fit."""
    return str(error).splitlines()[-1].strip()
