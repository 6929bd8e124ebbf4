"""Writes files of weights whole or not at all, and loads them with errors that name what does not fit."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dithead.errors import ModelError, OutputError
from dithead.media.files import replacing
from dithead.models.format_migration import migrate_tensors


def save_weights(path: Path, weights: dict[str, Tensor], header: dict[str, str] | None = None) -> Path:
    """Write tensors as a safetensors file with ``header`` as its metadata; the file appears whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as part:
        try:
            save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, part, header)
        except SafetensorError as error:  # safetensors reports a full disk so
            raise OutputError(f"{path}: could not be written ({error}); make room and run it again") from None
    return path


def load_weights(
    module: nn.Module, path: Path, advice: str, *, keep: str | None = None, only: str | None = None
) -> None:
    """Load a file of weights into ``module``.

    Args:
        module: The network to fill.
        path: A safetensors file.
        advice: What to do when the file is missing or damaged; it ends the error message.
        keep: Name of a sub-module that stays as it is, whatever the file has of it.
        only: Name of a sub-module; everything else stays as it is.

    Raises:
        ModelError: The file is missing, is no safetensors file, or does not fit the module.
    """
    stored = load_tensors(path, advice)
    for part, taken in ((keep, False), (only, True)):
        if part is not None:
            own = {k: v for k, v in module.state_dict().items() if k.startswith(f"{part}.") != taken}
            stored = {k: v for k, v in stored.items() if k.startswith(f"{part}.") == taken} | own
    fill(module, stored, path)


def fill(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load ``weights`` that come from the file ``path`` into ``module``.

    Raises:
        ModelError: They do not fit.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit the preset ({mismatch(error)})") from None


def load_tensors(path: Path, advice: str) -> dict[str, Tensor]:
    """Read a file of weights.

    Args:
        path: A safetensors file.
        advice: What to do when it is missing or damaged; it ends the error message.

    Raises:
        ModelError: The file is missing or is no safetensors file.
    """
    if not path.exists():
        raise ModelError(f"{path} is missing; {advice}")
    try:
        return migrate_tensors(load_file(path), path)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file ({error}); {advice}") from None


def mismatch(error: Exception) -> str:
    """Return the last line of a torch error, which says what does not fit."""
    return str(error).splitlines()[-1].strip()
