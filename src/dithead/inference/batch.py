"""Many jobs with one model load per worker, on this machine or a Ray cluster; a bad row does not stop the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.engine import Engine, map_tasks
from dithead.errors import ConfigError, DitheadError
from dithead.hub import DEFAULT_MODEL, resolve_model
from dithead.inference.job_list import options_of, read_jobs
from dithead.inference.pipeline import generate, load_talker
from dithead.inference.progress import Progress, silent
from dithead.inference.result import GenerateResult
from dithead.media.files import printable

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

__all__ = ["JobOutcome", "generate_batch", "read_jobs"]


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
        return json.dumps({"row": self.row, **json.loads(self.result.to_json())}, ensure_ascii=False)


def generate_batch(
    jobs: list[dict[str, Any]],
    *,
    model: str | PathLike[str] | TalkingHead = DEFAULT_MODEL,
    device: str = "auto",
    engine: Engine = "local",
    workers: int = 1,
    progress: Progress = silent,
    **settings: Any,
) -> Iterator[JobOutcome]:
    """Run ``jobs`` (see ``read_jobs``); yields an outcome for each as it ends, so not in order with many workers.

    model: loaded once in this process, or once in each of several workers, who need its name rather than the loaded
    thing.  settings: of ``generate``, for every row that does not set them itself.  progress: of one worker.

    Raises ModelError at once when the model cannot be loaded, and what ``engine.map_tasks`` raises.
    """
    alone = engine == "local" and workers == 1
    if not alone and not isinstance(model, str | PathLike):
        raise ConfigError("several workers load the model themselves: give its name or folder")
    work = _Worker(model if alone else str(model), device, settings, progress if alone else silent)
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

    model: str | PathLike[str] | TalkingHead
    device: str
    settings: dict[str, Any]
    progress: Progress

    def __call__(self, job: dict[str, Any]) -> GenerateResult:
        if "clash" in job:
            raise ConfigError(job["clash"])
        options = options_of(self.settings | job)
        return generate(**options, model=self.talker(), progress=self.progress)

    def talker(self) -> TalkingHead:
        if isinstance(self.model, str | PathLike):
            return _load_once(str(self.model), self.device)
        return self.model


@lru_cache(maxsize=1)
def _load_once(model: str, device: str) -> TalkingHead:
    return load_talker(model, device)


def _without_clashes(jobs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The jobs; one that would overwrite an earlier one's output becomes an error that says so."""
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
