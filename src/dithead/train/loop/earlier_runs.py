"""Renames settings and checkpoints of runs begun with earlier versions, so that these runs resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dithead.models.format_migration import migrate_tensors

REMOVED: dict[str, Any] = {"model.dit.temporal": 0, "training.weighting": "default"}
"""Settings that no longer exist, and the stored value with which a run trained as runs do now."""
_LIP_PREDICTOR_SIZES = ("hidden", "heads", "layers")
RENAMED: dict[str, str] = {
    "ear": "lip_predictor",
    **{
        f"{section}.ear_{size}": f"{section}.lip_predictor_{size}"
        for section in ("model", "model.audio")
        for size in _LIP_PREDICTOR_SIZES
    },
}
"""Settings that have another name now, and the name."""
ADDED: dict[str, tuple[str, Any]] = {
    f"{section}.{name}": (f"{section}.lip_predictor_hidden", value)
    for section in ("model", "model.audio")
    for name, value in (("closure_hidden", 0), ("lip_readers", 1))
}
"""Settings that runs of the past did not have: where they stand beside another one, and what those runs did."""
_ENCODER_PREFIXES = ("encoder.", "module.encoder.")  # of the audio encoder in a training's module and in its average


def upgrade_settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration with the names of today.

    A removed setting stays where its value asked for something that no longer exists, so that the comparison with
    today's configuration names it.
    """
    settings = {name: value for name, value in _flat(stored) if name not in REMOVED or REMOVED[name] != value}
    renamed = {RENAMED.get(name, name): value for name, value in settings.items()}
    added = {name: value for name, (beside, value) in ADDED.items() if beside in renamed}
    return _nested(added | renamed)


def upgrade_checkpoint(state: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a checkpoint whose tensors have the names of today, in the order in which they were stored.

    Args:
        state: As read from the file.
        path: The file, for the message of an error.

    Raises:
        ModelError: The checkpoint needs a part that this version no longer has.
    """
    return {name: _upgrade_part(part, path) if isinstance(part, dict) else part for name, part in state.items()}


def _upgrade_part(part: dict[str, Any], path: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = {kind: _upgrade_names(part[kind], path) for kind in ("module", "average") if kind in part}
    return part | tensors


def _upgrade_names(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    for prefix in _ENCODER_PREFIXES:
        encoder = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
        renamed = migrate_tensors({short: tensors[name] for short, name in encoder.items()}, path)
        names = {old: f"{prefix}{new}" for old, new in zip(encoder.values(), renamed, strict=True)}
        tensors = {names.get(name, name): tensor for name, tensor in tensors.items()}
    return tensors


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """List settings within settings by their names with dots; an empty section stays a value."""
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        inner = isinstance(value, Mapping) and value
        found += _flat(value, f"{prefix}{name}.") if inner else [(f"{prefix}{name}", value)]
    return found


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in settings.items():
        *sections, key = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[key] = value
    return tree
