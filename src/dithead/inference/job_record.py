"""Remembers which rows of a job list are done, so that the same list again does only what is missing.

The record lies beside the list, one JSON object a line: the key of a row, its output as it was left, and its result. A
row is done while its inputs, its options and its model are the same and its output is still there, unchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.errors import ConfigError
from dithead.hub import resolve_model
from dithead.inference.result import GenerateResult
from dithead.inference.resume import file_state, job_inputs, job_options, model_key
from dithead.options import GenerateJob, StrPath

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

_HASHES = "hashes.json"  # the file of a model folder that has the hash of each of its weights


def record_path(jobs: Path) -> Path:
    """Return where the record of a job list lies."""
    return jobs.with_name(f".{jobs.name}.done.jsonl")


def identify_model(model: StrPath | TalkingHead) -> str:
    """Return a text that differs between models, without loading one. Raises ModelError where there is none."""
    if not isinstance(model, str | PathLike):
        return json.dumps(model_key(model), sort_keys=True)
    folder = resolve_model(str(model))
    hashes = folder / _HASHES
    return hashes.read_text("utf-8") if hashes.exists() else str(folder.resolve())


def row_key(job: GenerateJob, model: str) -> str | None:
    """Return a hash of all that decides a row's output; None where an input cannot be read, which the row itself says.

    Args:
        job: The row.
        model: What ``identify_model`` returned.
    """
    try:
        inputs = job_inputs(job)
    except OSError:
        return None
    facts = {"options": job_options(job), "model": model, "output": str(Path(job.output).resolve()), **inputs}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class JobRecord:
    """The finished rows of one job list; without a path nothing is remembered."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._done: dict[str, Mapping[str, Any]] = {}
        text = path.read_text("utf-8", errors="replace") if path is not None and path.exists() else ""
        self._begin = "" if text.endswith("\n") or not text else "\n"  # a crash or a full disk cut the last line off
        for line in text.split("\n"):
            self._read(line)

    def find(self, key: str | None) -> dict[str, Any] | None:
        """Return the result of a finished row, or None where it is to be done (again)."""
        known = None if key is None else self._done.get(key)
        if known is None or known["file"] != file_state(Path(known["result"]["output"])):
            return None
        return dict(known["result"])

    def add(self, key: str | None, result: GenerateResult) -> None:
        """Remember that a row is done. Raises ConfigError where the record cannot be written."""
        if self.path is None or key is None:
            return
        entry = {"key": key, "file": file_state(result.output), "result": json.loads(result.to_json())}
        self._done[key] = entry
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{self._begin}{json.dumps(entry, ensure_ascii=False)}\n")
            self._begin = ""
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written ({error.strerror}); make its folder writable") from None

    def _read(self, line: str) -> None:
        """Take one line; one that a crash cut off says nothing."""
        try:
            entry = json.loads(line)
            self._done[entry["key"]] = {"file": entry["file"], "result": dict(entry["result"])}
        except (KeyError, TypeError, ValueError):
            pass
