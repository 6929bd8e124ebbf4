"""A worker: takes jobs from the queue one at a time, on this machine or on another one with the same data folder.

It reports that it is alive; a worker that falls silent loses its job to the others, which go on from its segments.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from dbos import DBOS

from dithead.errors import ConfigError, DitheadError
from dithead.serve.database import (
    JOBS,
    NO_MODEL,
    WORKERS,
    connect,
    database_time,
    prepare_database,
    retrying,
    server_secret,
)
from dithead.serve.job_run import JobRunner, WorkerStopped
from dithead.serve.options import WorkerOptions
from dithead.serve.storage import Storage
from dithead.serve.views import job_view
from dithead.serve.webhooks import ATTEMPTS, BACKOFF, FIRST_WAIT, WebhookError, deliver, webhook_secret
from dithead.serve.work_queue import (
    DELIVER,
    GENERATE,
    JOBS_QUEUE,
    POLL,
    WEBHOOKS_QUEUE,
    WorkQueue,
    prepare_queue,
    recover,
    worker_config,
)

log = logging.getLogger("dithead.serve")
BEATS = 6  # signs of life within the time of silence after which a worker counts as dead (our choice)
_MODEL_RETRY = 30.0  # seconds between attempts to load a model that does not load (our choice)
_worker: Worker | None = None


class Worker:
    """This process as a worker."""

    def __init__(self, options: WorkerOptions) -> None:
        """Prepare the data folder and the database.

        Raises:
            ConfigError: A worker of the same name runs already, or the database cannot be used.
        """
        self.options, self.name = options, options.worker_name
        self.storage = Storage(options.data)
        self._lock = _hold(self.storage.worker_lock(self.name), self.name)
        self.engine = connect(options)
        prepare_database(self.engine, self.storage)
        prepare_queue(options)
        self.queue = WorkQueue(options, self.engine)
        self.talkers: dict[str, Any] = {}
        self.runner = JobRunner(options, self.storage, self.engine, self.queue, self.talkers)
        self.secret = server_secret(self.engine)
        self.state = "loading"
        self.ended = threading.Event()

    def run(self) -> None:
        """Work until ``stop`` is called."""
        threading.Thread(target=self._beat_for_ever, daemon=True).start()
        if self._load_models():
            self._listen()
            self.runner.stop.wait()
            self._wait_for_runner()
        self._say_goodbye()

    def stop(self, *_: object) -> None:
        """End after the frame that is being drawn; its job goes on elsewhere, or here after a restart."""
        self.runner.stop.set()

    def deliver_webhook(self, job_id: str) -> None:
        """Call the webhook of a job that has ended."""
        with self.engine.connect() as c:
            row = c.execute(sa.select(JOBS).where(JOBS.c.id == job_id)).first()
        if row is not None and row.webhook:
            job = job_view(row._asdict(), self.storage, 0.0)
            deliver(row.webhook, job, webhook_secret(self.secret, row.owner))

    def _listen(self) -> None:
        global _worker  # DBOS finds its functions by name, so they cannot be methods
        _worker = self
        DBOS(config=worker_config(self.options, self.name))
        DBOS.listen_queues([JOBS_QUEUE, WEBHOOKS_QUEUE])
        DBOS.launch()
        DBOS.register_queue(JOBS_QUEUE, worker_concurrency=1, polling_interval_sec=POLL)
        DBOS.register_queue(WEBHOOKS_QUEUE, worker_concurrency=4, polling_interval_sec=POLL)
        self.state = "idle"
        log.info("worker ready", extra={"worker": self.name})

    def _load_models(self) -> bool:
        """Load every model; while one does not load, jobs wait. Returns False when the worker is stopped."""
        from dithead.inference.background_model import load_talker

        while not self.runner.stop.is_set():
            try:
                for name, model in self.options.offered.items():
                    self.talkers[name] = load_talker(model, self.options.device)
                return True
            except DitheadError as error:
                self.state = NO_MODEL
                log.error("model does not load", extra={"reason": str(error)})  # a line, no traceback
                self.runner.stop.wait(_MODEL_RETRY)
        return False

    def _beat_for_ever(self) -> None:
        while not self.ended.is_set():
            try:
                self._beat()
                if self.state == "idle":
                    self._take_over()
            except sa.exc.SQLAlchemyError as error:
                log.warning("database does not answer", extra={"reason": type(error).__name__})
            self.ended.wait(self.options.takeover / BEATS)

    def _beat(self) -> None:
        state = "busy" if self.runner.busy.is_set() else self.state
        values = {"beat": database_time(self.engine), "state": state}
        with self.engine.begin() as c:
            if not c.execute(WORKERS.update().where(WORKERS.c.name == self.name).values(**values)).rowcount:
                c.execute(WORKERS.insert().values(name=self.name, **values))

    def _take_over(self) -> None:
        """Put the jobs of workers that have fallen silent back on the queue."""
        silent = WORKERS.c.beat < database_time(self.engine) - self.options.takeover
        with self.engine.connect() as c:
            dead = list(c.execute(sa.select(WORKERS.c.name).where(silent, WORKERS.c.name != self.name)).scalars())
        if dead:
            recover(dead)
            with self.engine.begin() as c:
                c.execute(WORKERS.delete().where(silent, WORKERS.c.name.in_(dead)))
            log.warning("took over from silent workers", extra={"workers": dead})

    def _wait_for_runner(self) -> None:
        while self.runner.busy.is_set():
            time.sleep(0.05)

    def _say_goodbye(self) -> None:
        """Let the others take over at their next beat instead of waiting for the silence to last."""
        self.ended.set()
        try:
            with self.engine.begin() as c:
                c.execute(WORKERS.update().where(WORKERS.c.name == self.name).values(beat=0.0))
        except sa.exc.SQLAlchemyError:
            log.warning("database does not answer", extra={"reason": "on the way out"})


@DBOS.workflow(name=GENERATE, max_recovery_attempts=None)
def _generate(job_id: str) -> None:
    """Run a job. What it needs to go on lies in its folder, so it needs no steps that the queue remembers."""
    assert _worker is not None
    try:
        _worker.runner.run(job_id)
    except WorkerStopped:
        threading.Event().wait()  # the process ends now; a return would tell the queue that the job is done


@DBOS.step(retries_allowed=True, max_attempts=ATTEMPTS, interval_seconds=FIRST_WAIT, backoff_rate=BACKOFF)
def _deliver_once(job_id: str) -> None:
    assert _worker is not None
    retrying(lambda: _worker.deliver_webhook(job_id))


@DBOS.workflow(name=DELIVER)
def _deliver(job_id: str) -> None:
    """Call a webhook until it is taken, or too often in vain."""
    try:
        _deliver_once(job_id)
    except Exception as error:
        reason = str(error) if isinstance(error, WebhookError) else type(error).__name__
        log.warning("webhook was not taken", extra={"job": job_id, "reason": reason})
        raise


def _hold(path: Path, name: str) -> IO[str]:
    """Lock a worker's name as long as this process lives."""
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigError(f"a worker named '{name}' runs already; give this one another --name") from None
    return lock


def run_worker(options: WorkerOptions) -> None:
    """Run a worker in this process until it gets SIGTERM or SIGINT.

    Raises:
        ConfigError: A worker of the same name runs already, or the database cannot be used.
    """
    worker = Worker(options)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    worker.run()
    logging.shutdown()
    os._exit(0)  # threads of the queue would wait for jobs that are to go on elsewhere
