"""Run many independent tasks over processes of this machine or over a Ray cluster, behind one function."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar, get_args

from dithead.errors import ConfigError, DataError, DitheadError, MissingExtraError
from dithead.option_fields import Engine

Item = TypeVar("Item")
Result = TypeVar("Result")
Finished = Iterator[tuple[int, Result | Exception]]
"""Index of an item and what its task returned or raised."""

TASKS_PER_WORKER = 2
"""Tasks handed out for each worker: one runs and one waits, so that no worker idles and memory stays constant."""
_DEATH = "its worker process died over it twice (out of memory, or a file that crashes its decoder); leave it out"


def map_tasks(
    function: Callable[[Item], Result], items: Iterable[Item], *, engine: Engine = "local", workers: int
) -> Iterator[tuple[int, Result | Exception]]:
    """Run a function over items and yield the results in order of completion.

    A worker that dies costs its own item only. Closing the iterator, or Ctrl-C, ends the workers at once, so tasks must
    leave nothing half-written in place.

    Args:
        function: The task; it, its items and its results must be picklable.
        items: May be endless: at most ``TASKS_PER_WORKER * workers`` are taken before their results are given out.
        engine: ``local`` runs one worker in this process, and several in new processes. ``ray`` runs tasks on the
            cluster that ``RAY_ADDRESS`` names or, without it, on a Ray that is started here.
        workers: Tasks that run at once; CPUs of the Ray that is started here.

    Yields:
        The index of an item, and its result or the exception that was raised; DataError where the worker died.

    Raises:
        ConfigError: The engine is unknown, or there is not one worker.
        MissingExtraError: Ray is asked for and not installed.
    """
    if engine not in get_args(Engine):
        raise ConfigError(f"engine: {engine!r} is unknown; there are {' and '.join(get_args(Engine))}")
    if workers < 1:
        raise ConfigError(f"workers: {workers} is too few; give 1 or more")
    if engine == "ray":
        return _on_ray(_import_ray(), function, items, workers)
    if workers == 1:
        return ((index, _attempt(function, item)) for index, item in enumerate(items))
    return _in_processes(function, items, workers)


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    """Return the result, or the exception in a form that can be sent back to the parent process."""
    try:
        return function(item)
    except Exception as error:  # noqa: BLE001 - the caller decides which ones stop it
        return _portable(error)


def _portable(error: Exception) -> Exception:
    """Return the exception itself if it survives pickling, else one with the same message.

    An exception that cannot be unpickled would break the whole pool. Bugs keep their traceback as a note.
    """
    if not isinstance(error, DitheadError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, made on this line
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:  # noqa: BLE001, S110 - whatever makes pickling fail, a plain error replaces it
        pass
    if isinstance(error, DitheadError):
        return DitheadError(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")


class _Worker(SpawnProcess):
    """Starts deaf to Ctrl-C: until its initializer has run, an interrupt would end it with a traceback of its own."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            return super().start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the new process inherits the mask
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    """Starts new processes (a fork would copy the threads of networks) and remembers them, so as to end them."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = _Worker(*args, **kwargs)
        self.started.append(process)
        return process


def _die_quietly_on_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # an interrupt that waited ends the process here


class _Pool:
    """A pool of processes that can be ended in the middle of their tasks."""

    def __init__(self, workers: int) -> None:
        self._context = _Context()
        self._executor = ProcessPoolExecutor(workers, self._context, initializer=_die_quietly_on_interrupt)
        self.submit = self._executor.submit

    def end(self) -> None:
        for process in self._context.started:
            if process.is_alive():
                process.terminate()
        self._executor.shutdown(cancel_futures=True)


def _in_processes(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Finished[Result]:
    source, pool = enumerate(items), _Pool(workers)
    pending: dict[Future[Result | Exception], tuple[int, Item]] = {}
    try:
        while True:
            for index, item in islice(source, TASKS_PER_WORKER * workers - len(pending)):
                pending[pool.submit(_attempt, function, item)] = index, item
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                pool.end()
                yield from _after_worker_death(function, pending)
                pending, pool = {}, _Pool(workers)
                continue
            for future in done:
                index, _ = pending.pop(future)
                yield index, future.result()
    finally:
        pool.end()


def _after_worker_death(
    function: Callable[[Item], Result], pending: dict[Future[Result | Exception], tuple[int, Item]]
) -> Finished[Result]:
    """Finish the tasks that were handed out when a worker died: those without a result run alone in a new process."""
    for future, (index, item) in pending.items():
        if future.done() and not future.cancelled() and future.exception() is None:
            yield index, future.result()
        else:
            yield index, _run_alone(function, item)


def _run_alone(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    pool = _Pool(1)
    try:
        return pool.submit(_attempt, function, item).result()
    except BrokenProcessPool:
        return DataError(f"{item}: {_DEATH}")
    finally:
        pool.end()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray then does not touch devices, nor warn
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray") from None
    return ray


def _on_ray(ray: Any, function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Finished[Result]:
    started_here = not ray.is_initialized()
    if started_here:
        _start_ray(ray, workers)
    task = ray.remote(_attempt).options(max_retries=1)
    shared, source = ray.put(function), enumerate(items)
    pending: dict[Any, tuple[int, Item]] = {}
    try:
        while True:
            for index, item in islice(source, TASKS_PER_WORKER * workers - len(pending)):
                pending[task.remote(shared, item)] = index, item
            if not pending:
                return
            (first, *_), _ = ray.wait(list(pending), num_returns=1)
            index, item = pending.pop(first)
            yield index, _fetched(ray, first, item)
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)
        if started_here:
            ray.shutdown()


def _start_ray(ray: Any, workers: int) -> None:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one here."""
    address = os.environ.get("RAY_ADDRESS")
    where = {"address": address} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="warning", **where)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"no Ray cluster at {address or 'this machine'} ({reason}); check RAY_ADDRESS") from None


def _fetched(ray: Any, reference: Any, item: Any) -> Any:
    try:
        return ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError):
        return DataError(f"{item}: {_DEATH}")
