"""Writes a report as one self-contained HTML file: tables, curves, stills and short clips."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from dithead.evaluate.metric_catalogue import METRICS, Metric, MetricGroup
from dithead.evaluate.plots import curve_plot, strip_plot
from dithead.evaluate.report import DRIVEN_BY, ClipRecord, list_failures, list_unmeasured, shown_groups
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
    _Card("cross_source_partial", "Source's lips show through", "partial correlation, other speech; best is 0", 0.0),
    _Card("silent_aperture_ratio", "Lips move in silence", "relative to the speaking source; best is 0", 0.0),
    _Card("sharpness", "Sharpness of the mouth", "relative to the source; best is 1", 1.0),
)

_CLIP_FACTS = (
    "lip_correlation", "lip_lag", "lip_gain", "sync_confidence", "cross_driver_correlation", "silent_aperture_ratio",
    "sharpness", "psnr",
)  # fmt: skip
"""Metrics in the line above a clip's plots."""


def report_page(output: Path, report: Mapping[str, Any], records: Sequence[ClipRecord]) -> str:
    """Return the whole page.

    Args:
        output: Folder of the report, from which stills and clips are read.
        report: What ``build_report`` returned.
        records: The records that it was built from.
    """
    model = escape(str(report["rows"][report["headline"]]["label"]))
    groups = shown_groups(report)
    metrics = [metric for group in groups for metric in group.metrics]
    body = [
        f"<h1>Evaluation of {model}</h1>{_settings(report, len(records))}",
        _cards(report),
        _failures(report),
        "<h2>Means over clips</h2><p class=dim>Below a mean stands its 95 % bootstrap interval over clips. What a "
        "column means shows when the pointer rests on its heading, and at the end of the page, where the "
        "<a href='#words'>words</a> of this page are explained, too.</p>",
        *(_group_table(report, group) for group in groups),
        "<h2>Clips, the worst first</h2>" + _curve_legend(),
        *(_clip(output, report, record) for record in sorted(records, key=lambda r: _lip_correlation(report, r))),
        "<h2>Clip by clip</h2>" + _clips_table(report, metrics),
        "<h2>What the columns mean</h2>" + _definitions({metric.heading: metric.meaning for metric in metrics}),
        "<h2 id=words>Words</h2>" + _definitions(entries(EVALUATION)),
        "<h2>Not measured</h2>" + (_missing(report["missing"]) if report["missing"] else "<p>Nothing.</p>"),
    ]
    return html_page(f"Evaluation of {model}", "".join(body))


def html_page(title: str, body: str) -> str:
    """Return a self-contained page; ``title`` and ``body`` are HTML already."""
    style = files("dithead.evaluate").joinpath("report.css").read_text("utf-8")
    head = f'<meta charset=utf-8><meta name=viewport content="width=device-width"><title>{title}</title>'
    return f"<!doctype html><html lang=en><head>{head}<style>{style}</style></head><body>{body}</body></html>\n"


def _settings(report: Mapping[str, Any], clips: int) -> str:
    """One line: what was run, on what."""
    entries = {key: value for key, value in report["settings"].items() if value not in (None, {}, [])}
    if "model_sha256" in entries:
        entries["model_sha256"] = str(entries["model_sha256"])[:12]
    facts = [f"{key.replace('_', ' ')} <b>{escape(_plain(value))}</b>" for key, value in entries.items()]
    took = sum(report["seconds"].values()) / max(1, clips)
    return f"<p class=dim>{clips} clip{'s' * (clips != 1)}, measured in {took:.0f} s each · {' · '.join(facts)}</p>"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cards(report: Mapping[str, Any]) -> str:
    """The metrics at the top, each with all rows and clips on one scale."""
    cards = []
    for card in _CARDS:
        if report["metrics"].get(card.name, {}).get("mean") is None:
            continue
        order = [row for key, row in report["rows"].items() if key != report["headline"]]
        order.append(report["rows"][report["headline"]])
        rows = {row["label"]: _values(row, card.name) for row in order if card.name in row["metrics"]}
        mean = format_number(report["metrics"][card.name]["mean"], 2)
        cards.append(
            f"<figure class=card><figcaption><b>{card.title}</b><span>{mean}</span><small>{card.meaning}</small>"
            f"</figcaption>{strip_plot(card.title, rows, card.best)}</figure>"
        )
    note = "<p class=dim>Every dot is a clip, the bar is their mean.</p>"
    return f"<div class=cards>{''.join(cards)}</div>{note}"


def _values(row: Mapping[str, Any], name: str) -> tuple[float, list[float]]:
    """A metric's mean over clips, and its value for each clip."""
    values = [clip.get(name) for clip in row["clips"].values()]
    mean = row["metrics"][name]["mean"]
    return math.nan if mean is None else mean, [v for v in values if v is not None]


