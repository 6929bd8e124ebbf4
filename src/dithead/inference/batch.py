"""Runs many jobs with one model load per worker, on this machine or a Ray cluster; a bad row stops no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.engine import map_tasks
from dithead.errors import ConfigError, DitheadError, OutputError
from dithead.hub import DEFAULT_MODEL, resolve_model
from dithead.inference.background_model import load_talker
from dithead.inference.job_list import job_of, read_jobs
from dithead.inference.job_record import JobRecord, identify_model, record_path, row_key
from dithead.inference.pipeline import generate
from dithead.inference.result import GenerateResult
from dithead.media.files import printable
from dithead.option_fields import Engine
from dithead.options import BatchOptions, StrPath
from dithead.progress import Progress, silent

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

__all__ = ["JobOutcome", "generate_batch", "read_jobs", "record_path"]


@dataclass(frozen=True)
class JobOutcome:
    """How one row ended (1 is the first): with a result, with an error, or as done before."""

    row: int
    result: GenerateResult | None
    error: str = ""
    earlier: dict[str, Any] | None = None
    """The result, as JSON values, of a row that an earlier run did with the same inputs and options."""

    def to_json(self) -> str:
        """Return the outcome as one line of JSON."""
        if self.earlier is not None:
            return json.dumps({"row": self.row, "skipped": True, **self.earlier}, ensure_ascii=False)
        if self.result is None:
            return json.dumps({"row": self.row, "error": self.error}, ensure_ascii=False)
        return json.dumps({"row": self.row, **json.loads(self.result.to_json())}, ensure_ascii=False)


def generate_batch(
    jobs: list[dict[str, Any]],
    *,
    model: StrPath | TalkingHead = DEFAULT_MODEL,
    device: str = "auto",
    engine: Engine = BatchOptions.engine,
    workers: int = BatchOptions.workers,
    again: bool = BatchOptions.again,
    record: StrPath | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Iterator[JobOutcome]:
    """Run a list of jobs with one model load per worker. The folders of outputs are made where they are missing.

    Args:
        jobs: Rows, see ``read_jobs``.
        model: A model's name or folder, or a loaded model, which several workers cannot share.
        device: auto, cpu, cuda or mps.
        engine: ``local`` runs them on this machine, ``ray`` on a cluster.
        workers: How many jobs run at once.
        again: Also do the rows that ``record`` knows to be done.
        record: File that remembers which rows are done, see ``job_record``; None remembers nothing.
        progress: Called with the progress of a single worker, and with how many rows are done.
        options: Of ``generate``, for every row that does not set them itself.

    Yields:
        The outcome of each job: first of those that were done before, then of the others as they end, which with
        several workers is not the order of the rows.

    Raises:
        ModelError: The model cannot be loaded; this is found at once.
        ConfigError: An option of the list does not fit, or the engine is unknown.
    """
    batch = BatchOptions(engine=engine, workers=workers, again=again)
    alone = batch.engine == "local" and batch.workers == 1
    if not alone and not isinstance(model, str | PathLike):
        raise ConfigError("several workers load the model themselves: give its name or folder")
    known = JobRecord(None if record is None else Path(record))
    keys = _keys(jobs, model, options) if known.path else [None] * len(jobs)
    done = {} if batch.again else {row: found for row, key in enumerate(keys) if (found := known.find(key)) is not None}
    yield from (JobOutcome(row + 1, None, earlier=found) for row, found in done.items())
    pending = [(row, job) for row, job in enumerate(_without_clashes(jobs)) if row not in done]
    if not pending:
        return
    work = _Worker(model if alone else str(model), device, options, progress if alone else silent)
    if alone:
        work.talker()
    else:
        resolve_model(str(model))
    finished = map_tasks(work, [job for _, job in pending], engine=batch.engine, workers=batch.workers)
    for count, (index, outcome) in enumerate(finished, 1):
        row = pending[index][0]
        if isinstance(outcome, GenerateResult):
            known.add(keys[row], outcome)
        progress("rows", len(done) + count, len(jobs))
        yield _outcome(row + 1, outcome)


def _keys(jobs: list[dict[str, Any]], model: StrPath | TalkingHead, options: dict[str, Any]) -> list[str | None]:
    """What decides the output of each row; None for a row that is wrong, which says so when it runs."""
    name, keys = identify_model(model), []
    for row in jobs:
        try:
            keys.append(row_key(job_of(options | row), name))
        except ConfigError:
            keys.append(None)
    return keys


@dataclass
class _Worker:
    """What a worker does with a row; it travels to other processes, where the model is loaded when first needed."""

    model: StrPath | TalkingHead
    device: str
    options: dict[str, Any]
    progress: Progress

    def __call__(self, row: dict[str, Any]) -> GenerateResult:
        if "clash" in row:
            raise ConfigError(row["clash"])
        job = job_of(self.options | row)
        _make_folder(Path(job.output).parent)
        return generate(**{each.name: getattr(job, each.name) for each in fields(job)} | {
            "model": self.talker(), "progress": self.progress,
        })  # fmt: skip

    def talker(self) -> TalkingHead:
        if isinstance(self.model, str | PathLike):
            return _load_once(str(self.model), self.device)
        return self.model


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{printable(folder)}: the folder cannot be made ({error.strerror})") from None


@lru_cache(maxsize=1)
def _load_once(model: str, device: str) -> TalkingHead:
    return load_talker(model, device)


def _without_clashes(jobs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The jobs; one that would overwrite the output of an earlier one becomes an error that says so."""
    taken: dict[Path, int] = {}
    for row, job in enumerate(jobs, 1):
        output = job.get("output")
        place = Path(output).absolute() if isinstance(output, str | PathLike) else Path(f"/{row}")
        if place in taken:
            yield {"clash": f"{printable(place)}: is the output of row {taken[place]} already"}
        else:
            taken[place] = row
            yield job


def _outcome(row: int, outcome: GenerateResult | Exception) -> JobOutcome:
    if not isinstance(outcome, Exception):
        return JobOutcome(row, outcome)
    what = "" if isinstance(outcome, DitheadError) else f"unexpected {type(outcome).__name__}: "
    return JobOutcome(row, None, what + " ".join(str(outcome).splitlines()))
