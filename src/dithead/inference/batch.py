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
from dithead.errors import ConfigError, DitheadError
from dithead.hub import DEFAULT_MODEL, resolve_model
from dithead.inference.background_model import load_talker
from dithead.inference.job_list import job_of, read_jobs
from dithead.inference.pipeline import generate
from dithead.inference.result import GenerateResult
from dithead.media.files import printable
from dithead.option_fields import Engine
from dithead.options import Progress, StrPath, silent

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

__all__ = ["JobOutcome", "generate_batch", "read_jobs"]


@dataclass(frozen=True)
class JobOutcome:
    """How one row ended (1 is the first): with a result or an error."""

    row: int
    result: GenerateResult | None
    error: str = ""

    def to_json(self) -> str:
        """Return the outcome as one line of JSON."""
        if self.result is None:
            return json.dumps({"row": self.row, "error": self.error}, ensure_ascii=False)
        return json.dumps({"row": self.row, **json.loads(self.result.to_json())}, ensure_ascii=False)


def generate_batch(
    jobs: list[dict[str, Any]],
    *,
    model: StrPath | TalkingHead = DEFAULT_MODEL,
    device: str = "auto",
    engine: Engine = "local",
    workers: int = 1,
    progress: Progress = silent,
    **options: Any,
) -> Iterator[JobOutcome]:
    """Run a list of jobs with one model load per worker.

    Args:
        jobs: Rows, see ``read_jobs``.
        model: A model's name or folder, or a loaded model, which several workers cannot share.
        device: auto, cpu, cuda or mps.
        engine: ``local`` runs them on this machine, ``ray`` on a cluster.
        workers: How many jobs run at once.
        progress: Called with the progress of a single worker.
        options: Of ``generate``, for every row that does not set them itself.

    Yields:
        The outcome of each job as it ends, which with several workers is not the order of the rows.

    Raises:
        ModelError: The model cannot be loaded; this is found at once.
        ConfigError: An option of the list does not fit, or the engine is unknown.
    """
    alone = engine == "local" and workers == 1
    if not alone and not isinstance(model, str | PathLike):
        raise ConfigError("several workers load the model themselves: give its name or folder")
    work = _Worker(model if alone else str(model), device, options, progress if alone else silent)
    if alone:
        work.talker()
    else:
        resolve_model(str(model))
    rows = list(_without_clashes(jobs))
    for index, outcome in map_tasks(work, rows, engine=engine, workers=workers):
        yield _outcome(index + 1, outcome)


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
        return generate(**{each.name: getattr(job, each.name) for each in fields(job)} | {
            "model": self.talker(), "progress": self.progress,
        })  # fmt: skip

    def talker(self) -> TalkingHead:
        if isinstance(self.model, str | PathLike):
            return _load_once(str(self.model), self.device)
        return self.model


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
