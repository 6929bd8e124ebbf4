"""Shows progress: bars on a terminal, a line now and then in a log file, or JSON lines for other programs.

The library itself only calls back, ``progress(what, done, total)``, and prints nothing. A callback that also has a
method ``say(line)`` is told in words what a job is about to do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

Item = TypeVar("Item")
Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, the steps done, and the steps in all (None when unknown)."""
Style = Literal["auto", "quiet", "json"]
"""auto: bars on a terminal and lines elsewhere.  quiet: nothing.  json: one JSON object a line, for other programs."""

style: ContextVar[Style] = ContextVar("style", default="auto")
"""How ``terminal_progress`` shows progress where it is not told; the command line sets it for a whole command."""
_LINE_EVERY = 10.0  # seconds between the lines of a stage in a log file (our choice)
_EVENT_EVERY = 0.5  # seconds between the JSON lines of a stage (our choice)


def silent(what: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


def plural(count: int, word: str) -> str:
    """Return a count with its noun, such as ``1 row`` or ``2 rows``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def counted(items: Iterable[Item], what: str, total: int | None, progress: Progress) -> Iterator[Item]:
    """Pass items on and report how many there were, from none on."""
    progress(what, 0, total)
    for done, item in enumerate(items, 1):
        yield item
        progress(what, done, total)


def tell(progress: Progress, line: str) -> None:
    """Say a line to whoever watches the progress, if they listen to words."""
    say = getattr(progress, "say", None)
    if say is not None:
        say(line)


def annotate(progress: Progress, text: str) -> None:
    """Show a few words beside the progress, such as the loss of a training, to whoever can."""
    note = getattr(progress, "note", None)
    if note is not None:
        note(text)


def shown(items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
    """Pass items on and show on stderr how many there were."""
    with terminal_progress() as progress:
        yield from counted(items, what, total, progress)


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
def terminal_progress(way: Style | None = None) -> Iterator[Progress]:
    """Show the progress of each stage on stderr.

    Args:
        way: How; the present ``style`` by default.
    """
    way = way or style.get()
    if way == "quiet":
        yield silent
        return
    if way == "json":
        yield _Events()
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    note = TextColumn("{task.fields[note]}")
    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
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
        self._note = ""

    def note(self, text: str) -> None:
        self._note = text

    def say(self, line: str) -> None:
        self._bars.console.print(f"dithead: {line}", markup=False, highlight=False, soft_wrap=True)

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, note="")
        task = self._bars.task_ids[list(self._tasks).index(what)]
        self._bars.update(task, completed=done, total=total, note=self._note)


class _Throttled:
    """Passes on the first report of a stage, the last one, and one now and then between them."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._last: dict[str, float] = {}
        self._note = ""

    def note(self, text: str) -> None:
        """Keep a few words for the next report."""
        self._note = text

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
        note = f" ({self._note})" if self._note else ""
        count = f"{done}" if total is None else f"{done} of {total}"
        self.say(f"{what}: {count}{note}")


class _Events(_Throttled):
    """JSON lines for other programs."""

    def __init__(self) -> None:
        super().__init__(_EVENT_EVERY)

    def say(self, line: str) -> None:
        print_event("note", text=line)

    def report(self, what: str, done: int, total: int | None) -> None:
        print_event("progress", what=what, done=done, total=total, **({"note": self._note} if self._note else {}))
