"""Schedules when a training saves, logs and measures, and its learning rate at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

FINAL_SHARE = 0.02
"""Of the peak learning rate, at the end of the training. Our choice."""


@dataclass(frozen=True)
class Schedule:
    """How many steps a training has, and after how many it saves, logs and measures held-out people."""

    steps: int
    save_every: int = 500
    log_every: int = 20
    measure_every: int = 500

    def due(self, every: int, done: int) -> bool:
        """Return True when something that happens every ``every`` steps is due after ``done`` steps, or at the end."""
        return done % every == 0 or done == self.steps


def learning_rate(step: int, steps: int, peak: float, warmup: int, decay: float) -> float:
    """Compute the learning rate: a linear warm-up, a constant, then a cosine down to ``FINAL_SHARE`` of the peak.

    Args:
        step: The present step, from 0.
        steps: Steps of the whole training.
        peak: The highest learning rate.
        warmup: Steps of the warm-up.
        decay: Share of the steps, at the end, over which the rate falls.
    """
    start = steps * (1 - decay)
    if step < warmup:
        return peak * (step + 1) / warmup
    if step < start:
        return peak
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - start) / max(1.0, steps - start))))
    return peak * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)
