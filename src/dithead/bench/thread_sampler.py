"""Watches all threads of the process, those of native libraries too: how much they compute, and on which core."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

_TASKS = Path("/proc/self/task")
_PROCESSOR = 36  # place of the core in /proc/self/task/*/stat, counted after the name
_PERIOD = 0.04  # seconds between two looks


class ThreadSample(NamedTuple):
    """What one thread has done up to some moment."""

    time: float  # seconds of ``time.perf_counter``
    cpu: float  # seconds of processor time since the thread began
    core: int


class ThreadSampler:
    """Samples the threads of this process while its block runs; sees nothing where there is no ``/proc``."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.samples: dict[int, list[ThreadSample]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def own_cpu(self) -> float:
        """Return the seconds of processor time that the sampling itself took."""
        return self._last(self._thread.native_id or 0)

    def cpu_by_name(self, without: set[int]) -> dict[str, float]:
        """Return seconds of processor time by thread name, of all threads but some."""
        total: dict[str, float] = {}
        for thread in self.samples.keys() - without - {self._thread.native_id}:
            name = self.names[thread]
            total[name] = total.get(name, 0.0) + self._last(thread)
        return total

    def _last(self, thread: int) -> float:
        found = self.samples.get(thread)
        return found[-1].cpu if found else 0.0

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD) and _TASKS.is_dir():
            self._look()
        if _TASKS.is_dir():
            self._look()

    def _look(self) -> None:
        now = time.perf_counter()
        for folder in _TASKS.iterdir():
            try:
                name, _, rest = (folder / "stat").read_text("ascii", "replace").rpartition(")")
                cpu = int((folder / "schedstat").read_text("ascii").split()[0]) / 1e9
            except (OSError, ValueError):  # the thread has ended meanwhile
                continue
            thread = int(folder.name)
            self.names[thread] = name.partition("(")[2]
            self.samples.setdefault(thread, []).append(ThreadSample(now, cpu, int(rest.split()[_PROCESSOR])))
