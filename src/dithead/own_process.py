"""Settles a process that runs dithead and nothing else: memory is kept for reuse, and torch is imported sooner.

A library must not do that to the process of its caller, so only commands, workers and helper processes ask for it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_LAZY = "torch._meta_registrations"
"""A part of torch that describes operations for compilers and for tensors without data, and takes 0.2 s to import."""
_TRIM, _MMAP = -1, -3  # numbers of the settings in glibc's malloc.h
_KEPT, _LARGEST = 256 << 20, 32 << 20  # bytes; glibc allows no larger ``_LARGEST``


def claim_process() -> None:
    """Settle this process; call it before torch is imported.

    Pictures are several megabytes each. By its own choice glibc gives such memory back to the system and asks for it
    anew with each frame, and every page of 4 KiB costs microseconds then: 3 to 4 % of the processor time of generation.
    """
    keep_freed_memory()
    if _LAZY not in sys.modules and not any(isinstance(finder, _LazyFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LazyFinder())


def keep_freed_memory() -> bool:
    """Keep up to 256 MiB of freed memory for reuse; returns whether the C library knows how."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(mallopt(_MMAP, _LARGEST)) and bool(mallopt(_TRIM, _KEPT))


def load_lazy_parts() -> None:
    """Import what ``claim_process`` has put off, before tensors without data are used."""
    module = sys.modules.get(_LAZY)
    if isinstance(module, _LazyModule):
        module.load()


class _LazyModule(ModuleType):
    """A module whose code runs when something of it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.load()
        return getattr(self, name)

    def load(self) -> None:
        """Run the module's code."""
        found = PathFinder.find_spec(_LAZY, sys.modules["torch"].__path__)
        self.__class__ = ModuleType  # type: ignore[assignment]  # from now on like any other
        if found is not None and found.loader is not None:
            found.loader.exec_module(self)


class _LazyLoader(Loader):
    """Makes the lazy module without running its code."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module, empty."""
        return _LazyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave it empty."""


class _LazyFinder:
    """Finds the lazy module before Python's own finders do."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of the lazy module; None for all others."""
        del path, target
        return ModuleSpec(name, _LazyLoader()) if name == _LAZY else None


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
