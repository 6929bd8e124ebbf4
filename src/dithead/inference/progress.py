"""Progress on the terminal. The library itself only calls back; nothing is printed unless asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

# (what is being done, steps done, steps in all or None when unknown)
Progress: TypeAlias = Callable[[str, int, int | None], None]


def silent(what: str, done: int, total: int | None) -> None:
    """Report to nobody."""


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """A rich progress bar on stderr: one line per stage, with speed and time left. Only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)  # a log file or a pipe gets nothing, not even the bar's last empty line
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, int] = {}

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(bar.task_ids[list(tasks).index(what)], completed=done, total=total)

        yield report
