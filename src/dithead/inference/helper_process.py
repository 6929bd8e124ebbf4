"""A process that works on pictures beside this one, so that the two do not wait for one lock of Python.

It makes the first pass while torch is imported here, which takes over a second of that lock, and cuts, composes and
encodes the frames of the second pass, while the networks draw here.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from dithead.inference.analyse.finders import Finders
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.early_start import new_memory, saves_time, started, taken_early
from dithead.inference.helper_channel import Channel
from dithead.process_settings import end_with_parent, tune_process
from dithead.stages import Span, add_moments, add_spans, is_recording, recording


class HelperJob(Protocol):
    """What the helper process can be given to do."""

    @property
    def outside(self) -> str:
        """Stage that stands for the processor time of the process that none of the job's own stages counts."""
        ...

    @property
    def shared(self) -> Sequence[Tracklet]:
        """What the messages that follow the job only name."""
        ...

    def serve(self, channel: Channel, finders: Finders) -> Any:
        """Do it there.

        Args:
            channel: To the process that gave the job, for what comes before the result.
            finders: Networks that are loaded already.

        Returns:
            The result.
        """
        ...


class _Result(NamedTuple):
    """The last message of a job that succeeded."""

    value: Any
    spans: list[Span]
    moments: dict[str, float]


class _Failure(NamedTuple):
    """The last message of a job that failed."""

    error: BaseException
    cause: BaseException | None


class HelperProcess:
    """The helper process of one call, where that is worth one; a context manager, which ends it.

    Both processes share the memory in which frames are kept.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.channel: Channel | None = None
        """To the process; None where there is none."""
        self._begun: HelperJob | None = None
        self.memory: int | None = None
        """Descriptor of that memory; None before ``start``, and where the system has none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dismiss()
        self.end()

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self) -> None:
        """Start the process, where it saves time, or take the early one; it gets ready while the job is checked."""
        found = taken_early() or (started() if saves_time() else [])
        for process, memory in found:
            self._process, self.memory = process, memory
            if process.stdout is not None and process.stdin is not None:
                self.channel = Channel(process.stdout, process.stdin)
        if not found:
            self.memory = new_memory()

    def kill(self) -> None:
        """End the process from any thread; whoever waits for its messages notices."""
        if (process := self._process) is not None:
            process.kill()

    def dismiss(self) -> None:
        """Let the process go when it has no more to do: it gives its memory back while this one goes on."""
        memory, self.memory = self.memory, None
        if memory is not None:
            os.close(memory)
        self.kill()

    def end(self) -> None:
        """Kill the process, whatever it is doing, and wait until it has ended."""
        process, self._process, self.channel = self._process, None, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError, ValueError):  # what it has not read
                process.communicate()

    def begin(self, job: HelperJob) -> None:
        """Give the process a job ahead of ``result_of``, which must be asked for the result of this one next."""
        channel, self._begun = self.channel, job
        if channel is not None:
            with contextlib.suppress(OSError):  # ``result_of`` will find out
                channel.share(())
                channel.tell((job, is_recording()))
                channel.share(job.shared)

    def result_of(self, job: HelperJob, hear: Callable[[Any], None]) -> Any:
        """Let the process do a job.

        Args:
            job: The job.
            hear: Called with each message that comes before the result; what it raises ends the process.

        Returns:
            The job's result; None where there is no process, or it died.
        """
        try:
            for message in self._messages(job):
                if isinstance(message, _Failure):
                    raise message.error from message.cause
                if isinstance(message, _Result):
                    add_spans(message.spans)
                    add_moments(message.moments)
                    return message.value
                hear(message)
        except BaseException:
            self.end()
            raise
        self.end()
        return None

    def _messages(self, job: HelperJob) -> Iterator[Any]:
        """What the process says until it is gone."""
        if self._begun is not job:
            self.begin(job)
        channel, self._begun = self.channel, None
        with contextlib.suppress(EOFError, OSError):
            while channel is not None:
                yield channel.heard()


def serve() -> None:
    """Do the jobs that come through stdin, one after the other; what they say goes to stdout."""
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else is printed is no message
    tune_process()
    end_with_parent()  # what it writes must not reach the folder of a later call
    channel, counted = Channel(sys.stdin.buffer, messages), 0.0
    with contextlib.suppress(EOFError, BrokenPipeError), Finders() as finders:  # the other process may be gone
        finders.load()  # while the job is checked
        importlib.import_module("dithead.inference.second_pass_job")  # while nobody waits for it
        while True:
            job, record = channel.heard()
            channel.share(job.shared)
            result = _done(job, channel, finders, record=record, counted=counted)
            counted = time.process_time()
            channel.share(())
            channel.tell(result)


def _done(job: HelperJob, channel: Channel, finders: Finders, *, record: bool, counted: float) -> _Result | _Failure:
    """Do a job, and record its stages for ``dithead bench``; ``counted`` is the processor time of earlier ones."""
    begin = time.perf_counter()
    try:
        with recording() if record else nullcontext() as recorder:
            value = job.serve(channel, finders)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the other process raises it
        return _Failure(error, error.__cause__)
    if recorder is None:
        return _Result(value, [], {})
    rest = time.process_time() - counted - sum(span.own_cpu for span in recorder.spans)
    outside = Span(job.outside, 0, begin, time.perf_counter(), 0.0, rest)
    return _Result(value, [*recorder.spans, outside], recorder.moments)
