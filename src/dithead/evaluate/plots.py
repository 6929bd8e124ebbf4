"""Curves as inline SVG: no script, no library, sharp at any size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _EDGE = 360, 120, 6


def curve_plot(title: str, curves: Mapping[str, Sequence[float]]) -> str:
    """A figure of aperture over frames. ``curves``: CSS class -> (N,), gaps where NaN; one scale from 0."""
    values = [v for curve in curves.values() for v in curve if math.isfinite(v)]
    top, frames = max([*values, 0.05]), max([len(c) for c in curves.values()] + [2])
    lines = "".join(_polylines(name, curve, top, frames) for name, curve in curves.items())
    label = f"<text x=4 y=12>{top:.2f}</text><text x=4 y={_HEIGHT - 4}>0</text>"
    return (
        f"<figure><svg width={_WIDTH} height={_HEIGHT} role=img aria-label='{escape(title, quote=True)}'>"
        f"{label}{lines}</svg><figcaption>{escape(title)}, {frames} frames</figcaption></figure>"
    )


def _polylines(name: str, curve: Sequence[float], top: float, frames: int) -> str:
    runs: list[list[str]] = [[]]
    for i, value in enumerate(curve):
        if math.isfinite(value):
            x = _EDGE + i / (frames - 1) * (_WIDTH - 2 * _EDGE)
            y = _HEIGHT - _EDGE - value / top * (_HEIGHT - 2 * _EDGE)
            runs[-1].append(f"{x:.1f},{y:.1f}")
        elif runs[-1]:
            runs.append([])
    return "".join(f"<polyline class={name} points='{' '.join(run)}'/>" for run in runs if run)
