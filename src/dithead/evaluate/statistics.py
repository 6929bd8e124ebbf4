"""Means over clips with honest edges: bootstrap intervals, and the failures counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

RESAMPLES = 2000
_LEVEL = 0.95


class Summary(TypedDict):
    """One metric over the clips of a row. ``n`` were measured; the ``failed`` lend the mean nothing."""

    mean: float | None
    ci: list[float] | None  # 95 % bootstrap interval of the mean; None below two clips
    n: int
    failed: int
    min: float | None
    max: float | None


def summarise(clips: Mapping[str, Mapping[str, float]]) -> dict[str, Summary]:
    """Every metric of a table ``clips[clip][metric]``; NaN and absent numbers count as failed."""
    names = sorted({name for measures in clips.values() for name in measures})
    return {name: _summary([clip.get(name, float("nan")) for clip in clips.values()]) for name in names}


def bootstrap(values: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of ``values`` (n,), by resampling clips; repeatable."""
    picks = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    edge = (1 - _LEVEL) / 2
    low, high = np.quantile(values[picks].mean(axis=1), [edge, 1 - edge])
    return float(low), float(high)


def _summary(numbers: list[float]) -> Summary:
    values = np.array(numbers, np.float64)
    values = values[np.isfinite(values)]
    n = len(values)
    return Summary(
        mean=float(values.mean()) if n else None,
        ci=list(bootstrap(values)) if n > 1 else None,
        n=n,
        failed=len(numbers) - n,
        min=float(values.min()) if n else None,
        max=float(values.max()) if n else None,
    )
