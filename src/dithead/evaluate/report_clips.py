"""Writes the part of a report's page that shows each clip: its numbers, curves of the lips, stills and short videos."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dithead.evaluate.metric_catalogue import METRICS
from dithead.evaluate.plots import curve_plot
from dithead.evaluate.report import DRIVEN_BY, ClipRecord, with_advice
from dithead.evaluate.report_tables import tool_rows
from dithead.evaluate.tables import format_number

_FACTS = (
    "lip_correlation", "lip_lag", "lip_gain", "sync_confidence", "cross_driver_correlation", "silent_aperture_ratio",
    "sharpness", "psnr",
)  # fmt: skip
"""Metrics in the lines above a clip's plots."""
_ORDERED_BY = ("lip_correlation", "cross_driver_correlation")
"""Metrics by which clips are ordered: the first that was measured."""


def clip_sections(output: Path, report: Mapping[str, Any], records: Sequence[ClipRecord]) -> Iterator[str]:
    """Yield the HTML of all clips, the worst of the headline's first.

    Args:
        output: Folder of the report, from which stills and clips are read.
        report: What ``build_report`` returned.
        records: The records that it was built from.
    """
    by = next((name for name in _ORDERED_BY if name in report["metrics"]), "")
    headings = {metric.name: metric.heading for metric in METRICS}
    order = f", by the {headings[by]} of {escape(_label(report, report['headline']))}, the lowest first" if by else ""
    yield f"<h2>Clips{order}</h2>{_LEGEND}"
    for record in sorted(records, key=lambda each: _rank(report["clips"].get(each.clip, {}).get(by))):
        yield _section(output, report, record)


_LEGEND = (
    "<p class=key>lip opening, in distances between the outer eye corners, over time:"
    "<b style='background:var(--truth)'></b>truth<b style='background:var(--made)'></b>output"
    "<b style='border-top:2px dashed var(--dim);height:0'></b>source, where its speech does not drive</p>"
)


def _rank(value: float | None) -> float:
    """The value by which a clip is ordered; a failed one comes first."""
    return -math.inf if value is None or not math.isfinite(value) else float(value)


def _section(output: Path, report: Mapping[str, Any], record: ClipRecord) -> str:
    reasons: dict[str, list[str]] = {}
    for row, reason in record.errors.items():
        reasons.setdefault(reason, []).append(_label(report, row) if row in report["rows"] else row)
    told = (f"{', '.join(rows)}: {with_advice(reason)}" for reason, rows in reasons.items())
    failed = "".join(f"<p class=failed>{escape(line)}</p>" for line in told)
    return (
        f"<section class=clip><h3>{escape(record.clip)}</h3>{_facts(report, record.clip)}{failed}"
        f"<div class=plots>{_plots(report, record)}</div>{_still(output, record.clip)}"
        f"<div class=plots>{_videos(output, report, record.clip)}</div></section>"
    )


def _facts(report: Mapping[str, Any], clip: str) -> str:
    """A line of numbers for each model or tool."""
    lines, tools = [], tool_rows(report)
    for row in tools:
        measures = report["rows"][row]["clips"].get(clip, {})
        facts = " · ".join(
            f"{metric.heading} <b>{format_number(measures[metric.name], metric.decimals)}</b>"
            for metric in METRICS
            if metric.name in _FACTS and metric.name in measures
        )
        name = f"{escape(_label(report, row))}: " if len(tools) > 1 else ""
        lines += [f"<p class=dim>{name}{facts}</p>"] if facts else []
    return "".join(lines)


def _plots(report: Mapping[str, Any], record: ClipRecord) -> str:
    """The curves of every model or tool, by protocol, all on one scale."""
    curves, tools = record.curves, tool_rows(report)
    source = curves.get("source", [])
    highest = max((value for curve in curves.values() for value in curve if math.isfinite(value)), default=0.0)
    wanted = (
        ("self", {"truth": source}),
        ("cross", {"truth": curves.get("driver", []), "other": source}),
        ("silent", {"other": source}),
        ("portrait", {"truth": source}),
        ("hidden", {"truth": source}),
    )
    return "".join(
        curve_plot(_driven(report, protocol, row, tools), lines | {"made": curves[f"{row}/{protocol}"]}, highest)
        for protocol, lines in wanted
        for row in tools
        if f"{row}/{protocol}" in curves
    )


def _driven(report: Mapping[str, Any], protocol: str, row: str, tools: Sequence[str]) -> str:
    name = f"{_label(report, row)}, " if len(tools) > 1 else ""
    return f"{name}driven by {DRIVEN_BY[protocol]}"


def _still(output: Path, clip: str) -> str:
    path = output / "stills" / f"{clip}.jpg"
    if not path.exists():
        return ""
    return f"<div class='scroll sheet'><img alt='stills of {escape(clip)}' src='{_inline(path, 'image/jpeg')}'></div>"


def _videos(output: Path, report: Mapping[str, Any], clip: str) -> str:
    found = [(p, output / "previews" / f"{clip}_{p}.mp4") for p in ("self", "cross", "portrait", "hidden")]
    return "".join(
        f"<figure><video controls loop preload=metadata{_poster(path)} src='{_inline(path, 'video/mp4')}'></video>"
        f"<figcaption>{escape(_beside(report, clip))}; driven by {DRIVEN_BY[protocol]}</figcaption></figure>"
        for protocol, path in found
        if path.exists()
    )


def _beside(report: Mapping[str, Any], clip: str) -> str:
    """What a preview shows side by side, from left to right."""
    if "generated" not in report["settings"]:
        return "source | output"
    made = [row for row in tool_rows(report) if clip not in report["rows"][row]["errors"]]
    first = "source" if report["settings"].get("drivers") else "true video"
    return " | ".join([first, *(_label(report, row) for row in made)])


def _poster(video: Path) -> str:
    path = video.with_suffix(".jpg")
    return f" poster='{_inline(path, 'image/jpeg')}'" if path.exists() else ""


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _label(report: Mapping[str, Any], row: str) -> str:
    return str(report["rows"][row]["label"])
