"""The report as one HTML file that needs nothing beside it: tables, curves, stills, short clips."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from dithead.evaluate.plots import curve_plot
from dithead.evaluate.report import COLUMNS, ClipRecord, number

_GLOSSARY = {
    "lip r": "Pearson correlation of the lip aperture (over eye distance) with the truth's, at lag 0.",
    "lag": "frames, within ±10, at which that correlation is best; positive: the output runs late.",
    "gain": "standard deviation of the aperture over the truth's.",
    "velocity r": "correlation of the aperture's change from frame to frame.",
    "LMD": "mean distance of the mouth's landmarks from the truth's, in eye distances.",
    "cross": "driven by another clip's audio: correlation with the lips of that audio's own video (driver), "
    "with the source's lips, and with the source's given the driver's (partial; 0 is no leak).",
    "silent": "driven by silence: deviation of the aperture over the speaking source's; 0 is at rest.",
    "sharpness": "Laplacian variance in the lips' box over the source's, at the source's resolution.",
    "in the crop": "the same in the aligned crop of 256 pixels: what is seen of the mouth in a small window.",
    "jitter": "mean acceleration of the mouth's landmarks over the truth's.",
    "PSNR, SSIM": "on the aligned crop of 256 pixels, eyes to chin.",
    "flicker": "change from frame to frame of output minus source above the mask, in grey levels.",
    "frames ±": "frames more or fewer than the source has.",
    "missed": "frames in which no face was found.",
}


def page(output: Path, report: Mapping[str, Any], records: Sequence[ClipRecord]) -> str:
    """The whole page; stills and clips are read from the report's folder."""
    model = escape(str(report["rows"][report["headline"]]["label"]))
    settings = ", ".join(f"{key} {str(value)[:60]}" for key, value in report["settings"].items())
    body = [
        f"<h1>Evaluation: {model}</h1><p class=dim>{escape(settings)}; {len(records)} clips</p>",
        "<h2>Means over clips</h2>" + _rows_table(report),
        "<p class=dim>Small print under a mean: its 95 % bootstrap interval over clips.</p>",
        "<h2>Clip by clip</h2>" + _clips_table(report),
        _failures(report),
        "<h2>Clips, the worst first</h2>" + _key(),
        *(_clip(output, report, record) for record in sorted(records, key=lambda r: _score(report, r))),
        "<h2>What the columns mean</h2>" + _definitions(_GLOSSARY),
        "<h2>Not measured</h2>" + _definitions(report["missing"]),
    ]
    style = files("dithead.evaluate").joinpath("report.css").read_text("utf-8")
    head = f'<meta charset=utf-8><meta name=viewport content="width=device-width"><title>{model}</title>'
    return (
        f"<!doctype html><html lang=en><head>{head}<style>{style}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _shown(report: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    return [c for c in COLUMNS if any(c[0] in row["metrics"] for row in report["rows"].values())]


def _rows_table(report: Mapping[str, Any]) -> str:
    columns = _shown(report)
    lines = []
    for name, row in report["rows"].items():
        cells = "".join(f"<td>{_summary(row['metrics'].get(key), digits)}</td>" for key, _, digits in columns)
        mark = " class=ours" if name == report["headline"] else ""
        lines.append(f"<tr{mark}><td>{escape(row['label'])}</td>{cells}</tr>")
    return _table("row", columns, lines)


def _clips_table(report: Mapping[str, Any]) -> str:
    columns = _shown(report)
    lines = []
    for clip, measures in report["clips"].items():
        cells = "".join(f"<td>{number(measures.get(key), digits)}</td>" for key, _, digits in columns)
        lines.append(f"<tr><td>{escape(clip)}</td>{cells}</tr>")
    return _table("clip", columns, lines)


def _table(first: str, columns: list[tuple[str, str, int]], lines: list[str]) -> str:
    heads = "".join(f"<th>{escape(title)}</th>" for _, title, _ in columns)
    return f"<div class=scroll><table><tr><th>{first}</th>{heads}</tr>{''.join(lines)}</table></div>"


def _summary(summary: Mapping[str, Any] | None, digits: int) -> str:
    if summary is None:
        return "–"
    text = number(summary["mean"], digits)
    if summary["ci"] is not None:
        low, high = (number(edge, digits) for edge in summary["ci"])
        text += f"<small>{low} … {high}</small>"
    if summary["failed"]:
        text += f"<small class=failed>{summary['failed']} failed</small>"
    return text


def _failures(report: Mapping[str, Any]) -> str:
    items = [
        f"<li>{escape(row['label'])}, {escape(clip)}: {escape(message)}</li>"
        for row in report["rows"].values()
        for clip, message in row["errors"].items()
    ]
    return f"<h2 class=failed>Failed</h2><ul>{''.join(items)}</ul>" if items else "<p>No clip failed.</p>"


def _key() -> str:
    return (
        "<p class=key>lip aperture:<b style='background:var(--truth)'></b>truth"
        "<b style='background:var(--made)'></b>output"
        "<b style='background:var(--dim)'></b>source's lips while another drives</p>"
    )


def _clip(output: Path, report: Mapping[str, Any], record: ClipRecord) -> str:
    measures = report["clips"].get(record.clip, {})
    facts = ", ".join(
        f"{title} {number(measures[key], digits)}" for key, title, digits in COLUMNS[:10] if key in measures
    )
    return (
        f"<section class=clip><h3>{escape(record.clip)}</h3><p class=dim>{escape(facts)}</p>"
        f"<div class=plots>{_plots(report['headline'], record)}</div>{_still(output, record.clip)}"
        f"<div class=plots>{_videos(output, record.clip)}</div></section>"
    )


def _plots(row: str, record: ClipRecord) -> str:
    curves = record.curves
    source = curves.get("source", [])
    wanted = (
        ("own audio", "self", {"truth": source}),
        ("another's audio", "cross", {"truth": curves.get("driver", []), "other": source}),
        ("silence", "silent", {"other": source}),
    )
    return "".join(
        curve_plot(title, lines | {"made": curves[f"{row}/{protocol}"]})
        for title, protocol, lines in wanted
        if f"{row}/{protocol}" in curves
    )


def _still(output: Path, clip: str) -> str:
    path = output / "stills" / f"{clip}.jpg"
    return f"<p><img alt='stills of {escape(clip)}' src='{_inline(path, 'image/jpeg')}'></p>" if path.exists() else ""


def _videos(output: Path, clip: str) -> str:
    found = [(p, output / "previews" / f"{clip}_{p}.mp4") for p in ("self", "cross")]
    return "".join(
        f"<figure><video controls loop preload=metadata src='{_inline(path, 'video/mp4')}'></video>"
        f"<figcaption>source | output ({protocol})</figcaption></figure>"
        for protocol, path in found
        if path.exists()
    )


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _definitions(entries: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in entries.items()) + "</dl>"


def _score(report: Mapping[str, Any], record: ClipRecord) -> float:
    value = report["clips"].get(record.clip, {}).get("lip_correlation")
    return -math.inf if value is None or not math.isfinite(value) else float(value)
