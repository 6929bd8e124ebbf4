"""Writes the comparison of two reports as one HTML file: which is better, by how much, and whether it may be chance."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from dithead.errors import OutputError
from dithead.evaluate.compare import LEVEL, shown_interval, shown_p
from dithead.evaluate.metric_catalogue import GROUPS, Metric, MetricGroup, best_value
from dithead.evaluate.report_page import html_page
from dithead.evaluate.tables import format_number

_WIDTH = 220  # pixels of the drawing of an interval


def write_comparison(result: Mapping[str, Any], path: Path | str) -> Path:
    """Write what ``compare_reports`` returned as a page; return its path. Raises OutputError."""
    path = Path(path)
    first, second = (escape(result[side]["label"]) for side in ("first", "second"))
    wins = {side: sum(m["better"] == side for m in result["metrics"].values()) for side in ("first", "second")}
    body = (
        f"<h1>{first} <span class=dim>against</span> {second}</h1><p class=dim>{len(result['clips'])} clips that both "
        f"reports have. Difference: second minus first, with its 95 % bootstrap interval over clips. p: sign-flip "
        f"test; where it is below {LEVEL} the better one is marked, otherwise the difference may be chance (with five "
        f"clips or fewer it always may).</p>"
        f"<p><b>{first}</b> is better in {wins['first']}, <b>{second}</b> in {wins['second']} of "
        f"{len(result['metrics'])} metrics; so many are tested that a few are marked by chance alone.</p>"
        + "".join(_group_table(result, group) for group in GROUPS)
        + (f"<p>Not in both reports: {escape(', '.join(result['left_out']))}</p>" if result["left_out"] else "")
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html_page(f"{first} against {second}", body), "utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    return path


def _group_table(result: Mapping[str, Any], group: MetricGroup) -> str:
    lines = [_line(result["metrics"][m.name], m) for m in group.metrics if m.name in result["metrics"]]
    if not lines:
        return ""
    labels = (result["first"]["label"], result["second"]["label"])
    heads = "".join(f"<th>{escape(head)}</th>" for head in (group.title, *labels, "difference", "", "p", "clips"))
    return f"<div class=scroll><table class=versus><tr>{heads}</tr>{''.join(lines)}</table></div>"


def _line(entry: Mapping[str, Any], metric: Metric) -> str:
    decimals = metric.decimals
    cells = [
        f"<td{' class=better' if entry['better'] == side else ''}>{format_number(entry[side], decimals)}</td>"
        for side in ("first", "second")
    ]
    return (
        f"<tr><td title='{escape(metric.meaning)}'>{escape(metric.heading)}"
        f"<small>{_direction(metric.name)}</small></td>{''.join(cells)}"
        f"<td>{format_number(entry['difference'], decimals)}<small>{shown_interval(entry, decimals)}</small></td>"
        f"<td>{_interval(entry)}</td><td>{shown_p(entry)}</td><td>{entry['n']}</td></tr>"
    )


def _direction(name: str) -> str:
    best = best_value(name)
    return "larger is better" if best is None else f"best is {best:g}"


def _interval(entry: Mapping[str, Any]) -> str:
    """A drawing of the interval of the difference, on a line around zero that is scaled to it."""
    if entry["ci"] is None:
        return ""
    low, high = entry["ci"]
    reach = max(abs(low), abs(high), 1e-9) * 1.1

    def x(value: float) -> float:
        return _WIDTH / 2 * (1 + value / reach)

    kind = "made" if entry["better"] == "second" else "truth" if entry["better"] == "first" else "other"
    return (
        f"<svg class=strip style='width:{_WIDTH}px' viewBox='0 0 {_WIDTH} 18' role=img aria-label='interval'>"
        f"<line class=axis x1={_WIDTH / 2} x2={_WIDTH / 2} y1=0 y2=18 />"
        f"<rect class={kind} x={x(low):.1f} y=7 width={max(1.0, x(high) - x(low)):.1f} height=4 />"
        f"<circle class={kind} style='opacity:1' cx={x(entry['difference']):.1f} cy=9 r=5 /></svg>"
    )
