"""Tasks over processes and over Ray: complete, bounded in number, and unharmed by one that fails or dies."""

from __future__ import annotations

import builtins
import math
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from dithead.engine import TASKS_PER_WORKER, map_tasks
from dithead.errors import ConfigError, DataError, DitheadError, MissingExtraError

# Functions for the workers come from the standard library: a worker started afresh cannot import this file.


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_gives_its_result_under_its_index(workers: int) -> None:
    done = dict(map_tasks(math.sqrt, [0.0, 1.0, 4.0, 9.0, 16.0], workers=workers))
    assert done == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}
    assert list(map_tasks(math.sqrt, [], workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_takes_the_place_of_a_result(workers: int) -> None:
    done = dict(map_tasks(math.sqrt, [4.0, -1.0, 9.0], workers=workers))
    assert (done[0], done[2]) == (2.0, 3.0)
    assert isinstance(done[1], ValueError)
    assert "Traceback" in done[1].__notes__[0]


def test_results_come_in_order_of_completion() -> None:
    assert [index for index, _ in map_tasks(time.sleep, [3.0, 0.0], workers=2)] == [1, 0]


@pytest.mark.parametrize("workers", [1, 2])
def test_only_a_bounded_number_of_items_is_taken(workers: int) -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = map_tasks(math.sqrt, numbers(), workers=workers)
    for given in range(1, 6):
        next(results)
        assert taken <= given + TASKS_PER_WORKER * workers
    results.close()  # type: ignore[attr-defined]


def test_a_worker_that_dies_costs_its_own_item_only() -> None:
    calls = [math.pi.hex, os.abort, math.e.hex, math.tau.hex]
    done = dict(map_tasks(operator.call, calls, workers=2))
    assert isinstance(done.pop(1), DataError)
    assert done == {0: math.pi.hex(), 2: math.e.hex(), 3: math.tau.hex()}


def test_errors_that_cannot_be_pickled_arrive_as_plain_ones() -> None:
    from dithead.engine import _portable

    assert isinstance(_portable(MissingExtraError("ray")), DitheadError)
    assert str(_portable(MissingExtraError("ray"))) == str(MissingExtraError("ray"))
    odd = UnicodeDecodeError("utf-8", b"x", 0, 1, "why")
    assert "why" in str(_portable(odd))


def test_closing_early_ends_the_workers_at_once() -> None:
    results = map_tasks(time.sleep, [0.0, 600.0, 600.0], workers=2)
    next(results)
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 10


def test_ctrl_c_ends_parent_and_workers() -> None:
    code = (
        "import time\nfrom dithead.engine import map_tasks\n"
        "if __name__ == '__main__':\n"
        "    for index, _ in map_tasks(time.sleep, [0.0] + [600.0] * 9, workers=6): print(index, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite run in the background ignores it
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.count("Traceback") == 1, "the workers go quietly"


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.04, 0.08])
def test_an_interrupt_during_the_start_of_a_worker_ends_it_without_a_word(
    capfd: pytest.CaptureFixture[str], delay: float
) -> None:
    from dithead.engine import _Context, _die_quietly_on_interrupt

    worker = _Context().Process(target=_die_quietly_on_interrupt)
    worker.start()
    assert worker.pid is not None
    time.sleep(delay)  # its interpreter is still starting
    os.kill(worker.pid, signal.SIGINT)
    worker.join(60)
    assert worker.exitcode in (-signal.SIGINT, 0), "it had ended before the interrupt, or the interrupt ended it"
    assert capfd.readouterr().err == ""


def test_wrong_requests_fail_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="workers: 0"):
        map_tasks(math.sqrt, [1.0], workers=0)
    with pytest.raises(ConfigError, match="local and ray"):
        map_tasks(math.sqrt, [1.0], engine="slurm", workers=1)  # type: ignore[arg-type]


def test_a_missing_ray_names_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_ray(name: str, *args: object, **kwargs: object) -> object:
        if name == "ray":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", no_ray)
    with pytest.raises(MissingExtraError, match=r"pip install 'dithead\[ray\]'"):
        map_tasks(math.sqrt, [1.0], engine="ray", workers=1)


@pytest.mark.slow
def test_ray_does_what_processes_do() -> None:
    ray = pytest.importorskip("ray")
    done = dict(map_tasks(math.sqrt, [0.0, 1.0, -1.0, 9.0], engine="ray", workers=2))
    assert (done[0], done[1], done[3]) == (0.0, 1.0, 3.0)
    assert isinstance(done[2], ValueError)
    assert not ray.is_initialized(), "a Ray that was started for the tasks is stopped"


@pytest.mark.slow
def test_ray_uses_the_cluster_that_is_there_and_survives_a_death() -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        done = dict(map_tasks(operator.call, [math.pi.hex, os.abort, math.e.hex], engine="ray", workers=2))
        assert isinstance(done.pop(1), DataError)
        assert done == {0: math.pi.hex(), 2: math.e.hex()}
        pids = {pid for _, pid in map_tasks(operator.call, [os.getpid] * 6, engine="ray", workers=2)}
        assert os.getpid() not in pids
        assert ray.is_initialized(), "a cluster that was there stays"
    finally:
        ray.shutdown()
