"""Writes a report as one self-contained HTML file: tables, curves, stills and short clips."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from dithead.evaluate.baselines import AS_DRAWN, COPY, FROZEN, TRUTH
from dithead.evaluate.metric_catalogue import METRICS, Metric, MetricGroup, best_words
from dithead.evaluate.plots import strip_plot
from dithead.evaluate.report import ClipRecord, list_failures, list_unmeasured
from dithead.evaluate.report_clips import clip_sections
from dithead.evaluate.report_tables import (
    clips_made,
    compared_clips,
    compared_metrics,
    describe_coverage,
    report_facts,
    report_title,
    shown_groups,
    tool_rows,
)
from dithead.evaluate.tables import format_number
from dithead.glossary import EVALUATION, entries


@dataclass(frozen=True)
class _Card:
    """A metric at the top of the page: its title, what a reader should know, and the best value, drawn as a line."""

    name: str
    title: str
    meaning: str
    best: float | None


_CARDS = (
    _Card("lip_correlation", "Lips follow the speech", "correlation with the true lips; best is 1", 1.0),
    _Card("sync_confidence", "Picture fits the sound", "confidence of the sync expert; larger is better", None),
    _Card("cross_driver_correlation", "Lips follow another clip's speech", "correlation with its lips; best is 1", 1.0),
    _Card("cross_sync_confidence", "Picture fits another clip's sound",
          "confidence of the sync expert; larger is better", None),
    _Card("cross_source_partial", "Source's lips show through", "partial correlation, other speech; best is 0", 0.0),
    _Card("silent_aperture_ratio", "Lips move in silence", "relative to the speaking source; best is 0", 0.0),
    _Card("sharpness", "Sharpness of the mouth", "relative to the source; best is 1", 1.0),
)  # fmt: skip

_TERMS = {TRUTH: "truth", COPY: "copied input", FROZEN: "frozen mouth", AS_DRAWN: "as drawn"}
"""Row -> its term in the words at the end of the page."""


def report_page(output: Path, report: Mapping[str, Any], records: Sequence[ClipRecord]) -> str:
    """Return the whole page.

    Args:
        output: Folder of the report, from which stills and clips are read.
        report: What ``build_report`` returned.
        records: The records that it was built from.
    """
    title, groups = escape(report_title(report)), shown_groups(report)
    metrics = [metric for group in groups for metric in group.metrics]
    body = [
        f"<h1>{title}</h1>{_facts(report)}",
        _cards(report),
        _failures(report),
        f"<h2>Means over clips</h2><p class=dim>{escape(describe_coverage(report))} Below a mean stands its 95 % "
        "<a href='#confidence-interval'>confidence interval</a> (bootstrap over clips). Headings lead to what a column "
        "means, names of rows to the <a href='#words'>words</a> of this page.</p>",
        *(_group_table(report, group) for group in groups),
        *clip_sections(output, report, records),
        "<h2>Clip by clip</h2>",
        *(_clips_table(report["rows"][row], metrics) for row in tool_rows(report)),
        "<h2>What the columns mean</h2>",
        _definitions({metric.heading: metric.meaning for metric in metrics}, [metric.name for metric in metrics]),
        "<h2 id=words>Words</h2>" + _definitions(entries(EVALUATION), [_anchor(term) for term in EVALUATION]),
        "<h2>Not measured</h2>" + (_missing(report["missing"]) if report["missing"] else "<p>Nothing.</p>"),
    ]
    return html_page(title, "".join(body))


def html_page(title: str, body: str) -> str:
    """Return a self-contained page; ``title`` and ``body`` are HTML already."""
    style = files("dithead.evaluate").joinpath("report.css").read_text("utf-8")
    head = f'<meta charset=utf-8><meta name=viewport content="width=device-width"><title>{title}</title>'
    return f"<!doctype html><html lang=en><head>{head}<style>{style}</style></head><body>{body}</body></html>\n"


def _facts(report: Mapping[str, Any]) -> str:
    """What was measured on what, by which version, and with which command."""
    facts = report_facts(report)
    command = facts.pop("command", "")
    line = " · ".join(f"{escape(name)} <b>{escape(fact)}</b>" for name, fact in facts.items())
    return f"<p class=dim>{line}</p>" + (f"<pre>{escape(command)}</pre>" if command else "")


def _cards(report: Mapping[str, Any]) -> str:
    """The metrics at the top, each with all rows and clips on one scale."""
    cards, tools = [], tool_rows(report)
    for card in _CARDS:
        if all(report["rows"][row]["metrics"].get(card.name, {}).get("mean") is None for row in tools):
            continue
        order = [*(row for row in report["rows"] if row not in tools), *tools]
        rows = {_label(report, row): _values(report, row, card.name) for row in order if _has(report, row, card.name)}
        plot = strip_plot(card.title, rows, card.best, coloured=[_label(report, row) for row in tools])
        caption = f"<figcaption><b>{card.title}</b><small>{card.meaning}</small></figcaption>"
        cards.append(f"<figure class=card>{caption}{plot}</figure>")
    note = "<p class=dim>Every dot is a clip; the bar and the number are their mean, over the same clips.</p>"
    return f"<div class=cards>{''.join(cards)}</div>{note}"


def _label(report: Mapping[str, Any], row: str) -> str:
    return str(report["rows"][row]["label"])


def _has(report: Mapping[str, Any], row: str, name: str) -> bool:
    return name in report["rows"][row]["metrics"]


def _values(report: Mapping[str, Any], row: str, name: str) -> tuple[float, list[float]]:
    """A metric's mean over the clips that are compared, and its value for each of them."""
    clips, summary = report["rows"][row]["clips"], compared_metrics(report, row).get(name)
    values = [clips[clip].get(name) for clip in compared_clips(report, row)]
    mean = None if summary is None else summary["mean"]
    return math.nan if mean is None else mean, [v for v in values if v is not None]


