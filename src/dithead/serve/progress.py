"""Writes how far a job is to a small file beside its video, with an estimate of the time left.

A file instead of rows: progress changes many times a second, and a database need not remember it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from dithead.serve.storage import write_json

EVERY = 0.4  # seconds between two writes (our choice)
WEIGHTS = {"finding the face": 0.35, "drawing mouths": 0.65}
"""Share of the whole work that each stage takes, measured on a 25 fps clip of 512x512 with the shipped model."""


class ProgressFile:
    """Takes the progress of ``dithead.generate`` and writes it at most every ``EVERY`` seconds."""

    def __init__(self, path: Path, check: Callable[[Path], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            path: The file.
            check: Called with the file's folder as often as it is written; may raise to stop the job.
            clock: Seconds, for tests.
        """
        self.path, self.check, self.clock = path, check, clock
        self.began, self.written, self.stage, self.before = clock(), -EVERY, "", 0.0
        self.first = 0.0  # share of the work that was done when this attempt began

    def report(self, what: str, done: int, total: int | None) -> None:
        """See ``dithead.options.Progress``."""
        now = self.clock()
        if what == self.stage and now - self.written < EVERY and done != total:
            return
        if what != self.stage:
            self._begin_stage(what, done, total, now)
        self.written = now
        self.check(self.path.parent)
        fraction = self._fraction(done, total)
        left = self._left(fraction, now)
        write_json(
            self.path,
            {"stage": what, "done": done, "total": total, "fraction": round(fraction, 4), "seconds_left": left},
        )

    def _begin_stage(self, what: str, done: int, total: int | None, now: float) -> None:
        names = list(WEIGHTS)
        self.stage = what
        earlier = names[: names.index(what)] if what in names else []
        self.before = sum(WEIGHTS[name] for name in earlier)
        if self.written < 0 or not earlier:
            self.first, self.began = self._fraction(done - 1, total), now

    def _fraction(self, done: int, total: int | None) -> float:
        share = min(1.0, max(0.0, done / total)) if total else 0.0
        return min(1.0, self.before + WEIGHTS.get(self.stage, 0.0) * share)

    def _left(self, fraction: float, now: float) -> float | None:
        """Seconds left at the pace so far; None until there is a pace."""
        gained, passed = fraction - self.first, now - self.began
        return round((1 - fraction) * passed / gained, 1) if gained > 0.01 and passed > 0.5 else None
