"""Writes and reads model folders, through which alone training and generation meet.

    config.json               format, version and the model's configuration
    autoencoder.safetensors   weights, one file per part; matrices are stored in bfloat16
    dit.safetensors
    audio.safetensors
    hashes.json               SHA-256 of each file above
    MODEL_CARD.md             for people; not hashed, so that it can be edited

Nothing in a folder is executed or unpickled, and nothing is used before its hash is checked.
"""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dithead.config import ModelConfig
from dithead.diffusion.objectives import make_objective
from dithead.errors import ModelError, OutputError
from dithead.hub import DEFAULT_MODEL, SHIPPED, resolve_model
from dithead.limits import require_settings
from dithead.model_folder import CARD, CONFIG, HASHED, HASHES, PARTS, file_hash, read_json, verify_folder
from dithead.models.format_migration import migrate_config, migrate_tensors

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

FORMAT = 2
"""Format of the model folders that are written; ``models.format_migration`` reads format 1, too."""


def build_model(config: ModelConfig) -> TalkingHead:
    """Build a model with random weights, in evaluation mode."""
    from dithead.models.talking_head import TalkingHead

    return TalkingHead(config, make_objective(config.objective)).eval()


def load_model(
    ref: str | Path = DEFAULT_MODEL,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> TalkingHead:
    """Load a model, verified, in evaluation mode.

    Args:
        ref: A shipped name, a folder or a hub id (``hub.resolve_model``).
        device: Where its tensors go.
        dtype: Type of the parameters, None is float32; buffers (latent statistics) stay float32.

    Raises:
        ModelError: The model is not found, a hash is wrong, the configuration is unknown, or tensors have the wrong
            name or shape.
    """
    folder = resolve_model(ref)
    verify_folder(folder)
    return read_model(folder, device, dtype)


def read_model(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> TalkingHead:
    """Load the model of a folder that ``verify_folder`` has passed; see ``load_model``."""
    config = read_config(folder)
    _require_filled(config, folder)
    with _Uninitialised():
        model = build_model(config)
    for part in PARTS:
        _fill(getattr(model, part), folder / f"{part}.safetensors")
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype or torch.float32)
    model.requires_grad_(False)
    model.files = {"version": read_json(folder / CONFIG).get("version"), "files_sha256": read_json(folder / HASHES)}
    return model.to(device)


def save_model(
    folder: str | Path,
    model: TalkingHead,
    *,
    version: str = "1",
    training: str = "not stated",
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """Write ``model`` as a folder.

    An earlier model there is replaced, other files there are left alone.

    Args:
        folder: Where it is written.
        model: The model.
        version: Its version, for the configuration and the model card.
        training: A sentence for the model card about data, steps and machine.
        dtype: Type in which matrices are stored; vectors and buffers are stored as they are.

    Returns:
        The folder.

    Raises:
        OutputError: The folder cannot be written; what was there before is unharmed.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; give a folder for the model")
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        temporary.mkdir(parents=True)
        _write(temporary, model, version, training, dtype)
        _move(temporary, folder)
    except OSError as error:
        raise OutputError(f"{folder}: the model cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def read_config(folder: Path) -> ModelConfig:
    """Read the configuration of a model folder, of either format.

    Raises:
        ModelError: It is missing, unreadable or of an unknown format, or a setting is wrong.
    """
    path = folder / CONFIG
    content = read_json(path)
    require_settings(str(path), content, ModelError)
    stored, model = content.get("format"), content.get("model")
    if stored not in (1, FORMAT):
        raise ModelError(
            f"{path} has format {stored!r}, this dithead reads 1 and {FORMAT}; use the dithead that wrote it"
        )
    try:
        return ModelConfig.model_validate(migrate_config(model, path) if stored == 1 else model)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(key) for key in first["loc"]) or "model"
        raise ModelError(f"{path}: {where}: {first['msg']}; use the dithead that wrote it") from error


def _require_filled(config: ModelConfig, folder: Path) -> None:
    """Raise ModelError where a configuration describes far more numbers than the files hold, before memory is taken.

    A shipped model is not looked at: its files are those that were tested.
    """
    if folder.name in SHIPPED and folder.parent == Path(__file__).with_name("weights"):
        return
    held = sum((folder / f"{part}.safetensors").stat().st_size for part in PARTS)
    try:
        with torch.device("meta"):
            described = sum(tensor.numel() for tensor in build_model(config).state_dict().values())
    except (AssertionError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{folder / CONFIG}: describes no model that can be built ({error})") from None
    if described > held:  # a number takes a byte at least
        raise ModelError(f"{folder / CONFIG}: describes {described} numbers, but the files hold {held} bytes")


class _Uninitialised(TorchFunctionMode):
    """Leaves out ``torch.nn.init``: random numbers take time, and all of them are replaced."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else named["tensor"]
        return func(*args, **named)


def _fill(part: nn.Module, file: Path) -> None:
    """Copy the tensors of ``file`` into those of ``part``, which must have the same names and shapes."""
    try:
        stored = migrate_tensors(load_file(file), file)
    except SafetensorError as error:
        raise ModelError(f"{file} is not a safetensors file ({error})") from error
    own = part.state_dict()
    if unmatched := sorted(stored.keys() ^ own.keys()):
        raise ModelError(f"{file} does not fit config.json: tensor {unmatched[0]} is in only one of the two")
    for name, tensor in own.items():
        if stored[name].shape != tensor.shape:
            found, expected = tuple(stored[name].shape), tuple(tensor.shape)
            raise ModelError(f"{file} does not fit config.json: {name} has shape {found}, expected {expected}")
        tensor.copy_(stored[name])


def _write(folder: Path, model: TalkingHead, version: str, training: str, dtype: torch.dtype) -> None:
    config = ModelConfig.model_validate(model.config)
    content = {"format": FORMAT, "version": version, "model": config.model_dump(mode="json")}
    _write_json(folder / CONFIG, content)
    for part in PARTS:
        save_file(_stored(getattr(model, part), dtype), folder / f"{part}.safetensors")
        (folder / f"{part}.safetensors").chmod((folder / CONFIG).stat().st_mode)  # readable as the rest is
    _write_json(folder / HASHES, {name: file_hash(folder / name) for name in HASHED})
    (folder / CARD).write_text(_card(model, config, version, training), encoding="utf-8")


def _stored(part: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors as they are stored: matrices in ``dtype``; vectors and buffers, few but sensitive, in their own type."""
    matrices = {name for name, parameter in part.named_parameters() if parameter.ndim > 1}
    return {
        name: tensor.detach().to("cpu", dtype if name in matrices else tensor.dtype).contiguous()
        for name, tensor in part.state_dict().items()
    }


def _card(model: TalkingHead, config: ModelConfig, version: str, training: str) -> str:
    template = Template(Path(__file__).with_name("model_card.md").read_text(encoding="utf-8"))
    millions = {part: sum(p.numel() for p in getattr(model, part).parameters()) / 1e6 for part in PARTS}
    return template.substitute(
        name=config.name,
        version=version,
        size=config.size,
        objective=config.objective,
        steps=config.steps,
        parameters=", ".join(f"{part} {count:.1f} M" for part, count in millions.items()),
        training=training,
    )


def _move(source: Path, folder: Path) -> None:
    """Move a finished folder into place, the hashes last, so that an interrupted replacement shows as a wrong hash."""
    if not folder.exists():
        source.rename(folder)
        return
    for name in (*HASHED, CARD, HASHES):
        (source / name).replace(folder / name)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
