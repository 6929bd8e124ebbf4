"""Reads lists of jobs, CSV or JSON-lines files, and makes a job of each row."""

from __future__ import annotations

import csv
import io
from os import PathLike
from pathlib import Path
from typing import Any

from dithead.errors import ConfigError
from dithead.limits import parse_json, read_text, require_jobs
from dithead.media.files import printable
from dithead.option_fields import option_fields
from dithead.options import GenerateJob, GenerateOptions

REQUIRED = ("video", "audio", "output")
SHARED = ("model", "device")
"""Options that hold for a whole list, because the model is loaded once."""
OPTIONS = tuple(each.name for each in option_fields(GenerateOptions) if each.name not in SHARED)
"""Options of ``generate`` that a row may set."""


def read_jobs(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """Read the rows of a ``.csv`` file (with a header) or a ``.jsonl`` file.

    A row has ``video``, ``audio``, ``output`` and any of ``OPTIONS``; an empty cell sets nothing. Relative paths count
    from the file's folder. Rows are judged one by one when they run.

    Raises:
        ConfigError: The file as a whole cannot be understood.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise ConfigError(f"{printable(path)}: give jobs as .csv or .jsonl")
    text = read_text(path, printable(path), ConfigError)
    require_jobs(printable(path), text.count("\n") + 1)
    if path.suffix.lower() == ".csv":
        found = csv.DictReader(io.StringIO(text), restkey="(cells beyond the header)")
        try:
            rows: list[Any] = [{k: v for k, v in row.items() if v} for row in found]
        except csv.Error as error:
            raise ConfigError(f"{printable(path)}: is no table ({error})") from None
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
    """Read a JSON object of face numbers and their speech, ``{"1": "anna.wav"}``.

    Relative paths count from the file's folder.

    Raises:
        ConfigError: The file holds anything else.
    """
    path = Path(path)
    try:
        found = parse_json(read_text(path, printable(path), ConfigError))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found:
        raise ConfigError(f'{printable(path)}: is not a JSON object such as {{"1": "anna.wav", "2": "ben.wav"}}')
    for number, speech in found.items():
        if not (number.isdecimal() and int(number) > 0 and isinstance(speech, str)):
            raise ConfigError(f"{printable(path)}: '{number}' must be a face's number, from 1, with the name of a file")
    return {int(number): path.parent / speech for number, speech in found.items()}


def job_of(row: dict[str, Any], **shared: Any) -> GenerateJob:
    """Make the job that a row describes.

    Args:
        row: ``REQUIRED`` and any of ``OPTIONS``, as text or as values.
        shared: Options of the whole list: the model, the device, the callback for progress.

    Raises:
        ConfigError: A column is missing or unknown, or its value does not fit; it is named.
    """
    if missing := [name for name in REQUIRED if not row.get(name)]:
        raise ConfigError(f"the job lacks {', '.join(missing)}")
    if wrong := [name for name in REQUIRED if not isinstance(row[name], str | PathLike)]:
        raise ConfigError(f"{wrong[0]} must be the name of a file, not {row[wrong[0]]!r}")
    if unknown := sorted(str(name) for name in row.keys() - set(OPTIONS) - set(REQUIRED)):
        raise ConfigError(f"unknown column {unknown[0]!r}; known are {', '.join((*REQUIRED, *OPTIONS))}")
    values = {name: value for name, value in row.items() if value is not None}
    if isinstance(values.get("speakers"), str | PathLike):
        values["speakers"] = read_speakers(values["speakers"])
    return GenerateJob(**values, **shared)


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ConfigError(f"{printable(path)}: line {number} is not a JSON object")
    return row
