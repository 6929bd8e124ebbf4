"""Keeps jobs as the server sees them: adds them with their place in the queue, lists, cancels and deletes them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

import sqlalchemy as sa

from dithead.errors import ConfigError
from dithead.serve.database import JOBS, count_up, one_at_a_time
from dithead.serve.errors import ApiError, not_found
from dithead.serve.inputs import InputFinder
from dithead.serve.keys import Owner
from dithead.serve.options import GIB, ServeOptions
from dithead.serve.patterns import address_parts
from dithead.serve.request_options import check_options
from dithead.serve.schemas import OPEN_STATES, Job, JobRequest
from dithead.serve.storage import Storage, folder_size, new_id
from dithead.serve.views import job_view
from dithead.serve.work_queue import WorkQueue

CANCEL = "cancel"
"""File in a job's folder that asks the worker to stop."""


class JobStore:
    """The table of jobs and their folders."""

    def __init__(
        self, options: ServeOptions, storage: Storage, engine: sa.Engine, queue: WorkQueue, finder: InputFinder
    ) -> None:
        self.options, self.storage, self.engine, self.queue, self.finder = options, storage, engine, queue, finder

    def create(
        self, owner: Owner, request: JobRequest, given: Mapping[str, Any], *, batch: str | None, idempotency: str | None
    ) -> tuple[Job, bool]:
        """Add a job, once for each idempotency key.

        Args:
            owner: Whose job it is.
            request: What is asked for.
            given: The options that the request sets, checked one by one.
            batch: Id of the batch that it belongs to.
            idempotency: The client's name for this request; a repetition returns the job of the first one.

        Returns:
            The job, and whether it is new.

        Raises:
            ApiError: A file is missing, a limit is reached, or the idempotency key was used for another request.
            ConfigError: Options contradict each other, or a file cannot be used.
        """
        digest = _digest(request, given)
        if idempotency is not None and (known := self._repeated(owner, idempotency, digest)) is not None:
            return known, False
        check_options(given)
        self._check_webhook(request.webhook)
        self._check_free()
        row = self._placed(owner, request, dict(given))
        row |= {"batch": batch, "idempotency": idempotency, "digest": digest}
        try:
            self._insert(owner, row)
        except sa.exc.IntegrityError:  # the same request came twice at once, and the other one was first
            self.storage.remove(self.storage.job(row["id"]))
            known = self._repeated(owner, idempotency or "", digest)
            if known is None:
                raise
            return known, False
        except BaseException:
            self.storage.remove(self.storage.job(row["id"]))
            raise
        return self.get(owner, row["id"]), True

    def get(self, owner: Owner, job_id: str) -> Job:
        """Return a job. Raises ApiError where there is none, or it is somebody else's."""
        row = self.row(owner, job_id)
        ahead = self._ahead(row["created"]) if row["state"] == "queued" else 0
        return job_view(row, self.storage, self.options.keep * 3600, ahead)

    def page(self, owner: Owner, limit: int, before: str | None = None, batch: str | None = None) -> list[Job]:
        """Return jobs of an owner, newest first.

        Args:
            owner: Whose jobs.
            limit: How many, at most.
            before: Only those that follow this one, given by its id or by ``place_of``.
            batch: Only those of this batch.

        Raises:
            ApiError: ``before`` is an id, and there is no such job.
        """
        query = sa.select(JOBS).where(JOBS.c.owner == owner.id).order_by(JOBS.c.created.desc(), JOBS.c.id).limit(limit)
        if before is not None:
            created, job_id = self._place(owner, before)
            older = sa.and_(JOBS.c.created == created, JOBS.c.id > job_id)
            query = query.where(sa.or_(JOBS.c.created < created, older))
        if batch is not None:
            query = query.where(JOBS.c.batch == batch)
        with self.engine.connect() as c:
            rows = [row._asdict() for row in c.execute(query)]
        keep = self.options.keep * 3600
        waiting = any(row["state"] == "queued" for row in rows)
        queue = self._queue() if waiting else []
        return [job_view(row, self.storage, keep, sum(t < row["created"] for t in queue)) for row in rows]

    def cancel(self, owner: Owner, job_id: str) -> Job:
        """Take a job off the queue, or ask its worker to stop; nothing happens to one that has ended."""
        row = self.row(owner, job_id)
        now = time.time()
        with self.engine.begin() as c:
            waits = JOBS.update().where(JOBS.c.id == row["id"], JOBS.c.state == "queued")
            gone = c.execute(waits.values(state="cancelled", finished=now, bytes=0)).rowcount
            if gone:
                count_up(c, cancelled=1)
                if row["webhook"]:
                    self.queue.add_webhook(c, row["id"])
            else:
                runs = JOBS.update().where(JOBS.c.id == row["id"], JOBS.c.state == "running")
                c.execute(runs.values(state="cancelling"))
        if gone:
            self.queue.remove(row["id"])
            self.storage.remove(self.storage.job(row["id"]))
        elif self.storage.job(row["id"]).exists():
            (self.storage.job(row["id"]) / CANCEL).touch()
        return self.get(owner, job_id)

    def delete(self, owner: Owner, job_id: str) -> None:
        """Delete a job that has ended, with its result. Raises ApiError while it has not."""
        row = self.row(owner, job_id)
        if row["state"] in OPEN_STATES:
            raise ApiError(409, f"{row['name']}: has not ended; cancel it first")
        self._forget([row["id"]])

    def delete_older(self, than: float) -> int:
        """Delete jobs that ended before a time; returns how many."""
        with self.engine.connect() as c:
            old = list(c.execute(sa.select(JOBS.c.id).where(JOBS.c.finished < than)).scalars())
        self._forget(old)
        return len(old)

    def row(self, owner: Owner, job_id: str) -> dict[str, Any]:
        """Return the row of a job. Raises ApiError where there is none, or it is somebody else's."""
        with self.engine.connect() as c:
            row = c.execute(sa.select(JOBS).where(JOBS.c.id == job_id, JOBS.c.owner == owner.id)).first()
        if row is None:
            raise not_found("job")
        return row._asdict()

    def open_jobs(self, owner: Owner) -> int:
        """Return how many jobs of an owner have not ended."""
        with self.engine.connect() as c:
            return int(c.execute(_count_open(owner)).scalar_one())

    def _placed(self, owner: Owner, request: JobRequest, given: dict[str, Any]) -> dict[str, Any]:
        """Make the job's folder with its files in it, and the row that describes them."""
        found = self.finder.find(owner, request)
        job_id = new_id()
        folder = self.storage.job(job_id)
        folder.mkdir(mode=0o700)
        try:
            inputs = {role: asdict(file.place(folder)) for role, file in found.items()}
        except BaseException:
            self.storage.remove(folder)
            raise
        return {
            "id": job_id,
            "owner": owner.id,
            "name": request.name or PurePath(found["video"].name).stem,
            "state": "queued",
            "created": time.time(),
            "inputs": inputs,
            "options": given | _options_of(request),
            "webhook": request.webhook,
            "attempts": 0,
            "bytes": folder_size(folder),
        }

    def _insert(self, owner: Owner, row: dict[str, Any]) -> None:
        """Write the job and its place in the queue in one transaction, unless a limit of the owner is reached."""
        limit = owner.max_jobs or self.options.max_jobs
        with self.engine.begin() as c:
            one_at_a_time(c, owner.id)
            c.execute(JOBS.insert().values(**row))
            self.finder.uploads.check_storage(c, owner, row["name"], row["bytes"])
            if c.execute(_count_open(owner)).scalar_one() > limit:
                raise ApiError(429, f"{limit} jobs have not ended; wait for one of them, or cancel it")
            self.queue.add(c, row["id"])

    def _repeated(self, owner: Owner, idempotency: str, digest: str) -> Job | None:
        query = sa.select(JOBS.c.id, JOBS.c.digest).where(JOBS.c.owner == owner.id, JOBS.c.idempotency == idempotency)
        with self.engine.connect() as c:
            row = c.execute(query).first()
        if row is None:
            return None
        if row.digest != digest:
            raise ApiError(409, "this Idempotency-Key was used for another request; take a new one for a new job")
        return self.get(owner, row.id)

    def _check_webhook(self, address: str | None) -> None:
        if address is None:
            return
        parts = address_parts(address)
        if parts.scheme not in ("http", "https") or parts.netloc not in self.options.webhook_hosts:
            raise ConfigError(
                "webhook: this server does not call that host; its owner allows it with --webhook-host HOST"
            )

    def _check_free(self) -> None:
        if self.storage.free_bytes() < self.options.min_free * GIB:
            raise ApiError(507, "the server's disk is nearly full; try again later, or delete what is no longer needed")

    def _place(self, owner: Owner, before: str) -> tuple[float, str]:
        """The time and the id of a job that is given by its id or by ``place_of``."""
        created, _, job_id = before.rpartition("-")
        return float(created or self.row(owner, job_id)["created"]), job_id

    def _queue(self) -> list[float]:
        """When each waiting job was added."""
        with self.engine.connect() as c:
            return list(c.execute(sa.select(JOBS.c.created).where(JOBS.c.state == "queued")).scalars())

    def _ahead(self, created: float) -> int:
        query = sa.select(sa.func.count()).where(JOBS.c.state == "queued", JOBS.c.created < created)
        with self.engine.connect() as c:
            return int(c.execute(query).scalar_one())

    def _forget(self, job_ids: list[str]) -> None:
        """Delete rows first: a folder without a row is swept away later, a row without a folder would be a lie."""
        with self.engine.begin() as c:
            c.execute(JOBS.delete().where(JOBS.c.id.in_(job_ids)))
        for job_id in job_ids:
            self.queue.forget(job_id)
            self.storage.remove(self.storage.job(job_id))


def place_of(job: Job) -> str:
    """Return a job's place in the list of jobs, which holds when the job is deleted."""
    return f"{job.created}-{job.id}"


def _options_of(request: JobRequest) -> dict[str, Any]:
    """What a request says beside its options that the job keeps among them."""
    more: dict[str, Any] = {"background_sound": "source"} if request.background_sound == "source" else {}
    statement = (request.consent_statement or "").strip()
    return more | ({"consent_statement": statement} if statement else {})


def _count_open(owner: Owner) -> sa.Select[Any]:
    return sa.select(sa.func.count()).where(JOBS.c.owner == owner.id, JOBS.c.state.in_(OPEN_STATES))


def _digest(request: JobRequest, given: Mapping[str, Any]) -> str:
    text = request.model_dump_json() + repr(sorted(given.items()))
    return hashlib.sha256(text.encode()).hexdigest()
