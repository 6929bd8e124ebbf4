"""Makes the public picture of a job from its row, its progress file and its place in the queue."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath
from typing import Any

from dithead.serve.inputs import inputs_of
from dithead.serve.schemas import OPEN_STATES, Job, JobInput, Progress, Result
from dithead.serve.storage import Storage, read_json

PROGRESS, RESULT = "progress.json", "result.mp4"
"""Names in a job's folder: how far it is, and the finished video."""


def job_view(row: dict[str, Any], storage: Storage, keep: float, ahead: int = 0) -> Job:
    """Return a job as clients see it.

    Args:
        row: Of the table of jobs.
        storage: The data folder.
        keep: Seconds for which a finished job is kept.
        ahead: Jobs that are taken from the queue before it.
    """
    is_open = row["state"] in OPEN_STATES
    return Job(
        **{name: row[name] for name in ("id", "name", "state", "created", "started", "finished", "batch", "attempts")},
        expires=None if row["finished"] is None else row["finished"] + keep,
        inputs={role: _input_view(each.name, each.media) for role, each in inputs_of(row["inputs"]).items()},
        options=row["options"],
        progress=_progress(row, storage, ahead) if is_open else None,
        error=row["error"],
        result=None if row["result"] is None else _result_view(row),
    )


def _input_view(name: str, media: dict[str, Any]) -> JobInput:
    return JobInput(name=name, **{field: media[field] for field in JobInput.model_fields if field != "name"})


def _result_view(row: dict[str, Any]) -> Result:
    known = {field: row["result"][field] for field in Result.model_fields if field != "file_name"}
    return Result(**known, file_name=safe_file_name(row["name"]))


def _progress(row: dict[str, Any], storage: Storage, ahead: int) -> Progress:
    if row["state"] == "queued":
        return Progress(stage="waiting", done=0, total=None, fraction=0.0, seconds_left=None, ahead=ahead)
    found = read_json(storage.job(row["id"]) / PROGRESS)
    if not isinstance(found, dict):
        return Progress(stage="starting", done=0, total=None, fraction=0.0, seconds_left=None, ahead=0)
    return Progress(**found)


def safe_file_name(name: str, suffix: str = ".mp4") -> str:
    """Return a name that every file system takes: letters, digits, ``-``, ``_`` and ``.``, and never a path."""
    stem = PurePath(name).stem or "video"
    plain = unicodedata.normalize("NFKC", stem)
    plain = re.sub(r"[^\w.-]+", "-", plain).strip("-._")
    return (plain[:80] or "video") + suffix
