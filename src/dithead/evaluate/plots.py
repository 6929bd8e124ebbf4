"""Draws curves and strip plots as inline SVG, without a library or a script."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _EDGE = 360, 120, 6  # pixels of a curve plot, and its margin
_STRIP_WIDTH, _LABEL_WIDTH, _VALUE_WIDTH, _LINE_HEIGHT = 450, 168, 44, 22  # pixels of a strip plot
_LABEL_LENGTH = 28  # characters that fit into a label
_ROOM = 0.02  # share of a value by which an axis at least reaches beyond it
_MIN_TOP = 0.05  # eye distances; a curve plot shows at least this opening


def curve_plot(title: str, curves: Mapping[str, Sequence[float]], highest: float = 0.0) -> str:
    """Return a figure of the lip opening over frames.

    Args:
        title: Caption, without HTML.
        curves: CSS class -> opening (N,); gaps where it is NaN. All have one scale that begins at 0.
        highest: An opening that the scale has to reach, so that several plots have the same one.
    """
    values = [v for curve in curves.values() for v in curve if math.isfinite(v)]
    top, frames = axis_end(max([*values, highest, _MIN_TOP])), max([len(c) for c in curves.values()] + [2])
    lines = "".join(_polylines(name, curve, top, frames) for name, curve in curves.items())
    label = f"<text x=4 y=12>{top:.2g}</text><text x=4 y={_HEIGHT - 4}>0</text>"
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


def strip_plot(
    title: str, rows: Mapping[str, tuple[float, Sequence[float]]], best: float | None, coloured: Container[str]
) -> str:
    """Return a plot with a line for each row: its clips as dots, their mean as a bar and a number, all on one scale.

    Args:
        title: Description for screen readers, without HTML.
        rows: Label -> (mean, values of the clips).
        best: The best value, drawn as a line; None where there is none.
        coloured: Labels of the rows that are drawn in the colour of a model.
    """
    values = [v for mean, clips in rows.values() for v in (mean, *clips) if math.isfinite(v)]
    ends = [*values, *([] if best is None else [best]), 0.0]
    low = axis_end(min(ends)) if min(ends) < 0 else 0.0
    span = axis_end(max(ends)) - low
    left, right, step = _LABEL_WIDTH, _STRIP_WIDTH - _VALUE_WIDTH, _LINE_HEIGHT
    height = step * len(rows) + 18

    def x(value: float) -> float:
        return left + (value - low) / span * (right - left)

    body = [f"<line class=axis x1={x(v):.1f} x2={x(v):.1f} y1=0 y2={height - 16} />" for v in {0.0, best or 0.0}]
    for i, (label, (mean, clips)) in enumerate(rows.items()):
        y, kind = step * i + 11, "made" if label in coloured else "other"
        body.append(f"<text x=0 y={y + 4}><title>{escape(label)}</title>{escape(_short(label))}</text>")
        body += [f"<circle class={kind} cx={x(v):.1f} cy={y} r=3 />" for v in clips if math.isfinite(v)]
        if math.isfinite(mean):
            body.append(f"<rect class={kind} x={x(mean) - 1.5:.1f} y={y - 8} width=3 height=16 />")
            body.append(f"<text class='end value' x={_STRIP_WIDTH} y={y + 4}>{mean:.2f}</text>")
    edges = ((left, low, "start"), (right, low + span, "end"))
    scale = "".join(f"<text x={at} y={height - 3} class={side}>{value:.2g}</text>" for at, value, side in edges)
    aria = escape(title, quote=True)
    box = f"0 0 {_STRIP_WIDTH} {height}"
    return f"<svg class=strip viewBox='{box}' role=img aria-label='{aria}'>{''.join(body)}{scale}</svg>"


def axis_end(value: float) -> float:
    """Return a round number at which an axis ends that has to show ``value``: beyond it, and never the value itself."""
    if value == 0 or not math.isfinite(value):
        return 1.0
    wanted = abs(value) * (1 + _ROOM)
    step = 10.0 ** math.floor(math.log10(wanted)) / 2
    return math.copysign(step * math.ceil(wanted / step - 1e-9), value)


def _short(label: str, most: int = _LABEL_LENGTH) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"
