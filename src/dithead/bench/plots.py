"""Draws the plots of ``bench`` as SVG, without a library: what threads and cores did when, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

_WIDTH, _LABEL, _LANE, _BAR = 900, 110, 22, 24  # pixels: of the plot, its labels, a lane and a bar
_COLOURS = (
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#86bcb6",
    "#d37295", "#a0cbe8", "#ffbe7d", "#8cd17d", "#b6992d", "#499894", "#fabfd2", "#d4a6c8", "#79706e", "#d7b5a6",
)  # fmt: skip


def stage_plot(title: str, timeline: Mapping[str, Any]) -> str:
    """Return a plot with a lane for each thread and each core, coloured by stage.

    Args:
        title: Name of the case.
        timeline: What ``measured_run.timeline`` returned.
    """
    lanes = {f"thread {k + 1}": lane for k, lane in enumerate(timeline["threads"].values())}
    lanes |= {f"core {name}": lane for name, lane in timeline["cores"].items()}
    names = sorted({what for lane in lanes.values() for what in lane if what})
    colours = {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(names)}
    body = [f"<text x='0' y='14' font-weight='bold'>{escape(title)}, {timeline['seconds']:.1f} s</text>"]
    top = 24
    for label, lane in lanes.items():
        body.append(f"<text x='0' y='{top + 15}'>{escape(label)}</text>" + _lane(lane, top, colours))
        top += _LANE + 4
    body += [_key(name, colour, k, top + 8) for k, (name, colour) in enumerate(colours.items())]
    height = top + 24 + 18 * -(-len(names) // 5)
    return _svg(title, height, body)


def bar_plot(title: str, values: Mapping[str, float]) -> str:
    """Return a plot with a bar for each value, all on one scale that begins at 0."""
    top, room = max([*values.values(), 1e-9]), _WIDTH - _LABEL - 60
    body = [f"<text x='0' y='14' font-weight='bold'>{escape(title)}</text>"]
    for k, (name, value) in enumerate(values.items()):
        y, length = 24 + k * (_BAR + 4), value / top * room
        body.append(
            f"<text x='0' y='{y + 16}'>{escape(name)}</text>"
            f"<rect x='{_LABEL}' y='{y}' width='{length:.1f}' height='{_BAR}' fill='{_COLOURS[0]}'/>"
            f"<text x='{_LABEL + length + 6:.1f}' y='{y + 16}'>{value:.1f}</text>"
        )
    return _svg(title, 30 + len(values) * (_BAR + 4), body)


def _lane(lane: Sequence[str | None], top: int, colours: Mapping[str, str]) -> str:
    """Rectangles of one lane; neighbouring parts of one stage become one."""
    scale, at, rectangles = (_WIDTH - _LABEL) / max(1, len(lane)), 0, []
    for what, group in groupby(lane):
        count = len(list(group))
        if what:
            rectangles.append(
                f"<rect x='{_LABEL + at * scale:.1f}' y='{top}' width='{count * scale:.1f}' height='{_LANE}' "
                f"fill='{colours[what]}'/>"
            )
        at += count
    return "".join(rectangles)


def _key(name: str, colour: str, k: int, top: int) -> str:
    x, y = k % 5 * (_WIDTH // 5), top + k // 5 * 18
    square = f"<rect x='{x}' y='{y}' width='12' height='12' fill='{colour}'/>"
    return f"{square}<text x='{x + 16}' y='{y + 11}'>{escape(name)}</text>"


def _svg(title: str, height: int, body: Sequence[str]) -> str:
    label = escape(title, quote=True)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' width='{_WIDTH}' height='{height}' "
        f"role='img' aria-label='{label}' font-family='sans-serif' font-size='12'>{''.join(body)}</svg>"
    )
