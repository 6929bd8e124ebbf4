"""Settings of runs begun with earlier versions: what they are called now, so that such a run can resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REMOVED: dict[str, tuple[Any, ...]] = {
    "model.dit.temporal": (0,),
    "training.weighting": ("default",),
}
"""Settings that no longer exist, and the stored values with which a run trained as runs do now."""
ADDED: dict[str, Any] = {}
"""Settings that earlier versions did not store, and the value with which they trained."""
RENAMED: dict[str, str] = {}
"""Settings that have another name now, and the name."""


def upgrade(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration with the names of today.

    A removed setting stays in it where its value asked for something that no longer exists, so that the comparison
    with today's configuration names it.
    """
    settings = dict(_flat(stored))
    for name, values in REMOVED.items():
        if name in settings and settings[name] in values:
            del settings[name]
    for old, new in RENAMED.items():
        if old in settings:
            settings.setdefault(new, settings.pop(old))
    for name, value in ADDED.items():
        section = name.rpartition(".")[0]
        if any(other.startswith(f"{section}.") for other in settings):
            settings.setdefault(name, value)
    return _nested(settings)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings within settings by their names with dots; an empty section stays a value."""
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
