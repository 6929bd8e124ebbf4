"""Looks into uploaded files in a process of its own, whose memory and time are bounded.

A file that crashes its decoder, or unpacks to more than memory holds, costs that process only, and is refused.
"""

from __future__ import annotations

import multiprocessing
import resource
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from dithead.errors import DitheadError, MediaError
from dithead.serve.content_check import Face, Media, find_faces, inspect_file
from dithead.serve.credentials import statements
from dithead.serve.errors import public_line
from dithead.serve.options import GIB, ServeOptions

T = TypeVar("T")
_MEMORY = 6 * GIB  # address space of the process; decoding 4K and finding faces takes about 2 (measured)
_LONGEST = 60.0  # seconds that one file may take (our choice)


class Inspector:
    """Asks the process, starts it when it is needed, and starts another one when it has died."""

    def __init__(self, options: ServeOptions, longest: float = _LONGEST) -> None:
        self.limits = (options.max_minutes * 60, options.max_megapixels * 1e6)
        self.longest = longest
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def inspect(self, path: Path, name: str) -> Media:
        """Find out what a file holds.

        Args:
            path: The file.
            name: What the client calls it, for the error.

        Raises:
            MediaError: It is no video, picture or sound that can be read.
            ConfigError: It is longer or larger than the server takes.
        """
        media: Media = self._ask(inspect_file, name, path, path, *self.limits)
        return media

    def faces(self, path: Path, name: str, folder: Path) -> list[Face]:
        """Find the faces of each shot, and write a thumbnail of each to a folder.

        Raises:
            FaceError: There is no face.
        """
        found: list[Face] = self._ask(find_faces, name, path, path, folder)
        return found

    def statements(self, path: Path, name: str, *, watermark: bool) -> list[str]:
        """Read what a finished video says about its own making; see ``credentials.statements``."""
        found: list[str] = self._ask(statements, name, path, path, watermark)
        return found

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, function: Callable[..., T], name: str, path: Path, *args: object) -> T:
        unreadable = MediaError(f"{name}: takes too much time or memory to read; export it again as a plain MP4 or WAV")
        with self._lock:
            pool = self._pool = self._pool or _new_pool()
            future: Future[T] = pool.submit(function, *args)
            try:
                return future.result(self.longest)
            except (BrokenProcessPool, TimeoutError, MemoryError):
                self._end()
                raise unreadable from None
            except DitheadError as error:
                raise type(error)(public_line(error, {path: name})) from None

    def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):  # there is no public way
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)


def _new_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_bound_memory)


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no copy of anybody's face on the disk
