"""The options of ``dithead serve``, ``dithead worker`` and ``dithead api-keys``, each written once.

The command line reads them here whenever it starts, so this file imports nothing heavy.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dithead.errors import ConfigError
from dithead.hub import DEFAULT_MODEL
from dithead.option_fields import option
from dithead.option_values import settle

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MIB, GIB = 2**20, 2**30


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # a text of it would show the password
class StorageOptions:
    """Where jobs are kept: what the server, its workers and the commands for keys must agree on."""

    data: Path = option(
        Path("dithead-data"),
        "Folder of uploads, results and the SQLite database.",
        envvar="DITHEAD_DATA",
        value="FOLDER",
    )
    database: str | None = option(
        None,
        "postgresql://USER:PASSWORD@HOST/NAME; without it, SQLite in the data folder.",
        envvar="DITHEAD_DATABASE",
        value="URL",
    )

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "data", self.data.expanduser())  # not every shell expands it
        if self.database and not self.database.startswith(("postgresql://", "postgres://")):
            raise ConfigError("database must begin with postgresql://; leave it out for SQLite in the data folder")

    @property
    def database_url(self) -> str:
        """The address of the database in SQLAlchemy's form."""
        if self.database:
            return "postgresql+psycopg://" + self.database.partition("://")[2]
        return f"sqlite:///{(self.data / 'jobs.sqlite').resolve()}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # a text of it would show the password
class WorkerOptions(StorageOptions):
    """Options of a process that draws: it takes jobs from the queue, one at a time."""

    models: tuple[str, ...] = option(
        (DEFAULT_MODEL,),
        "A model that jobs may choose; the first is the default; repeatable.",
        flag="--model",
        value="NAME|FOLDER",
    )
    device: str = option("auto", "auto, cpu, cuda or mps.", value="DEVICE")
    name: str | None = option(
        None, "Name of the worker, of its own and kept over restarts; the host's name when absent.", value="NAME"
    )
    takeover: float = option(
        60.0, "Seconds of silence after which other workers take over a worker's job.", minimum=1, value="SECONDS"
    )
    min_free: float = option(
        1.0, "GB that stay free on the disk; below it uploads are refused and jobs wait.", minimum=0, value="GB"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_names_of_their_own("--model", {model: _public_name(model) for model in self.models})

    @property
    def worker_name(self) -> str:
        """The name that is used."""
        return self.name or platform.node() or "worker"

    @property
    def offered(self) -> dict[str, str]:
        """The models by the names that clients see: a folder goes by its last part, so that no path is shown."""
        return {_public_name(model): model for model in self.models}


def _public_name(model: str) -> str:
    return Path(model).name if Path(model).is_dir() else model


def _require_names_of_their_own(flag: str, names: Mapping[str, str]) -> None:
    """Raise ConfigError where two values of an option go by the same name, of which clients could see one only."""
    known: dict[str, str] = {}
    for value, name in names.items():
        if name in known:
            raise ConfigError(
                f"{flag}: clients would see both {known[name]} and {value} as '{name}'; give one of them another name"
            )
        known[name] = value


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # a text of it would show the password
class ServeOptions(WorkerOptions):
    """Options of the server: its address, its workers, and its limits."""

    host: str = option(
        "127.0.0.1", "Address to listen on; any but loopback needs a key (`dithead api-keys add`).", value="ADDRESS"
    )
    port: int = option(8710, "Port to listen on; 0 takes a free one.", minimum=0, maximum=65535, value="PORT")
    workers: int = option(
        1, "Workers started on this machine; 0 where workers run elsewhere.", minimum=0, value="NUMBER"
    )
    site: tuple[str, ...] = option(
        (),
        "A further name by which browsers reach the server, as HOST or HOST:PORT; needs a key; repeatable.",
        value="HOST",
    )
    https: bool = option(
        False, "Browsers reach the server by HTTPS (a proxy in front of it): cookies are then secure; needs a key."
    )
    folders: tuple[Path, ...] = option(
        (), "A folder whose files jobs may name instead of uploading them; repeatable.", flag="--folder", value="FOLDER"
    )
    webhook_hosts: tuple[str, ...] = option(
        (),
        "A host, or HOST:PORT, that webhooks may call; none may without it; repeatable.",
        flag="--webhook-host",
        value="HOST",
    )
    live: int = option(
        8,
        "Live conversations at once, at most, fewer where the cores are busy; 0 switches them off.",
        minimum=0,
        maximum=1000,
        value="NUMBER",
    )
    max_upload: float = option(2000.0, "MB of one uploaded file, at most.", minimum=0.001, value="MB")
    max_minutes: float = option(30.0, "Minutes of one video or speech, at most.", minimum=0.01, value="MINUTES")
    max_megapixels: float = option(9.0, "Megapixels of a frame, at most; 4K has 8.3.", minimum=0.01, value="MEGAPIXELS")
    max_jobs: int = option(20, "Unfinished jobs of one key, at most.", minimum=1, value="NUMBER")
    max_uploads: int = option(100, "Uploads of one key kept at once, at most.", minimum=1, value="NUMBER")
    max_storage: float = option(20.0, "GB of uploads and results of one key, at most.", minimum=0.001, value="GB")
    keep: float = option(168.0, "Hours after which finished jobs and uploads are deleted.", minimum=0.01, value="HOURS")

    def __post_init__(self) -> None:
        super().__post_init__()
        folders = {folder.resolve() for folder in self.folders}
        _require_names_of_their_own("--folder", {str(folder): folder.name for folder in sorted(folders)})

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK
