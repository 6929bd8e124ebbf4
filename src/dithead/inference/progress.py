"""Shows progress: bars on a terminal, a line now and then in a log file, or JSON lines for other programs.

The library itself only calls back, ``progress(what, done, total)``, and prints nothing. A callback that also has a
method ``say(line)`` is told in words what a job is about to do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from dithead.options import silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from dithead.options import Progress

Style = Literal["auto", "quiet", "json"]
"""auto: bars on a terminal and lines elsewhere.  quiet: nothing.  json: one JSON object a line, for other programs."""

_LINE_EVERY = 10.0  # seconds between the lines of a stage in a log file (our choice)
_EVENT_EVERY = 0.5  # seconds between the JSON lines of a stage (our choice)


def tell(progress: Progress, line: str) -> None:
    """Say a line to whoever watches the progress, if they listen to words."""
    say = getattr(progress, "say", None)
    if say is not None:
        say(line)


@contextmanager
def progress_of(progress: Progress | bool) -> Iterator[Progress]:
    """Yield the callback that a caller gave; True stands for ``terminal_progress``."""
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield silent
        return
    with terminal_progress() as shown:
        yield shown


@contextmanager
def terminal_progress(style: Style = "auto") -> Iterator[Progress]:
    """Show the progress of each stage on stderr.

    Args:
        style: How; see ``Style``.
    """
    if style == "quiet":
        yield silent
        return
    if style == "json":
        yield _Events()
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        yield _TerminalBars(bars)


def print_event(event: str, **facts: object) -> None:
    """Print one JSON object on stderr, for programs that watch a command (``--log-json``)."""
    print(json.dumps({"event": event, "time": round(time.time(), 3), **facts}, ensure_ascii=False), file=sys.stderr)
    sys.stderr.flush()


class _TerminalBars:
    """One bar a stage, with the time left."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, int] = {}

    def say(self, line: str) -> None:
        self._bars.console.print(f"dithead: {line}", markup=False, highlight=False, soft_wrap=True)

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._bars.task_ids[list(self._tasks).index(what)], completed=done, total=total)


class _Throttled:
    """Passes on the first report of a stage, the last one, and one now and then between them."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._last: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if what in self._last and done != total and now - self._last[what] < self._every:
            return
        self._last[what] = now
        self.report(what, done, total)

    def report(self, what: str, done: int, total: int | None) -> None:
        """Print the progress of one stage."""
        raise NotImplementedError


class _Lines(_Throttled):
    """Lines for a log file or a pipe."""

    def __init__(self) -> None:
        super().__init__(_LINE_EVERY)

    def say(self, line: str) -> None:
        print(f"dithead: {line}", file=sys.stderr, flush=True)

    def report(self, what: str, done: int, total: int | None) -> None:
        self.say(f"{what}: {done}" + ("" if total is None else f" of {total}"))


class _Events(_Throttled):
    """JSON lines for other programs."""

    def __init__(self) -> None:
        super().__init__(_EVENT_EVERY)

    def say(self, line: str) -> None:
        print_event("note", text=line)

    def report(self, what: str, done: int, total: int | None) -> None:
        print_event("progress", what=what, done=done, total=total)
