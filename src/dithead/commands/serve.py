"""Sub-commands that serve: the server, workers on other machines, and keys."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

import typer

from dithead.commands.shared import WholeSentences, given, out, takes_options
from dithead.errors import EXTRAS, MissingExtraError
from dithead.serve.options import ServeOptions, StorageOptions, WorkerOptions

api_keys = typer.Typer(
    cls=WholeSentences,
    help="Make, list and revoke the API keys of a server's users.",
    no_args_is_help=True,
)
KeyName = Annotated[str, typer.Argument(help="Name of the key.")]


@takes_options(ServeOptions)
def serve(**options: Any) -> None:
    """Start a web page and a REST API on this machine; unfinished jobs go on after a restart."""
    _require_extra()
    from dithead.serve.logs import log_as_json
    from dithead.serve.server import run_server

    log_as_json()
    run_server(ServeOptions(**_tuples(given(**options))))


@takes_options(WorkerOptions)
def worker(**options: Any) -> None:
    """Take jobs of a server on another machine, which shares its database and its data folder."""
    _require_extra()
    from dithead.serve.logs import log_as_json
    from dithead.serve.worker import run_worker

    log_as_json()
    run_worker(WorkerOptions(**_tuples(given(**options))))


@api_keys.command("add")
@takes_options(StorageOptions)
def add_key(
    name: KeyName,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Unfinished jobs, at most.")] = None,
    max_storage: Annotated[float | None, typer.Option(min=0.001, help="GB of uploads and results, at most.")] = None,
    **options: Any,
) -> None:
    """Make a key for a user of a server and print it; it cannot be shown again."""
    out(_key_store(options).add(name, max_jobs, max_storage))


@api_keys.command("list")
@takes_options(StorageOptions)
def list_keys(**options: Any) -> None:
    """List the names of all keys of a server."""
    for name in _key_store(options).names():
        out(name)


@api_keys.command("revoke")
@takes_options(StorageOptions)
def revoke_key(name: KeyName, **options: Any) -> None:
    """Delete a key of a server, which refuses it from now on, and still needs a key after the last one is gone."""
    _key_store(options).revoke(name)


@api_keys.command("open")
@takes_options(StorageOptions)
def open_server(**options: Any) -> None:
    """Let everybody on this machine in without a key again, once the last one is revoked."""
    _key_store(options).open()


def _key_store(options: dict[str, Any]) -> Any:
    _require_extra()
    from dithead.serve.database import connect, prepare_database
    from dithead.serve.keys import KeyStore
    from dithead.serve.storage import Storage

    chosen = StorageOptions(**given(**options))
    engine = connect(chosen)
    prepare_database(engine, Storage(chosen.data))
    return KeyStore(engine)


def _require_extra() -> None:
    """Raise MissingExtraError unless the packages of the extra are there."""
    for package in EXTRAS["serve"]:
        if find_spec(package) is None:
            raise MissingExtraError("serve", package)


def _tuples(options: dict[str, Any]) -> dict[str, Any]:
    """Repeatable options come as lists and are kept as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
