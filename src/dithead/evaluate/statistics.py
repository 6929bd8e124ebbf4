"""Computes means over clips with bootstrap intervals; clips whose measurement failed are counted and left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

RESAMPLES = 2000
"""Bootstrap samples (our choice)."""
LEVEL = 0.95
"""Confidence level of the bootstrap intervals (our choice)."""


class Summary(TypedDict):
    """One metric over clips: ``n`` of them were measured, ``failed`` were not and do not count in the mean."""

    mean: float | None
    ci: list[float] | None  # 95 % bootstrap interval of the mean; None below two clips
    n: int
    failed: int
    min: float | None
    max: float | None


def summarise(clips: Mapping[str, Mapping[str, float]]) -> dict[str, Summary]:
    """Summarise every metric of a table ``clips[clip][metric]``; NaN and absent values count as failed."""
    names = sorted({name for measures in clips.values() for name in measures})
    return {name: _summary([clip.get(name, float("nan")) for clip in clips.values()]) for name in names}


def bootstrap(values: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of ``values`` (n,), resampling clips with a fixed seed."""
    picks = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    edge = (1 - LEVEL) / 2
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
