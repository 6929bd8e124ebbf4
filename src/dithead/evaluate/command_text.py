"""Writes the command that makes a report again, from what it was made with, for whoever reads it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dithead.evaluate.options import EvaluateOptions
from dithead.option_fields import option_fields


def evaluate_command(model: str, data: Path | str, output: Path | str, options: EvaluateOptions) -> str:
    """Return the command line of ``dithead evaluate`` with all options that differ from their defaults."""
    words = ["evaluate", "--model", model, "--data", str(data)]
    for each in option_fields(EvaluateOptions):
        value = getattr(options, each.name)
        if value != each.default:
            words += _words(each.metadata.get("flag") or f"--{each.name.replace('_', '-')}", value)
    return _command(*words, "-o", str(output))


def score_command(settings: Mapping[str, Any], output: Path | str) -> str:
    """Return the command line of ``dithead score`` for the settings of a report."""
    words = ["score", "--truth", settings["truth"]]
    for name in ("generated", "drivers", "weights"):
        words += _words(f"--{name}", settings[name])
    return _command(*words, "-o", str(output))


def join_command(reports: Sequence[Path | str], output: Path | str) -> str:
    """Return the command line of ``dithead report``."""
    return _command("report", *map(str, reports), "-o", str(output))


def _command(*words: str) -> str:
    return shlex.join(["dithead", *words])


def _words(flag: str, value: Any) -> list[str]:
    """An option as words; one of several values is repeated."""
    if value is None:
        return []
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, Mapping):
        return [word for name, item in value.items() for word in (flag, f"{name}={item}")]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [word for item in value for word in (flag, str(item))]
    return [flag, str(value)]
