"""Clips that cannot be read: left out, counted, told; too many of them stop the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from dithead.errors import DataError
from dithead.prepare.dataset import Clip
from dithead.prepare.shards import ShardError

Content = TypeVar("Content")
TOLERATED = 0.01
"""Share of the clips that may be lost to damaged shards."""
_log = logging.getLogger(__name__)


class Damaged:
    """Counts what is lost of ``total`` clips. Safe among threads."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.shards: dict[str, int] = {}
        self._lock = Lock()

    def read(self, clip: Clip, load: Callable[[], Content]) -> Content | None:
        """``load()``, or None for a clip in a damaged shard. Raises DataError when too many are lost."""
        try:
            return load()
        except ShardError as error:
            self._note(clip.shard, str(error))
            return None

    def _note(self, shard: str, why: str) -> None:
        with self._lock:
            if shard not in self.shards:
                _log.warning("left out: %s", why)
            self.shards[shard] = self.shards.get(shard, 0) + 1
            lost = sum(self.shards.values())
        if lost > TOLERATED * self.total:
            raise DataError(
                f"{lost} of {self.total} clips are lost to damaged shards, more than {TOLERATED:.0%}: "
                f"{', '.join(sorted(self.shards))}; the first: {why}"
            )
