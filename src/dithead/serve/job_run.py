"""Runs one job of the queue: the resumable ``dithead.generate``, in a folder of its own, once.

A job whose worker dies goes on from the segments that are on the disk, and ends with the same bytes. Its result counts
once: the row leaves the open states in one transaction, together with the call of its webhook.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from dithead.errors import DitheadError, FaceError
from dithead.option_values import make_options
from dithead.options import GenerateJob
from dithead.serve.database import JOBS, count_up, retrying
from dithead.serve.errors import public_line
from dithead.serve.inputs import Input, inputs_of, names_of
from dithead.serve.jobs import CANCEL
from dithead.serve.options import GIB, WorkerOptions
from dithead.serve.progress import ProgressFile
from dithead.serve.request_options import CONSENT
from dithead.serve.storage import Storage, folder_size, read_json, write_json
from dithead.serve.views import PROGRESS, RESULT
from dithead.serve.work_queue import WorkQueue

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

T = TypeVar("T")
log = logging.getLogger("dithead.serve")
_FINISHED, _DEATHS, _LOCK = "result.json", "deaths.json", "lock"
MOST_DEATHS = 10
"""Deaths of the worker without one new segment after which a job is given up, so that a file that crashes its decoder
cannot stop the queue for ever (our choice)."""
_LOOK = 1.0  # seconds between two looks for a request to cancel
_RETRY = 5.0  # seconds between two looks whether there is room on the disk, or the folder is free


class JobCancelled(Exception):  # noqa: N818  # no error
    """Somebody cancelled the job that is running."""


class WorkerStopped(KeyboardInterrupt):
    """The worker is asked to end: the job keeps its segments, and goes on later."""


class JobRunner:
    """Runs jobs one after the other in this process, with models that are loaded once."""

    def __init__(
        self,
        options: WorkerOptions,
        storage: Storage,
        engine: sa.Engine,
        queue: WorkQueue,
        talkers: dict[str, TalkingHead],
    ) -> None:
        self.options, self.storage, self.engine, self.queue, self.talkers = options, storage, engine, queue, talkers
        self.stop = threading.Event()
        self.busy = threading.Event()

    def run(self, job_id: str) -> None:
        """Run a job to its end; one that has ended or was deleted is left alone.

        Raises:
            WorkerStopped: The worker was asked to end.
        """
        folder = self.storage.job(job_id)
        self.busy.set()
        try:
            if folder.exists():
                with self._alone(folder):
                    self._run(job_id, folder)
        finally:
            self.busy.clear()

    def _run(self, job_id: str, folder: Path) -> None:
        row = retrying(lambda: self._begin(job_id))
        if row is None:
            return
        inputs = inputs_of(row["inputs"])
        try:
            result = self._result(row, inputs, folder)
        except WorkerStopped:
            (folder / _DEATHS).unlink(missing_ok=True)  # this was no death
            raise
        except JobCancelled:
            self._end(row, "cancelled", None, None)
        except DitheadError as error:
            self._end(row, "failed", None, public_line(error, names_of(inputs, folder)))
        except Exception:  # a bug of ours must not stop the queue; the log has the traceback
            log.exception("job failed by a fault of dithead", extra={"job": job_id})
            self._end(row, "failed", None, f"a fault of dithead stopped the job; the server's log has it as {job_id}")
        else:
            self._end(row, "done", result, None)

    def _begin(self, job_id: str) -> dict[str, Any] | None:
        """Take the job; None where it has ended or was deleted."""
        with self.engine.begin() as c:
            taken = JOBS.update().where(JOBS.c.id == job_id, JOBS.c.state.in_(("queued", "running", "cancelling")))
            first = sa.func.coalesce(JOBS.c.started, time.time())
            values = {"attempts": JOBS.c.attempts + 1, "started": first, "worker": self.options.worker_name}
            running = sa.case((JOBS.c.state == "queued", "running"), else_=JOBS.c.state)
            if not c.execute(taken.values(state=running, **values)).rowcount:
                return None
            row = c.execute(sa.select(JOBS).where(JOBS.c.id == job_id)).one()
        log.info("job started", extra={"job": job_id, "attempt": row.attempts})
        return row._asdict()

    def _result(self, row: dict[str, Any], inputs: dict[str, Input], folder: Path) -> dict[str, Any]:
        """Make the video, or find that an earlier attempt has made it and could not say so any more."""
        known = read_json(folder / _FINISHED)
        if isinstance(known, dict) and (folder / RESULT).exists():
            return known
        if row["state"] == "cancelling" or (folder / CANCEL).exists():
            raise JobCancelled
        self._with_room(folder, lambda: _count_death(folder, inputs))
        return self._with_room(folder, lambda: self._generate(row, inputs, folder))

    def _generate(self, row: dict[str, Any], inputs: dict[str, Input], folder: Path) -> dict[str, Any]:
        """Make the video and note its result, which until then lies in the folder of the segments."""
        from dithead.inference.pipeline import generated

        progress = ProgressFile(folder / PROGRESS, self._check)
        options = dict(row["options"])
        speakers = {int(role.split()[1]): each.inside(folder) for role, each in inputs.items() if " " in role}
        if "background_sound" in inputs:
            options["background_sound"] = inputs["background_sound"].inside(folder)
        said = options.pop("consent_statement", "")
        options["consent"] = f"{CONSENT} {said}".strip()  # never what was said alone: it could name a file of ours
        job = make_options(
            GenerateJob,
            "generate",
            video=inputs["video"].inside(folder),
            audio=inputs["audio"].inside(folder) if "audio" in inputs else None,
            output=folder / RESULT,
            model=self.talkers[options.pop("model", next(iter(self.options.offered)))],
            speakers=speakers or None,
            progress=progress.report,
            **options,
        )
        with generated(job) as made:
            result = {**json.loads(made.to_json()), "output": RESULT, "bytes": (folder / RESULT).stat().st_size}
            write_json(folder / _FINISHED, result)
        return result

    def _check(self, folder: Path) -> None:
        """Called now and then while a video is made."""
        if self.stop.is_set():
            raise WorkerStopped
        if (folder / CANCEL).exists():
            raise JobCancelled

    def _end(self, row: dict[str, Any], state: str, result: dict[str, Any] | None, error: str | None) -> None:
        folder = self.storage.job(row["id"])
        ended = retrying(lambda: self._write_end(row, state, result, error))
        (folder / PROGRESS).unlink(missing_ok=True)
        if ended != "done":
            self.storage.remove(folder)
        log.info("job ended", extra={"job": row["id"], "state": ended})

    def _write_end(self, row: dict[str, Any], state: str, result: dict[str, Any] | None, error: str | None) -> str:
        """End the job in one transaction; a request to cancel that came just now wins. Returns the state."""
        size = folder_size(self.storage.job(row["id"])) if state == "done" else 0
        with self.engine.begin() as c:
            mine = JOBS.update().where(JOBS.c.id == row["id"])
            values = {"finished": time.time(), "result": result, "error": error, "bytes": size}
            if c.execute(mine.where(JOBS.c.state == "running").values(state=state, **values)).rowcount:
                count_up(c, **_counted(state, result))
            elif c.execute(mine.where(JOBS.c.state == "cancelling").values(
                state="cancelled", finished=time.time(), bytes=0)).rowcount:  # fmt: skip
                state = "cancelled"
                count_up(c, cancelled=1)
            else:  # ended or deleted by somebody else
                return str(c.execute(sa.select(JOBS.c.state).where(JOBS.c.id == row["id"])).scalar() or "deleted")
            if row["webhook"]:
                self.queue.add_webhook(c, row["id"])
        return state

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Hold the job's folder, after waiting for a worker that holds it still."""
        with (folder / _LOCK).open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    log.warning("job is held by another worker", extra={"job": folder.name})
                    self._pause()
            yield

    def _with_room(self, folder: Path, action: Callable[[], T]) -> T:
        """Do something that writes once the disk has room, and again where it fills up in the meantime."""
        while True:
            self._wait_for_room(folder)
            try:
                return action()
            except (DitheadError, OSError):
                if self._has_room():
                    raise  # else wait, and go on from the segments

    def _wait_for_room(self, folder: Path) -> None:
        while not self._has_room():
            log.warning("disk nearly full, the job waits", extra={"job": folder.name})
            self._check(folder)
            self._pause()

    def _has_room(self) -> bool:
        return self.storage.free_bytes() >= self.options.min_free * GIB

    def _pause(self) -> None:
        if self.stop.wait(_RETRY):
            raise WorkerStopped


def _counted(state: str, result: dict[str, Any] | None) -> dict[str, float]:
    counted = {state: 1.0}
    if result is not None:
        counted |= {"frames": result["frames"], "work_seconds": result["seconds"]}
        counted["video_seconds"] = result["frames"] / result["fps"]
    return counted


def _count_death(folder: Path, inputs: dict[str, Input]) -> None:
    """Note that the job was begun; it is given up once its workers have died often and nothing was added.

    Raises:
        FaceError: The job is given up.
    """
    segments = len(list(folder.glob(f".{RESULT}.dithead/*.segment")))
    known = read_json(folder / _DEATHS) or {"segments": 0, "deaths": -1}
    deaths = 0 if segments > known["segments"] else known["deaths"] + 1
    write_json(folder / _DEATHS, {"segments": segments, "deaths": deaths})
    if deaths >= MOST_DEATHS:
        name = inputs["video"].name
        raise FaceError(f"{name}: the worker died {deaths} times over it (out of memory, or a file that crashes its "
                        "decoder); export it again as a plain MP4")  # fmt: skip
