"""Settings of the process that save time: freed memory is kept, and imports are not searched for garbage.

A library must not decide about the memory of its caller's process, so only commands and helper processes keep it.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM, _MMAP = -1, -3  # numbers of the settings in glibc's malloc.h
_KEPT, _LARGEST = 256 << 20, 32 << 20  # bytes; glibc allows no larger ``_LARGEST``


def keep_freed_memory() -> bool:
    """Keep up to 256 MiB of freed memory for reuse; returns whether the C library knows how.

    Pictures are several megabytes each. By its own choice glibc gives such memory back to the system and asks for it
    anew with each frame, and every page of 4 KiB costs microseconds then: 4 % of the processor time of generation.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(mallopt(_MMAP, _LARGEST)) and bool(mallopt(_TRIM, _KEPT))


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
