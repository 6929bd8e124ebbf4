"""Many jobs with one model load: a CSV or JSON-lines file of rows, where a bad row does not stop the rest."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.errors import ConfigError, DitheadError
from dithead.generate.pipeline import generate, load_talker
from dithead.generate.progress import Progress, silent
from dithead.generate.result import GenerateResult
from dithead.media.files import shown

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

_REQUIRED = ("video", "audio", "output")
_OPTIONS = {
    "steps": int, "seed": int, "reference": str, "face": str, "fit": str, "start": float, "end": float,
    "crf": float, "codec": str,
}  # fmt: skip


@dataclass(frozen=True)
class JobOutcome:
    """What became of one row (1 is the first): a result or an error."""

    row: int
    result: GenerateResult | None
    error: str = ""

    def to_json(self) -> str:
        """One line of JSON."""
        if self.result is None:
            return json.dumps({"row": self.row, "error": self.error}, ensure_ascii=False)
        fields = asdict(self.result) | {"output": str(self.result.output)}
        return json.dumps({"row": self.row, **fields}, ensure_ascii=False)


def read_jobs(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """Rows of a ``.csv`` (with a header) or ``.jsonl`` file; relative paths count from the file's folder.

    Raises ConfigError that names the file and the row when the file as a whole cannot be understood.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise ConfigError(f"{shown(path)}: give jobs as .csv or .jsonl")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown(path)}: cannot be read as text ({error.__class__.__name__})") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if path.suffix.lower() == ".csv":
        rows: list[Any] = [{k: v for k, v in row.items() if v} for row in csv.DictReader(lines)]
    else:
        rows = [_parsed(path, number, line) for number, line in enumerate(lines, 1)]
    if not rows:
        raise ConfigError(f"{shown(path)}: holds no jobs")
    for row in rows:
        row.update({name: str(path.parent / str(row[name])) for name in _REQUIRED if name in row})
    return rows


def generate_batch(
    jobs: list[dict[str, Any]], *, model: str | TalkingHead = "small", device: str = "auto", progress: Progress = silent
) -> Iterator[JobOutcome]:
    """Run ``jobs`` one after the other with one model; yields an outcome for each as it ends.

    A job is ``video``, ``audio``, ``output`` and any of ``generate``'s simple options.
    """
    talker = load_talker(model, device)
    for row, job in enumerate(jobs, 1):
        try:
            options = _options(job)
            yield JobOutcome(row, generate(**options, model=talker, progress=progress))
        except DitheadError as error:
            yield JobOutcome(row, None, " ".join(str(error).splitlines()))


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ConfigError(f"{shown(path)}: line {number} is not a JSON object")
    return row


def _options(job: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``generate`` in a row, in their types."""
    if missing := [name for name in _REQUIRED if not job.get(name)]:
        raise ConfigError(f"the job lacks {', '.join(missing)}")
    if unknown := sorted(str(name) for name in job.keys() - _OPTIONS.keys() - set(_REQUIRED)):
        raise ConfigError(f"unknown column '{unknown[0]}'; known are {', '.join((*_REQUIRED, *_OPTIONS))}")
    options = {name: job[name] for name in _REQUIRED}
    for name, kind in _OPTIONS.items():
        if name in job:
            try:
                options[name] = kind(job[name])
            except (TypeError, ValueError):
                raise ConfigError(f"{name} must be of type {kind.__name__}, not {job[name]!r}") from None
    return options
