"""Lists of jobs: a CSV or JSON-lines file of rows, and what a row says in ``generate``'s own terms."""

from __future__ import annotations

import csv
import io
import json
from os import PathLike
from pathlib import Path
from typing import Any

from dithead.errors import ConfigError
from dithead.media.files import printable

REQUIRED = ("video", "audio", "output")
OPTIONS = {
    "steps": int, "seed": int, "reference": str, "face": str, "speakers": str, "fit": str, "start": float,
    "end": float, "crf": float, "codec": str, "occlusion": str, "interpolate": bool, "detail": bool,
    "lossless": bool, "idle": bool,
}  # fmt: skip
"""Settings of ``generate`` that a row may hold, each with its type."""
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_jobs(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """Rows of a ``.csv`` (with a header) or ``.jsonl`` file; relative paths count from the file's folder.

    A row has ``video``, ``audio``, ``output`` and any of ``OPTIONS``; an empty cell is no setting. Rows are judged
    one by one when they run. Raises ConfigError when the file as a whole cannot be understood.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise ConfigError(f"{printable(path)}: give jobs as .csv or .jsonl")
    text = _text(path)
    if path.suffix.lower() == ".csv":
        found = csv.DictReader(io.StringIO(text), restkey="(cells beyond the header)")
        rows: list[Any] = [{k: v for k, v in row.items() if v} for row in found]
        rows = [row for row in rows if row]
    else:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        rows = [_parsed(path, number, line) for number, line in lines]
    if not rows:
        raise ConfigError(f"{printable(path)}: holds no jobs")
    for row in rows:
        paths = (name for name in (*REQUIRED, "speakers") if isinstance(row.get(name), str))
        row.update({name: str(path.parent / row[name]) for name in paths})
    return rows


def read_speakers(path: str | PathLike[str]) -> dict[int, Path]:
    """A JSON object of face numbers and their speech, ``{"1": "anna.wav"}``; paths count from the file's folder.

    Raises ConfigError for anything else.
    """
    path = Path(path)
    try:
        found = json.loads(_text(path))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found:
        raise ConfigError(f'{printable(path)}: is not a JSON object such as {{"1": "anna.wav", "2": "ben.wav"}}')
    for number, speech in found.items():
        if not (number.isdecimal() and int(number) > 0 and isinstance(speech, str)):
            raise ConfigError(f"{printable(path)}: '{number}' must be a face's number, from 1, with the name of a file")
    return {int(number): path.parent / speech for number, speech in found.items()}


def options_of(job: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``generate`` in a row, in their types. Raises ConfigError that names the column at fault."""
    if missing := [name for name in REQUIRED if not job.get(name)]:
        raise ConfigError(f"the job lacks {', '.join(missing)}")
    if wrong := [name for name in REQUIRED if not isinstance(job[name], str | PathLike)]:
        raise ConfigError(f"{wrong[0]} must be the name of a file, not {job[wrong[0]]!r}")
    if unknown := sorted(str(name) for name in job.keys() - OPTIONS.keys() - set(REQUIRED)):
        raise ConfigError(f"unknown column '{unknown[0]}'; known are {', '.join((*REQUIRED, *OPTIONS))}")
    return {name: _typed(name, value) for name, value in job.items() if value is not None}


def _typed(name: str, value: Any) -> Any:
    if name == "speakers":
        return value if isinstance(value, dict) else read_speakers(value)
    kind = OPTIONS.get(name)
    if kind is None:
        return value
    try:
        return _TRUTH[str(value).strip().lower()] if kind is bool else kind(value)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{name} must be of type {kind.__name__}, not {value!r}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{printable(path)}: cannot be read as text ({error.__class__.__name__})") from None


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ConfigError(f"{printable(path)}: line {number} is not a JSON object")
    return row
