"""Starts the helper process before this one has imported what it needs to check the job.

Only modules that any command has imported already are needed here, so the two import side by side.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import NamedTuple

CODE = "import sys; sys.path[:] = sys.argv[1:]; from dithead.inference.helper_process import serve; serve()"


class StartedProcess(NamedTuple):
    """A process that waits for a job, and the memory that both share."""

    process: subprocess.Popen[bytes]
    memory: int | None  # descriptor of a file without a name, for decoded frames; None where the system has none


_early: list[StartedProcess] = []


def start_early() -> None:
    """Start the process, where it saves time, for the job that comes first; without a job it ends with this process."""
    if not _early and saves_time():
        _early.extend(started())


def taken_early() -> list[StartedProcess]:
    """Return what was started early and nobody has taken yet: one or none."""
    taken, _early[:] = _early[:], []
    return taken


def started() -> list[StartedProcess]:
    """Start a process; returns none where the system does not allow it."""
    memory = new_memory()
    with contextlib.suppress(OSError):
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-c", CODE, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=() if memory is None else (memory,),
            env={"OPENBLAS_NUM_THREADS": "1"} | os.environ,  # see ``process_settings.tune_process``
            start_new_session=True,  # Ctrl-C reaches this process only, which ends that one
        )
        return [StartedProcess(process, memory)]
    if memory is not None:
        os.close(memory)
    return []


def saves_time() -> bool:
    """Return whether a process is worth its start: torch is yet to be imported, and there is a core for each."""
    return bool(sys.executable) and "torch" not in sys.modules and _cores() > 1


def new_memory() -> int | None:
    """Return the descriptor of a new file in memory, or None where the system has no such files."""
    try:
        return os.memfd_create("dithead-frames")
    except (AttributeError, OSError):
        return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
