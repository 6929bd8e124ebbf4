"""Settings of the process that save time: it keeps freed memory, imports without a search for garbage, ends at once.

A library must not decide about the memory of its caller's process, so only commands and helper processes keep it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM, _MMAP, _ARENAS = -1, -3, -8  # numbers of the settings in glibc's malloc.h
_ALLOCATIONS = 70_000  # of objects, less those freed, after which the youngest are searched for garbage (our choice)
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG in Linux's prctl.h
_KEPT, _LARGEST = 256 << 20, 32 << 20  # bytes; glibc allows no larger ``_LARGEST``


def keep_freed_memory() -> bool:
    """Keep up to 256 MiB of freed memory for reuse; returns whether the C library knows how.

    Pictures are several megabytes each. By its own choice glibc gives such memory back to the system and asks for it
    anew with each frame, and every page of 4 KiB costs microseconds then: 4 % of the processor time of generation.
    All threads take memory from one place, because what one of them frees is given back from a place of its own.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return all([mallopt(_MMAP, _LARGEST), mallopt(_TRIM, _KEPT), mallopt(_ARENAS, 1)])


def tune_process() -> None:
    """Set all that saves time in a process which only draws, or helps one that does; call it before NumPy is imported.

    Freed memory is kept. Python searches for cyclic garbage a hundred times more rarely than by default, because each
    search visits all objects of torch, none of which is garbage. NumPy's matrix products use one thread, because
    further threads would wait in busy loops.
    """
    keep_freed_memory()
    gc.set_threshold(_ALLOCATIONS, *gc.get_threshold()[1:])
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def end_with_parent() -> None:
    """End this process by SIGKILL when the one that started it ends, however that does; only Linux knows how."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """End the process where the block exits it, without waiting for threads or taking every object apart.

    Torch's objects take half a second of that, and a thread that imports torch when Ctrl-C comes would be waited for
    until it has. What the block itself has to clean up is done by then.
    """
    try:
        yield
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise  # Python prints it
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it
                stream.flush()
        os._exit(end.code or 0)


class _Pauses:
    """How many blocks want no garbage collection now."""

    def __init__(self) -> None:
        self.lock, self.blocks, self.before = threading.Lock(), 0, True


_pauses = _Pauses()


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Look for no cycles of garbage while the block runs: importing makes many objects, all of which stay.

    It takes a fifth off the import of torch. The setting is the whole process's, so it comes back when the last block
    ends, whichever thread that is on.
    """
    with _pauses.lock:
        if not _pauses.blocks:
            _pauses.before = gc.isenabled()
            gc.disable()
        _pauses.blocks += 1
    try:
        yield
    finally:
        with _pauses.lock:
            _pauses.blocks -= 1
            if not _pauses.blocks and _pauses.before:
                gc.enable()
