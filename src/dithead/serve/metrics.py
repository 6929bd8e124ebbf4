"""Counts for Prometheus: requests as they come, and jobs, workers and disk by the database when it asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from dithead.serve.database import COUNTERS, JOBS, WORKERS, database_time
from dithead.serve.schemas import OPEN_STATES
from dithead.serve.storage import Storage

_ALIVE = 120.0  # seconds after its last sign of life for which a worker is counted


class Metrics:
    """The server's own registry, so that several servers may live in one process."""

    def __init__(self, engine: sa.Engine, storage: Storage, live: Callable[[], dict[str, float]] = dict) -> None:
        """Begin to count; ``live`` returns the figures of live speech."""
        self.engine, self.storage, self.live = engine, storage, live
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Histogram(
            "dithead_http_request_seconds", "Time until a response begins.", labels, registry=self.registry
        )
        self.uploaded = Counter("dithead_uploaded_bytes", "Bytes that came as uploads.", registry=self.registry)
        self.registry.register(self)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def describe(self) -> list[Metric]:
        """Name nothing beforehand, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what the database knows."""
        fresh = WORKERS.c.beat > database_time(self.engine) - _ALIVE
        with self.engine.connect() as c:
            states = _pairs(c, sa.select(JOBS.c.state, sa.func.count()).group_by(JOBS.c.state))
            oldest = c.execute(sa.select(sa.func.min(JOBS.c.created)).where(JOBS.c.state == "queued")).scalar()
            counts = _pairs(c, sa.select(COUNTERS.c.name, COUNTERS.c.value))
            workers = _pairs(c, sa.select(WORKERS.c.state, sa.func.count()).where(fresh).group_by(WORKERS.c.state))
        jobs = GaugeMetricFamily("dithead_jobs", "Jobs that have not ended, by state.", labels=["state"])
        for state in OPEN_STATES:
            jobs.add_metric([state], states.get(state, 0))
        yield jobs
        yield _gauge("dithead_queue_oldest_seconds", "Age of the job that waits longest.",
                     0.0 if oldest is None else time.time() - oldest)  # fmt: skip
        ended = CounterMetricFamily("dithead_jobs_ended", "Jobs that ended, by how.", labels=["state"])
        for state in ("done", "failed", "cancelled"):
            ended.add_metric([state], counts.get(state, 0.0))
        yield ended
        for name in ("frames", "video_seconds", "work_seconds"):
            yield CounterMetricFamily(f"dithead_{name}", "Of finished videos.", value=counts.get(name, 0.0))
        alive = GaugeMetricFamily("dithead_workers", "Workers that are alive, by state.", labels=["state"])
        for state in ("loading", "idle", "busy"):
            alive.add_metric([state], workers.get(state, 0))
        yield alive
        for name, value in self.live().items():
            yield _gauge(f"dithead_live_{name}", "Of the live conversations that go on.", value)
        yield _gauge("dithead_disk_free_bytes", "Free on the data folder's disk.", float(self.storage.free_bytes()))


def _pairs(c: sa.Connection, query: sa.Select[Any]) -> dict[str, float]:
    return {row[0]: row[1] for row in c.execute(query)}


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
