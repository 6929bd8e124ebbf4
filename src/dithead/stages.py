"""Names the stages of the work, so that ``dithead bench`` can time them; without it, a stage costs next to nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Span(NamedTuple):
    """One stretch of one stage on one thread."""

    stage: str
    thread: int  # number that the operating system gave to the thread
    begin: float  # seconds of ``time.perf_counter``
    end: float
    own_seconds: float  # of the clock, without the stages inside it
    own_cpu: float  # seconds of processor time of this thread, without the stages inside it


@dataclass
class _Open:
    """A stage that has begun on some thread, and what the stages inside it have taken so far."""

    stage: str
    begin: float
    cpu: float
    inner_seconds: float = 0.0
    inner_cpu: float = 0.0


@dataclass
class StageRecorder:
    """Keeps the spans of all stages, from all threads, in the order in which they end."""

    spans: list[Span] = field(default_factory=list)
    moments: dict[str, float] = field(default_factory=dict)  # seconds of ``time.perf_counter`` by name
    _local: threading.local = field(default_factory=threading.local)

    @contextmanager
    def span(self, stage: str) -> Iterator[None]:
        """Record one stretch of a stage."""
        stack: list[_Open] = self._local.__dict__.setdefault("stack", [])
        stack.append(_Open(stage, time.perf_counter(), time.thread_time()))
        try:
            yield
        finally:
            self._end(stack)

    def _end(self, stack: list[_Open]) -> None:
        ended, end, cpu = stack.pop(), time.perf_counter(), time.thread_time()
        seconds, used = end - ended.begin, cpu - ended.cpu
        if stack:
            stack[-1].inner_seconds += seconds
            stack[-1].inner_cpu += used
        own, own_cpu = seconds - ended.inner_seconds, used - ended.inner_cpu
        self.spans.append(Span(ended.stage, threading.get_native_id(), ended.begin, end, own, own_cpu))


_recorder: StageRecorder | None = None
_NOTHING = nullcontext()


def stage(name: str) -> AbstractContextManager[None]:
    """Name what the ``with`` block does; stages may lie inside others, and then count for themselves only."""
    return _NOTHING if _recorder is None else _recorder.span(name)


def is_recording() -> bool:
    """Return whether somebody records the stages of this process."""
    return _recorder is not None


def add_spans(spans: Iterable[Span]) -> None:
    """Add what another process of this machine has recorded, whose clock is the same."""
    if _recorder is not None:
        _recorder.spans.extend(spans)


def add_moments(moments: Mapping[str, float]) -> None:
    """Add the moments that another process of this machine has noted."""
    if _recorder is not None:
        for name, time_of_it in moments.items():
            _recorder.moments.setdefault(name, time_of_it)


def moment(name: str) -> None:
    """Note the time at which something happens for the first time."""
    if _recorder is not None:
        _recorder.moments.setdefault(name, time.perf_counter())


def staged(name: str, items: Iterable[T]) -> Iterator[T]:
    """Yield the items of an iterable; the time that each takes to come belongs to a stage."""
    iterator = iter(items)
    while True:
        with stage(name):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


@contextmanager
def recording() -> Iterator[StageRecorder]:
    """Record all stages of the process while the block runs."""
    global _recorder
    earlier, _recorder = _recorder, StageRecorder()
    try:
        yield _recorder
    finally:
        _recorder = earlier
