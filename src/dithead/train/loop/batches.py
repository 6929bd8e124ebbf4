"""Makes batches ahead of the training loop in a thread, and measures where a training's seconds go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

Batch = dict[str, Tensor]
"""One update's tensors by name; all have the batch's rows first."""


@dataclass
class TrainingClock:
    """Seconds that a training spends on loading, waiting for the loader, updating and measuring held-out people."""

    loading: float = 0.0
    waiting: float = 0.0
    updating: float = 0.0
    measuring: float = 0.0
    batches: int = 0
    first_update: float = 0.0
    """Seconds of the first update, which is slower than all others."""

    def add_update(self, seconds: float) -> None:
        """Add the seconds of one update."""
        self.first_update = self.first_update or seconds
        self.updating += seconds

    def speed(self, rows: int) -> dict[str, float]:
        """Compute the speed of loader and updates for batches of ``rows`` rows.

        Returns:
            Rows per second that the loader could deliver by itself and that the updates take, the share of time spent
            waiting for the loader, and the seconds per step. The first update does not count where there are others.
        """
        rest = max(self.batches - 1, 1)
        updating = self.updating - self.first_update if self.batches > 1 else self.updating
        return {
            "loader_rows_per_second": rows * self.batches / max(self.loading, 1e-9),
            "step_rows_per_second": rows * rest / max(updating, 1e-9),
            "waiting_share": self.waiting / max(self.waiting + self.updating, 1e-9),
            "seconds_per_step": updating / rest + self.waiting / max(self.batches, 1),
        }


def prefetch(
    make: Callable[[int], Batch], first: int, last: int, depth: int = 2, clock: TrainingClock | None = None
) -> Iterator[Batch]:
    """Yield the batches of steps ``first`` to ``last - 1``, each made ahead of its use in a thread.

    Args:
        make: Makes the batch of a step; the result must depend on the step alone.
        first: The first step.
        last: The step after the last one.
        depth: How many batches are made ahead.
        clock: Receives the seconds spent on loading and waiting.
    """
    clock = clock or TrainingClock()

    def timed(step: int) -> Batch:
        start = time.perf_counter()
        batch = make(step)
        clock.loading += time.perf_counter() - start
        return batch

    with ThreadPoolExecutor(1) as pool:
        queue = [pool.submit(timed, step) for step in range(first, min(first + depth, last))]
        try:
            for step in range(first, last):
                start = time.perf_counter()
                batch = queue.pop(0).result()
                clock.waiting += time.perf_counter() - start
                clock.batches += 1
                if step + depth < last:
                    queue.append(pool.submit(timed, step + depth))
                yield batch
        finally:
            for job in queue:
                job.cancel()
