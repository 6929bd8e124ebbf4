"""Stages on threads: order, errors, bounded look-ahead, and an end in which no thread is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from dithead.inference.ahead import ahead, groups_ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dithead-try")]


def test_items_come_in_order_and_another_thread_computes_them() -> None:
    seen: list[str] = []

    def items() -> Iterator[int]:
        for k in range(50):
            seen.append(threading.current_thread().name)
            yield k

    assert list(ahead(items(), 3, "try")) == list(range(50))
    assert set(seen) == {"dithead-try"}
    assert not threads()


def test_no_more_than_the_depth_is_computed_ahead() -> None:
    computed: list[int] = []
    slow = ahead((computed.append(k) or k for k in range(100)), 2, "try")
    next(slow)
    time.sleep(0.3)
    assert len(computed) <= 4  # one taken, two that wait, one that has no place yet
    slow.close()
    assert not threads()


def test_what_waits_comes_together() -> None:
    computed = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for k in range(7):
            yield k
            computed.release()

    groups = groups_ahead(items(), 4, "try", 3)
    got = [next(groups)]
    for _ in range(4):
        assert computed.acquire(timeout=10)
    got += [*groups]
    assert [k for group in got for k in group] == list(range(7))
    assert max(map(len, got)) == 3
    assert not threads()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_comes_after_the_items_before_it(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise error

    got: list[int] = []
    with pytest.raises(type(error)):
        got.extend(k for k in ahead(items(), 5, "try") if got.append(k))  # type: ignore[func-returns-value]
    assert got == [0, 1, 2]
    assert not threads()


def test_an_iteration_that_is_given_up_closes_all_stages_within_a_second() -> None:
    closed: list[str] = []

    def endless() -> Iterator[int]:
        try:
            k = 0
            while True:
                time.sleep(0.01)
                yield (k := k + 1)
        finally:
            closed.append("inner")

    stages = ahead(ahead(endless(), 2, "try-inner"), 2, "try-outer")
    next(stages)
    begun = time.perf_counter()
    stages.close()
    assert time.perf_counter() - begun < 1
    assert closed == ["inner"]
    assert not threads()


def test_after_an_interrupt_nobody_waits_for_what_is_computed() -> None:
    computed = threading.Event()

    def slow() -> Iterator[int]:
        yield 0
        computed.wait(60)
        yield 1

    def passed_on() -> Iterator[int]:
        with closing(ahead(slow(), 1, "try")) as items:
            yield from items

    def interrupted() -> None:
        with closing(passed_on()) as items:
            assert next(items) == 0
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begun < 4, "closing waits for five seconds"
    computed.set()


def test_the_thread_itself_may_close_it() -> None:
    """After an error, the garbage collector closes what is left over on any thread."""
    seen: list[BaseException] = []
    made: list[Iterator[int]] = []
    taken = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        taken.wait(10)
        try:
            made[0].close()  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001 - the thread would keep it to itself
            seen.append(error)

    made.append(ahead(items(), 1, "try"))
    assert next(made[0]) == 0
    taken.set()
    while threads():
        time.sleep(0.01)
    assert not seen
