"""Writes comparisons as one HTML file: which one is better, by how much, and whether it may be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dithead import __version__
from dithead.errors import OutputError
from dithead.evaluate.compare import describe_comparison, shown_interval, shown_p
from dithead.evaluate.metric_catalogue import GROUPS, METRICS, Metric, MetricGroup, best_words
from dithead.evaluate.report_page import html_page
from dithead.evaluate.tables import format_number

_WIDTH = 220  # pixels of the drawing of an interval


def write_comparisons(comparisons: Sequence[Mapping[str, Any]], path: Path | str) -> Path:
    """Write what ``compare_reports`` returned as a page; return its path. Raises OutputError."""
    path = Path(path)
    metrics = [metric for metric in METRICS if any(metric.name in result["metrics"] for result in comparisons)]
    meanings = "".join(f"<dt id={m.name}>{escape(m.heading)}</dt><dd>{escape(m.meaning)}</dd>" for m in metrics)
    body = (
        "".join(_comparison(result) for result in comparisons)
        + f"<h2>What the lines mean</h2><dl class=two>{meanings}</dl>"
        + f"<p class=dim>Made with dithead {__version__}.</p>"
    )
    title = escape("; ".join(_title(result) for result in comparisons))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html_page(title, body), "utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    return path


def _title(result: Mapping[str, Any]) -> str:
    return f"{result['second']['label']} against {result['first']['label']}"


def _comparison(result: Mapping[str, Any]) -> str:
    reports = " and ".join(dict.fromkeys(result[side]["report"] for side in ("first", "second")))
    left_out = "".join(f"<li>{escape(clip)} ({escape(why)})</li>" for clip, why in result["left_out"].items())
    return (
        f"<h1>{escape(_title(result))}</h1><p class=dim>Reports: {escape(reports)}</p>"
        f"<p>{escape(describe_comparison(result))}</p>"
        + "".join(_group_table(result, group) for group in GROUPS)
        + (f"<p>Left out:</p><ul>{left_out}</ul>" if left_out else "")
    )


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
        f"<tr><td title='{escape(metric.meaning)}'><a href='#{metric.name}'>{escape(metric.heading)}</a>"
        f"<small>best: {best_words(metric.name)}</small></td>{''.join(cells)}"
        f"<td>{format_number(entry['difference'], decimals)}<small>{shown_interval(entry, decimals)}</small></td>"
        f"<td>{_interval(entry)}</td><td>{shown_p(entry)}</td><td>{entry['n']}</td></tr>"
    )


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
