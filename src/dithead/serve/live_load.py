"""Tells whether the machine has room for one more conversation: by its processor, and by the frames left out."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from dithead.inference.live_conversation import LiveCounts

_WINDOW = 4.0  # seconds that are looked back (our choice)
_FULL = 0.85  # share of all cores at which the machine counts as busy (our choice)
_MISSED = 0.1  # share of frames left out at which it does (our choice)


class LiveLoad:
    """Watches all conversations of this process."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, work: Callable[[], float] = time.process_time
    ) -> None:
        """Begin; ``clock`` and ``work`` give seconds, and seconds of processor time."""
        self._clock, self._work = clock, work
        self._counts: dict[int, LiveCounts] = {}
        self._marks: deque[tuple[float, float, int, int]] = deque()
        self._lock = threading.Lock()

    def add(self, number: int, counts: LiveCounts) -> None:
        """Watch a conversation."""
        with self._lock:
            self._counts[number] = counts

    def remove(self, number: int) -> None:
        """Forget a conversation."""
        with self._lock:
            self._counts.pop(number, None)
            self._marks.clear()

    def look(self) -> None:
        """Note how things stand; call it about once a second."""
        with self._lock:
            counts = self._counts.values()
            shown, skipped = sum(each.drawn + each.kept for each in counts), sum(each.skipped for each in counts)
            self._marks.append((self._clock(), self._work(), shown, skipped))
            while len(self._marks) > 2 and self._marks[-1][0] - self._marks[1][0] >= _WINDOW:
                self._marks.popleft()

    def busy(self) -> str:
        """Return why there is no room for one more, or nothing; there always is for the first."""
        with self._lock:
            if not self._counts or len(self._marks) < 2:
                return ""
            seconds, work, shown, skipped = (b - a for a, b in zip(self._marks[0], self._marks[-1], strict=True))
            number = len(self._counts)
        if seconds < 1:
            return ""
        if work / seconds > _FULL * cores():
            return f"{number} live now, and all {cores()} cores are busy"
        if skipped > _MISSED * max(1, shown + skipped):
            return f"{number} live now, and drawing falls behind already"
        return ""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