def _group_table(report: Mapping[str, Any], group: MetricGroup) -> str:
    lines, tools = [], tool_rows(report)
    for name in report["rows"]:
        metrics = compared_metrics(report, name)
        cells = "".join(f"<td>{_summary(metrics.get(m.name), m.decimals)}</td>" for m in group.metrics)
        mark = " class=ours" if name in tools else ""
        lines.append(f"<tr{mark}><td>{_row_name(report, name)}</td><td>{clips_made(report, name)}</td>{cells}</tr>")
    table = _table(["", "clips made"], group.columns, lines)
    return f"<section><h3>{group.title}</h3><p class=dim>{group.question}</p>{table}</section>"


def _row_name(report: Mapping[str, Any], row: str) -> str:
    label, term = escape(_label(report, row)), _TERMS.get(row.rpartition("/")[2])
    return label if term is None else f"<a href='#{_anchor(term)}'>{label}</a>"


def _clips_table(row: Mapping[str, Any], metrics: Sequence[Metric]) -> str:
    shown = [metric for metric in metrics if metric.name in row["metrics"]]
    lines = []
    for clip, measures in row["clips"].items():
        cells = "".join(f"<td>{format_number(measures.get(m.name), m.decimals)}</td>" for m in shown)
        lines.append(f"<tr><td>{escape(clip)}</td>{cells}</tr>")
    return f"<h3>{escape(row['label'])}</h3>" + _table(["clip"], shown, lines)


def _table(first: Sequence[str], metrics: Iterable[Metric], lines: list[str]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in first) + "".join(
        f"<th title='{escape(m.meaning)}'><a href='#{m.name}'>{escape(m.heading)}</a><small>{_best(m)}</small></th>"
        for m in metrics
    )
    return f"<div class=scroll><table><tr>{heads}</tr>{''.join(lines)}</table></div>"


def _best(metric: Metric) -> str:
    best = best_words(metric.name)
    return "" if best == "–" else f"best: {best}"


def _summary(summary: Mapping[str, Any] | None, decimals: int) -> str:
    if summary is None:
        return "–"
    text = format_number(summary["mean"], decimals)
    if summary["ci"] is not None:
        low, high = (format_number(edge, decimals) for edge in summary["ci"])
        text += f"<small>{low} … {high}</small>"
    if summary["failed"]:
        text += f"<small class=failed>{summary['failed']} failed</small>"
    return text


def _failures(report: Mapping[str, Any]) -> str:
    failed = _listed("<h2 class=failed>Failed</h2>", list_failures(report))
    unmeasured = _listed("<h2 class=failed>Without a value</h2>", list_unmeasured(report))
    fine = "" if failed or unmeasured else "<p>No clip failed.</p>"
    return failed + unmeasured + fine + _listed("<h2>Notes</h2>", report.get("notes", []))


def _listed(heading: str, items: Sequence[str]) -> str:
    return f"{heading}<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def _missing(reasons: Mapping[str, str]) -> str:
    """Metrics that were not measured, those with the same reason together."""
    names: dict[str, list[str]] = {}
    headings = {metric.name: metric.heading for metric in METRICS}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(headings.get(name, name))
    return _definitions({", ".join(group): reason for reason, group in names.items()})


def _definitions(meanings: Mapping[str, str], anchors: Sequence[str] = ()) -> str:
    ids = [f" id={anchor}" for anchor in anchors] or [""] * len(meanings)
    pairs = zip(ids, meanings.items(), strict=True)
    lines = "".join(f"<dt{place}>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for place, (term, meaning) in pairs)
    return f"<dl class=two>{lines}</dl>"


def _anchor(term: str) -> str:
    return term.replace(" ", "-")
