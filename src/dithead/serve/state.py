"""Holds what the server's requests share: options, data folder, database, queue, uploads, jobs and keys."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import sqlalchemy as sa

from dithead.serve.database import (
    JOBS,
    NO_MODEL,
    UPLOADS,
    WORKERS,
    connect,
    database_time,
    prepare_database,
    server_secret,
)
from dithead.serve.inputs import InputFinder
from dithead.serve.inspector import Inspector
from dithead.serve.jobs import JobStore
from dithead.serve.keys import KeyStore
from dithead.serve.live_hub import LiveHub
from dithead.serve.metrics import Metrics
from dithead.serve.options import GIB, ServeOptions
from dithead.serve.storage import Storage
from dithead.serve.uploads import UploadStore
from dithead.serve.work_queue import WorkQueue, prepare_queue

SWEEP = 300.0  # seconds between two deletions of what has expired (our choice)
_ORPHAN = 3600.0  # seconds after which a folder that no row names is deleted (our choice)


@dataclass
class ServerState:
    """Everything that lives as long as the server; make it with ``open_state``."""

    options: ServeOptions
    storage: Storage
    finder: InputFinder
    engine: sa.Engine
    queue: WorkQueue
    inspector: Inspector
    uploads: UploadStore
    jobs: JobStore
    keys: KeyStore
    secret: bytes
    metrics: Metrics
    live: LiveHub
    closing: threading.Event = field(default_factory=threading.Event)
    streams: int = 0  # event streams that are open

    def close(self) -> None:
        """Stop what runs in the background, and close the database."""
        self.closing.set()
        self.inspector.close()
        self.live.close()
        self.engine.dispose()

    def sweep(self) -> int:
        """Delete jobs and uploads that are older than the server keeps them; returns how many."""
        than = time.time() - self.options.keep * 3600
        gone = self.jobs.delete_older(than) + self.uploads.delete_older(than)
        self._sweep_orphans()
        return gone

    def ready(self) -> dict[str, str]:
        """Return ``ok`` or what is wrong for the database, the disk and the workers."""
        checks = {"database": "ok", "disk": "ok", "workers": "ok"}
        if self.storage.free_bytes() < self.options.min_free * GIB:
            checks["disk"] = "nearly full: uploads are refused and jobs wait; free some space"
        try:
            checks["workers"] = self._workers()
        except sa.exc.SQLAlchemyError:
            checks["database"] = "does not answer: requests are refused and workers wait for it"
            checks["workers"] = "unknown"
        return checks

    def _workers(self) -> str:
        fresh = WORKERS.c.beat > database_time(self.engine) - self.options.takeover
        with self.engine.connect() as c:
            states = list(c.execute(sa.select(WORKERS.c.state).where(fresh)).scalars())
        if any(state in ("idle", "busy") for state in states):
            return "ok"
        if any(state == NO_MODEL for state in states):
            return "a model does not load, see the log; jobs wait"
        return "none is ready yet; jobs wait"

    def _sweep_orphans(self) -> None:
        """Delete folders that a crash left without a row."""
        for kind, table in (("jobs", JOBS), ("uploads", UPLOADS)):
            with self.engine.connect() as c:
                known = set(c.execute(sa.select(table.c.id)).scalars())
            for name in set(self.storage.ids(kind)) - known:
                folder = self.storage.data / kind / name
                if folder.exists() and time.time() - folder.stat().st_mtime > _ORPHAN:
                    self.storage.remove(folder)


def open_state(options: ServeOptions) -> ServerState:
    """Prepare the data folder, the database and the queue.

    Raises:
        ConfigError: The database cannot be used.
        OutputError: The data folder cannot be used.
    """
    storage = Storage(options.data)
    engine = connect(options)
    prepare_database(engine, storage)
    prepare_queue(options)
    queue = WorkQueue(options, engine)
    inspector = Inspector(options)
    uploads = UploadStore(options, storage, engine, inspector)
    live = LiveHub(options, storage)
    finder = InputFinder(options, storage, uploads, inspector)
    return ServerState(
        options=options,
        finder=finder,
        storage=storage,
        engine=engine,
        queue=queue,
        inspector=inspector,
        uploads=uploads,
        jobs=JobStore(options, storage, engine, queue, finder),
        keys=KeyStore(engine),
        secret=server_secret(engine),
        metrics=Metrics(engine, storage, live.counts),
        live=live,
    )
