"""Looks into uploaded files in processes of their own, whose memory and time are bounded.

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
from dithead.serve.errors import busy, renamed
from dithead.serve.options import GIB, ServeOptions

T = TypeVar("T")
_MEMORY = 6 * GIB  # address space of a process; decoding 4K and finding faces takes about 2 (measured)
_LONGEST = 60.0  # seconds that one file may take (our choice)
_LONGEST_SEARCH = 300.0  # seconds that the search of a whole video for its watermark may take (our choice)
_MOST_ASKED, _MOST_SEARCHES = 16, 2
"""Requests that wait for a process or are answered by it, at most: each holds one of the 40 threads that all requests
share (our choice)."""


class Inspector:
    """Asks two processes, so that a search of minutes delays no upload."""

    def __init__(
        self, options: ServeOptions, longest: float = _LONGEST, longest_search: float = _LONGEST_SEARCH
    ) -> None:
        self.limits = (options.max_minutes * 60, options.max_megapixels * 1e6)
        self.longest, self.longest_search = longest, longest_search
        self._files, self._searches = _Process(_MOST_ASKED), _Process(_MOST_SEARCHES)

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
        found: list[str] = self._ask(statements, name, path, path, watermark, is_search=watermark)
        return found

    def close(self) -> None:
        """End the processes."""
        self._files.close()
        self._searches.close()

    def _ask(self, function: Callable[..., T], name: str, path: Path, *args: object, is_search: bool = False) -> T:
        process, longest = (self._searches, self.longest_search) if is_search else (self._files, self.longest)
        try:
            return process.ask(function, args, longest)
        except _TooMuch:
            line = f"takes more than {longest:g} s or too much memory to search; download it, and use: dithead verify"
            if not is_search:
                line = "takes too much time or memory to read; export it again as a plain MP4 or WAV"
            raise MediaError(f"{name}: {line}") from None
        except DitheadError as error:
            raise renamed(error, {path: name}) from None


class _TooMuch(Exception):  # noqa: N818  # it becomes an error that says of what
    """A file took too much time or memory."""


class _Process:
    """A process that does one thing after the other; it is started when it is needed, and anew when it has died."""

    def __init__(self, most: int) -> None:
        self._room = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def ask(self, function: Callable[..., T], args: tuple[object, ...], longest: float) -> T:
        """Call a function in the process.

        Raises:
            ApiError: Too many requests wait for it already.
            _TooMuch: The process died over it, or took longer than ``longest`` seconds.
        """
        if not self._room.acquire(blocking=False):
            raise busy("the server is looking into other files; try again in a moment")
        try:
            with self._lock:
                return self._answer(function, args, longest)
        finally:
            self._room.release()

    def close(self) -> None:
        """End the process, and with it what it does."""
        self._closed = True
        self._end()  # whoever holds the lock waits for it

    def _answer(self, function: Callable[..., T], args: tuple[object, ...], longest: float) -> T:
        if self._closed:
            raise busy("the server ends; try again in a moment")
        pool = self._pool = self._pool or _new_pool()
        future: Future[T] = pool.submit(function, *args)
        try:
            return future.result(longest)
        except (BrokenProcessPool, TimeoutError, MemoryError):
            self._end()
            raise _TooMuch from None

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
