"""Leaves out and counts clips in damaged shards; too many of them stop the run."""

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
"""Share of the clips that may be lost to damaged shards. Our choice."""
_log = logging.getLogger(__name__)


class DamagedClips:
    """Counts the clips lost out of ``total``. Several threads may use it at once."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.shards: dict[str, int] = {}
        self._lock = Lock()

    def read(self, clip: Clip, load: Callable[[], Content]) -> Content | None:
        """Return ``load()``, or None for a clip in a damaged shard.

        Raises:
            DataError: More than ``TOLERATED`` of the clips are lost.
        """
        try:
            return load()
        except ShardError as error:
            self._count(clip.shard, str(error))
            return None

    def _count(self, shard: str, reason: str) -> None:
        with self._lock:
            if shard not in self.shards:
                _log.warning("left out: %s", reason)
            self.shards[shard] = self.shards.get(shard, 0) + 1
            lost = sum(self.shards.values())
        if lost > TOLERATED * self.total:
            raise DataError(
                f"{lost} of {self.total} clips are lost to damaged shards, more than {TOLERATED:.0%}: "
                f"{', '.join(sorted(self.shards))}; fetch or pack them again; the first error: {reason}"
            )