def _group_table(report: Mapping[str, Any], group: MetricGroup) -> str:
    lines = []
    for name, row in report["rows"].items():
        cells = "".join(f"<td>{_summary(row['metrics'].get(m.name), m.decimals)}</td>" for m in group.metrics)
        mark = " class=ours" if name == report["headline"] else ""
        lines.append(f"<tr{mark}><td>{escape(row['label'])}</td>{cells}</tr>")
    table = _table("", group.metrics, lines)
    return f"<section><h3>{group.title}</h3><p class=dim>{group.question}</p>{table}</section>"


def _clips_table(report: Mapping[str, Any], metrics: Sequence[Metric]) -> str:
    lines = []
    for clip, measures in report["clips"].items():
        cells = "".join(f"<td>{format_number(measures.get(m.name), m.decimals)}</td>" for m in metrics)
        lines.append(f"<tr><td>{escape(clip)}</td>{cells}</tr>")
    return _table("clip", metrics, lines)


def _table(first: str, metrics: Iterable[Metric], lines: list[str]) -> str:
    heads = "".join(f"<th title='{escape(m.meaning)}'>{escape(m.heading)}</th>" for m in metrics)
    return f"<div class=scroll><table><tr><th>{first}</th>{heads}</tr>{''.join(lines)}</table></div>"


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


def _curve_legend() -> str:
    return (
        "<p class=key>opening of the lips:<b style='background:var(--truth)'></b>truth"
        "<b style='background:var(--made)'></b>output"
        "<b style='border-top:2px dashed var(--dim);height:0'></b>source, where its speech does not drive</p>"
    )


def _clip(output: Path, report: Mapping[str, Any], record: ClipRecord) -> str:
    measures = report["clips"].get(record.clip, {})
    facts = " · ".join(
        f"{metric.heading} <b>{format_number(measures[metric.name], metric.decimals)}</b>"
        for metric in METRICS
        if metric.name in _CLIP_FACTS and metric.name in measures
    )
    failed = "".join(f"<p class=failed>{escape(reason)}</p>" for reason in sorted(set(record.errors.values())))
    return (
        f"<section class=clip><h3>{escape(record.clip)}</h3><p class=dim>{facts}</p>{failed}"
        f"<div class=plots>{_plots(report['headline'], record)}</div>{_still(output, record.clip)}"
        f"<div class=plots>{_videos(output, report, record.clip)}</div></section>"
    )


def _plots(row: str, record: ClipRecord) -> str:
    curves = record.curves
    source = curves.get("source", [])
    wanted = (
        ("self", {"truth": source}),
        ("cross", {"truth": curves.get("driver", []), "other": source}),
        ("silent", {"other": source}),
    )
    return "".join(
        curve_plot(DRIVEN_BY[protocol], lines | {"made": curves[f"{row}/{protocol}"]})
        for protocol, lines in wanted
        if f"{row}/{protocol}" in curves
    )


def _still(output: Path, clip: str) -> str:
    path = output / "stills" / f"{clip}.jpg"
    if not path.exists():
        return ""
    return f"<div class='scroll sheet'><img alt='stills of {escape(clip)}' src='{_inline(path, 'image/jpeg')}'></div>"


def _videos(output: Path, report: Mapping[str, Any], clip: str) -> str:
    found = [(p, output / "previews" / f"{clip}_{p}.mp4") for p in ("self", "cross")]
    return "".join(
        f"<figure><video controls loop preload=metadata{_poster(path)} src='{_inline(path, 'video/mp4')}'></video>"
        f"<figcaption>{_beside(report)}, {DRIVEN_BY[protocol]}</figcaption></figure>"
        for protocol, path in found
        if path.exists()
    )


def _beside(report: Mapping[str, Any]) -> str:
    """What the previews show side by side."""
    tools = report["settings"].get("generated")
    return " | ".join(["source", *tools]) if isinstance(tools, Mapping) else "source | output"


def _poster(video: Path) -> str:
    path = video.with_suffix(".jpg")
    return f" poster='{_inline(path, 'image/jpeg')}'" if path.exists() else ""


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _missing(reasons: Mapping[str, str]) -> str:
    """Metrics that were not measured, those with the same reason together."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return _definitions({", ".join(group): reason for reason, group in names.items()})


def _definitions(entries: Mapping[str, str]) -> str:
    return "<dl class=two>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in entries.items()) + "</dl>"


def _lip_correlation(report: Mapping[str, Any], record: ClipRecord) -> float:
    """A clip's lip correlation, by which clips are ordered; a failed clip comes first."""
    value = report["clips"].get(record.clip, {}).get("lip_correlation")
    return -math.inf if value is None or not math.isfinite(value) else float(value)
