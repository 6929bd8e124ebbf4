"""Puts jobs on the durable queue, which is kept by DBOS in the same database as the jobs.

A job and its place on the queue are written in one transaction, so neither exists without the other. The queue holds
the job's id alone, as JSON; nothing is ever unpickled.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions

from dithead.serve.options import StorageOptions

APPLICATION = "dithead"
PROTOCOL = "1"
"""Version of what workers and server say to one another; workers of another one leave the jobs alone."""
JOBS_QUEUE, WEBHOOKS_QUEUE = "dithead-jobs", "dithead-webhooks"
GENERATE, DELIVER = "generate", "deliver"
"""Names of the workflows that ``worker`` defines."""
_POLL, _SHARED_POLL = 0.5, 2.0
"""Seconds between two looks of a worker at the queue of jobs, alone and where many share a Postgres; it looks at the
queue of webhooks a fifth as often (our choice). Each look is about three queries: at half a second an idle worker made
13 a second in all."""
_CONNECTIONS = 4  # of a worker to the queue's tables, at most, besides the one on which it listens (our choice)


def queue_url(options: StorageOptions) -> str:
    """Return the address of the database in the form that DBOS takes."""
    return options.database_url.replace("postgresql+psycopg://", "postgresql://")


def prepare_queue(options: StorageOptions) -> None:
    """Make the tables of the queue, or bring them up to date."""
    DBOS.migrate(queue_url(options))


def worker_config(options: StorageOptions, name: str) -> DBOSConfig:
    """Return the configuration of a process that runs jobs; jobs of a dead one are recovered by its name."""
    return DBOSConfig(
        name=APPLICATION,
        system_database_url=queue_url(options),
        executor_id=name,
        application_version=PROTOCOL,
        serializer=DBOSPortableJSONSerializer(),
        enable_otlp=False,
        sys_db_pool_size=_CONNECTIONS,
        log_level="WARNING",
    )


def poll_seconds(options: StorageOptions) -> float:
    """Return how often a worker looks for a job."""
    return _SHARED_POLL if options.database else _POLL


def webhook_poll_seconds(options: StorageOptions) -> float:
    """Return how often a worker looks for webhooks to call."""
    return 5 * poll_seconds(options)


class WorkQueue:
    """The queue as the server sees it: it adds and removes jobs, and runs none."""

    def __init__(self, options: StorageOptions, engine: sa.Engine) -> None:
        """Use the connections of ``engine``; a lost database is an error here and not a wait."""
        self._client = DBOSClient(
            system_database_url=queue_url(options),
            system_database_engine=engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )

    def add(self, c: sa.Connection, job_id: str) -> None:
        """Put a job at the queue's end, inside the transaction that writes the job."""
        self._client.enqueue_in_transaction(c, _entry(GENERATE, JOBS_QUEUE, job_id), job_id)

    def add_webhook(self, c: sa.Connection, job_id: str) -> None:
        """Have the job's webhook called, inside the transaction that ends the job."""
        self._client.enqueue_in_transaction(c, _entry(DELIVER, WEBHOOKS_QUEUE, f"{job_id}-webhook"), job_id)

    def remove(self, job_id: str) -> None:
        """Take a job that waits off the queue."""
        self._client.cancel_workflow(job_id)

    def forget(self, job_id: str) -> None:
        """Delete what the queue remembers of a job that has ended."""
        self._client.delete_workflows([job_id, f"{job_id}-webhook"])


def _entry(workflow: str, queue: str, workflow_id: str) -> EnqueueOptions:
    return {"workflow_name": workflow, "queue_name": queue, "workflow_id": workflow_id, "app_version": PROTOCOL}


def recover(worker_names: list[str]) -> None:
    """Put the jobs of dead workers back on the queue; only a process that runs a worker may call it.

    A job that another worker has taken in the meantime is left alone, so the call may be repeated.
    """
    recover_of: Any = DBOS._recover_pending_workflows  # public in DBOS's own service; a test holds it
    recover_of(worker_names)
