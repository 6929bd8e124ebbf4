"""Reads lists of jobs, CSV or JSON-lines files, and makes a job of each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from dithead.errors import ConfigError
from dithead.limits import parse_json, read_text, require_jobs
from dithead.media.files import printable
from dithead.options import JOB_FILES, JOB_OPTIONS, JOB_SUFFIXES, SOURCE, GenerateJob

_DELIMITERS = ",;\t"


def read_jobs(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """Read the rows of a ``.csv`` or ``.tsv`` file (with a header) or a ``.jsonl`` file.

    A row has ``video``, ``audio``, ``output`` and any of ``JOB_OPTIONS``; an empty cell sets nothing. Commas,
    semicolons or tabs separate cells, whichever the header has. Relative paths count from the file's folder. Rows are
    judged one by one when they run.

    Raises:
        ConfigError: The file as a whole cannot be understood.
    """
    path = Path(path)
    if path.suffix.lower() not in JOB_SUFFIXES:
        raise ConfigError(f"{printable(path)}: give jobs as {', '.join(JOB_SUFFIXES)}")
    text = read_text(path, printable(path), ConfigError)
    require_jobs(printable(path), text.count("\n") + 1)
    if path.suffix.lower() == ".jsonl":
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        rows = [_parsed(path, number, line) for number, line in lines]
    else:
        rows = _table(path, text)
    if not rows:
        raise ConfigError(f"{printable(path)}: holds no jobs")
    for row in rows:
        row.update({name: _beside(path, row[name]) for name in (*JOB_FILES, *_FILE_OPTIONS) if row.get(name)})
        if "consent" in row and _is_file(consent := _beside(path, row["consent"])):
            row["consent"] = consent
    return rows


_FILE_OPTIONS = ("speakers", "background_sound", "sheet")


def _beside(path: Path, value: Any) -> Any:
    """The name of a file that counts from the list's folder; other values as they are."""
    if isinstance(value, Mapping):
        return {key: _beside(path, item) for key, item in value.items()}
    return str(path.parent / value) if isinstance(value, str) and value != SOURCE else value


def _is_file(value: Any) -> bool:
    """Whether a value is the name of a file; a sentence is too long for one, or has signs that none has."""
    try:
        return isinstance(value, str) and Path(value).is_file()
    except (OSError, ValueError):
        return False


def _table(path: Path, text: str) -> list[dict[str, Any]]:
    """The rows of a table whose first line names the columns."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=header.count)
    found = csv.DictReader(io.StringIO(text.lstrip("\r\n")), restkey="(cells beyond the header)", delimiter=delimiter)
    try:
        found.fieldnames = [name.strip().lower().replace("-", "_") for name in found.fieldnames or ()]
        rows = [{k: v.strip() if isinstance(v, str) else v for k, v in row.items() if v} for row in found]
    except csv.Error as error:
        raise ConfigError(f"{printable(path)}: is no table ({error})") from None
    if "video" not in found.fieldnames and text.strip():
        columns = printable(", ".join(found.fieldnames)[:80])
        raise ConfigError(
            f"{printable(path)}: its first line must name the columns {', '.join(JOB_FILES)}, not {columns}"
        )
    return [row for row in rows if any(row.values())]


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
        row: ``JOB_FILES`` and any of ``JOB_OPTIONS``, as text or as values.
        shared: Options of the whole list: the model, the device, the callback for progress.

    Raises:
        ConfigError: A column is missing or unknown, or its value does not fit; it is named.
    """
    required = [name for name in JOB_FILES if name != "audio" or not row.get("speakers")]
    if missing := [name for name in required if not row.get(name)]:
        raise ConfigError(f"the job lacks {', '.join(missing)}")
    if unknown := sorted(str(name) for name in row.keys() - set(JOB_OPTIONS) - set(JOB_FILES)):
        raise ConfigError(f"unknown column {unknown[0]!r}; known are {', '.join((*JOB_FILES, *JOB_OPTIONS))}")
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
