"""Holds the tables of jobs, uploads, keys and workers, in SQLite or Postgres, in the database of the queue.

Times are seconds since 1970. The queue's own tables belong to DBOS, see ``work_queue``.
"""

from __future__ import annotations

import fcntl
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from dithead.errors import ConfigError
from dithead.serve.options import StorageOptions
from dithead.serve.storage import Storage

T = TypeVar("T")
VERSION = "1"
"""Version of the tables. A change of them needs a new one, and a step in ``prepare_database`` that leads to it."""
_SUBSECONDS = (3, 42)  # version of SQLite from which unixepoch takes 'subsec'
_POSTGRES_LOCK = 0x64697468  # any number of our own: two processes must not make the tables at once

COUNTED = ("done", "failed", "cancelled", "frames", "video_seconds", "work_seconds")
"""What is counted for the metrics: jobs by their end, and of jobs that are done their frames, length and time."""

NO_MODEL = "no model"
"""State of a worker whose model does not load; the others are loading, idle and busy."""

METADATA = sa.MetaData()
JOBS = sa.Table(
    "dithead_jobs",
    METADATA,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("owner", sa.String(24), nullable=False),
    sa.Column("batch", sa.String(24)),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("finished", sa.Float),
    sa.Column("inputs", sa.JSON, nullable=False),  # see ``inputs.ResolvedInputs``
    sa.Column("options", sa.JSON, nullable=False),  # those that the request sets
    sa.Column("webhook", sa.Text),
    sa.Column("worker", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("error", sa.Text),
    sa.Column("result", sa.JSON),
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("idempotency", sa.Text),
    sa.Column("digest", sa.String(64)),  # of the request, to tell a repetition from another request of the same key
    sa.UniqueConstraint("owner", "idempotency"),
    sa.Index("dithead_jobs_by_owner", "owner", "created"),
    sa.Index("dithead_jobs_by_state", "state", "created"),
)
UPLOADS = sa.Table(
    "dithead_uploads",
    METADATA,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("owner", sa.String(24), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("media", sa.JSON),  # what the file holds; None until it has come whole and was checked
    sa.Index("dithead_uploads_by_owner", "owner", "created"),
)
KEYS = sa.Table(
    "dithead_keys",
    METADATA,
    sa.Column("id", sa.String(24), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("max_jobs", sa.Integer),
    sa.Column("max_storage", sa.Float),
)
WORKERS = sa.Table(
    "dithead_workers",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("beat", sa.Float, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
)
COUNTERS = sa.Table(
    "dithead_counters",
    METADATA,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)
META = sa.Table(
    "dithead_meta", METADATA, sa.Column("name", sa.String(40), primary_key=True), sa.Column("value", sa.Text)
)


def connect(options: StorageOptions) -> sa.Engine:
    """Make the pool of connections to the database; nothing is connected yet."""
    url = options.database_url
    if url.startswith("sqlite"):
        engine = sa.create_engine(url, connect_args={"timeout": 30})
        sa.event.listen(engine, "connect", _configure_sqlite)
        return engine
    return sa.create_engine(url, pool_pre_ping=True, pool_size=10, connect_args={"connect_timeout": 5})


def _configure_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = "IMMEDIATE"  # a transaction that writes waits for its turn instead of failing
    connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
    connection.execute("PRAGMA synchronous=NORMAL")  # with WAL no crash of the process loses anything
    connection.execute("PRAGMA foreign_keys=ON")  # the queue deletes its rows by cascade
    if sqlite3.sqlite_version_info < _SUBSECONDS:
        # From Python 3.12 on DBOS takes it for granted that SQLite knows unixepoch('subsec'); Debian 12 has 3.40.
        connection.create_function("unixepoch", 1, lambda _: int(time.time()))


def prepare_database(engine: sa.Engine, storage: Storage) -> None:
    """Make the tables that are missing, one process at a time.

    Raises:
        ConfigError: The database cannot be reached, or a later version of dithead made its tables.
    """
    try:
        with (storage.data / "database.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with engine.begin() as c:
                if engine.dialect.name == "postgresql":
                    c.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": _POSTGRES_LOCK})
                METADATA.create_all(c)
                found = _meta(c, "version", lambda: VERSION)
                _meta(c, "secret", lambda: secrets.token_hex(32))
                known = set(c.execute(sa.select(COUNTERS.c.name)).scalars())
                for name in set(COUNTED) - known:
                    c.execute(COUNTERS.insert().values(name=name, value=0.0))
    except sa.exc.OperationalError as error:
        raise ConfigError(f"the database cannot be used ({first_line(error.orig)}); check its address") from None
    if found != VERSION:
        raise ConfigError(f"the database has tables of version {found}, this dithead knows {VERSION}; upgrade dithead")


def server_secret(engine: sa.Engine) -> bytes:
    """Return the random secret that signs sessions and webhooks."""
    with engine.connect() as c:
        return bytes.fromhex(c.execute(sa.select(META.c.value).where(META.c.name == "secret")).scalar_one())


def _meta(c: sa.Connection, name: str, make: Callable[[], str]) -> str:
    """A value of the table of settings, made where it is missing."""
    found = c.execute(sa.select(META.c.value).where(META.c.name == name)).scalar()
    if found is None:
        found = make()
        c.execute(META.insert().values(name=name, value=found))
    return str(found)


def database_time(engine: sa.Engine) -> Any:
    """Return the SQL for the database's clock in seconds, which all machines share."""
    if engine.dialect.name == "postgresql":
        return sa.func.extract("epoch", sa.func.clock_timestamp())
    return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0")


def one_at_a_time(c: sa.Connection, what: str) -> None:
    """Let no other transaction that names the same thing go on until this one ends, so that what it counts holds.

    SQLite has one transaction that writes at a time anyway, from its first change on: change first, then count.
    """
    if c.dialect.name == "postgresql":
        c.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:what))"), {"what": what})


def count_up(c: sa.Connection, **amounts: float) -> None:
    """Add amounts to counters of ``COUNTED``, which outlive the rows of jobs."""
    for name, amount in sorted(amounts.items()):  # always in the same order, so that two transactions cannot deadlock
        c.execute(COUNTERS.update().where(COUNTERS.c.name == name).values(value=COUNTERS.c.value + amount))


def retrying(action: Callable[[], T], wait: float = 2.0, longest: float = 30.0) -> T:
    """Call until the database answers: a lost one delays work and loses nothing."""
    while True:
        try:
            return action()
        except (sa.exc.OperationalError, sa.exc.InterfaceError):
            time.sleep(wait)
            wait = min(longest, wait * 1.5)


def first_line(error: object) -> str:
    """Return the first line of an error's text; addresses and passwords are not part of it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
