"""The report as one HTML file that needs nothing beside it: tables, curves, stills, short clips."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from dithead.evaluate.plots import curve_plot, strip_plot
from dithead.evaluate.report import DRIVEN_BY, ClipRecord, failures, number, shown_groups

_GLOSSARY = {
    "lip r": "Pearson correlation of the lip aperture (over eye distance) with the truth's, at lag 0.",
    "lag": "frames, within ±10, at which that correlation is best; positive: the output runs late.",
    "gain": "standard deviation of the aperture over the truth's.",
    "lip r, sound set right": "the same, but with the lips of the moment that is heard, "
    "where the truth's own sound is late or early and the scoring expert is sure of it.",
    "its sound set right": "driver r with the driver's lips of the moment that is heard, in the same way.",
    "velocity r": "correlation of the aperture's change from frame to frame.",
    "LMD": "mean distance of the mouth's landmarks from the truth's, in eye distances.",
    "jitter": "mean acceleration of the mouth's landmarks over the truth's.",
    "sync C, D, offset": "our scoring expert's confidence (0: the picture does not speak this sound), distance (lower "
    "is better) and the frames at 25 a second by which the sound runs late. No model was trained against this expert.",
    "LSE-C, LSE-D": "the same by the original SyncNet, when its weights are given; not comparable with ours.",
    "cross": "driven by another clip's audio: correlation with the lips of that audio's own video (driver), "
    "with the source's lips, and with the source's given the driver's (partial; 0 is no leak).",
    "by chance": "the size that such a partial correlation reaches once in twenty times without any leak.",
    "silent": "driven by silence: deviation of the aperture over the speaking source's; 0 is at rest.",
    "mask: shift": "drawn under the mask of the source's widest mouths and under that of its closed ones: difference "
    "of the mean aperture, in standard deviations of the source's; 0 is no leak.",
    "mask: agreement, partial": "correlation of the lips under those two masks (1 is no leak), and, each frame under "
    "the mask of another moment, with that moment's lips given the truth's (0 is no leak).",
    "sharpness": "Laplacian variance in the lips' box over the source's, at the source's resolution.",
    "in the crop": "the same in the aligned crop of 256 pixels: what is seen of the mouth in a small window.",
    "PSNR, SSIM": "on the aligned crop of 256 pixels, eyes to chin.",
    "flicker": "change from frame to frame of output minus source above the mask, in grey levels.",
    "frames ±, seconds ±, sound ±": "more frames or seconds than the source has; milliseconds by which the sound in "
    "the file runs late against what it was driven by.",
    "missed": "frames in which no face was found.",
}

# The few measures that tell most: name, title, what a reader should know, and the value that cannot be bettered.
_CARDS = (
    ("lip_correlation", "Lips follow the speech", "correlation with the true lips", 1.0),
    ("sync_confidence", "Picture speaks the sound", "our expert's confidence", None),
    ("cross_driver_correlation", "Follows another's speech", "correlation with that speaker's lips", 1.0),
    ("cross_source_partial", "Source's lips show through", "partial correlation, another's speech; best is 0", 0.0),
    ("silent_aperture_ratio", "Moves in silence", "over the speaking source's motion; best is 0", 0.0),
    ("sharpness", "Sharpness of the mouth", "over the source's", 1.0),
)

_FACTS = (
    ("lip_correlation", "lip r", 2), ("lip_lag", "lag", 0), ("lip_gain", "gain", 2), ("sync_confidence", "sync C", 2),
    ("cross_driver_correlation", "another's speech r", 2), ("silent_aperture_ratio", "motion in silence", 2),
    ("sharpness", "sharpness", 2), ("psnr", "PSNR", 1),
)  # fmt: skip


def page(output: Path, report: Mapping[str, Any], records: Sequence[ClipRecord]) -> str:
    """The whole page; stills and clips are read from the report's folder."""
    model = escape(str(report["rows"][report["headline"]]["label"]))
    body = [
        f"<h1>Evaluation of {model}</h1>{_settings(report, len(records))}",
        _cards(report),
        _failures(report),
        "<h2>Means over clips</h2><p class=dim>Small print under a mean: its 95 % bootstrap interval over clips.</p>",
        *(_group(report, *group) for group in shown_groups(report)),
        "<h2>Clips, the worst first</h2>" + _key(),
        *(_clip(output, report, record) for record in sorted(records, key=lambda r: _score(report, r))),
        "<h2>Clip by clip</h2>" + _clips_table(report),
        "<h2>What the columns mean</h2>" + _definitions(_GLOSSARY),
        "<h2>Not measured</h2>" + (_missing(report["missing"]) if report["missing"] else "<p>Nothing.</p>"),
    ]
    return document(f"Evaluation of {model}", "".join(body))


def document(title: str, body: str) -> str:
    """A page that needs nothing beside it; ``title`` and ``body`` are HTML already."""
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
    return f"<p class=dim>{clips} clip{'s' * (clips != 1)}, {took:.0f} s each · {' · '.join(facts)}</p>"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cards(report: Mapping[str, Any]) -> str:
    """The measures that tell most, each with all rows and clips on one scale."""
    cards = []
    for name, title, meaning, perfect in _CARDS:
        if report["metrics"].get(name, {}).get("mean") is None:
            continue
        order = [row for key, row in report["rows"].items() if key != report["headline"]]
        order.append(report["rows"][report["headline"]])
        rows = {row["label"]: _spread(row, name) for row in order if name in row["metrics"]}
        mean = number(report["metrics"][name]["mean"], 2)
        cards.append(
            f"<figure class=card><figcaption><b>{title}</b><span>{mean}</span><small>{meaning}</small></figcaption>"
            f"{strip_plot(title, rows, perfect)}</figure>"
        )
    note = "<p class=dim>Every dot is a clip, the bar their mean.</p>"
    return f"<div class=cards>{''.join(cards)}</div>{note}"


def _spread(row: Mapping[str, Any], name: str) -> tuple[float, list[float]]:
    values = [clip.get(name) for clip in row["clips"].values()]
    mean = row["metrics"][name]["mean"]
    return math.nan if mean is None else mean, [v for v in values if v is not None]


def _group(report: Mapping[str, Any], title: str, asks: str, columns: list[tuple[str, str, int]]) -> str:
    lines = []
    for name, row in report["rows"].items():
        cells = "".join(f"<td>{_summary(row['metrics'].get(key), digits)}</td>" for key, _, digits in columns)
        mark = " class=ours" if name == report["headline"] else ""
        lines.append(f"<tr{mark}><td>{escape(row['label'])}</td>{cells}</tr>")
    return f"<section><h3>{title}</h3><p class=dim>{asks}</p>{_table('', columns, lines)}</section>"


def _clips_table(report: Mapping[str, Any]) -> str:
    columns = [column for _, _, columns in shown_groups(report) for column in columns]
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
    failed = _listed("<h2 class=failed>Failed</h2>", failures(report)) or "<p>No clip failed.</p>"
    return failed + _listed("<h2>Notes</h2>", report.get("notes", []))


def _listed(heading: str, items: Sequence[str]) -> str:
    return f"{heading}<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def _key() -> str:
    return (
        "<p class=key>lip aperture:<b style='background:var(--truth)'></b>truth"
        "<b style='background:var(--made)'></b>output"
        "<b style='border-top:2px dashed var(--dim);height:0'></b>source's lips while another drives</p>"
    )


def _clip(output: Path, report: Mapping[str, Any], record: ClipRecord) -> str:
    measures = report["clips"].get(record.clip, {})
    facts = " · ".join(
        f"{title} <b>{number(measures[key], digits)}</b>" for key, title, digits in _FACTS if key in measures
    )
    failed = "".join(f"<p class=failed>{escape(reason)}</p>" for reason in sorted(set(record.errors.values())))
    return (
        f"<section class=clip><h3>{escape(record.clip)}</h3><p class=dim>{facts}</p>{failed}"
        f"<div class=plots>{_plots(report['headline'], record)}</div>{_still(output, record.clip)}"
        f"<div class=plots>{_videos(output, record.clip)}</div></section>"
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


def _videos(output: Path, clip: str) -> str:
    found = [(p, output / "previews" / f"{clip}_{p}.mp4") for p in ("self", "cross")]
    return "".join(
        f"<figure><video controls loop preload=metadata{_poster(path)} src='{_inline(path, 'video/mp4')}'></video>"
        f"<figcaption>source | output, {DRIVEN_BY[protocol]}</figcaption></figure>"
        for protocol, path in found
        if path.exists()
    )


def _poster(video: Path) -> str:
    path = video.with_suffix(".jpg")
    return f" poster='{_inline(path, 'image/jpeg')}'" if path.exists() else ""


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _missing(reasons: Mapping[str, str]) -> str:
    together: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        together.setdefault(reason, []).append(name)
    return _definitions({", ".join(names): reason for reason, names in together.items()})


def _definitions(entries: Mapping[str, str]) -> str:
    return "<dl class=two>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in entries.items()) + "</dl>"


def _score(report: Mapping[str, Any], record: ClipRecord) -> float:
    value = report["clips"].get(record.clip, {}).get("lip_correlation")
    return -math.inf if value is None or not math.isfinite(value) else float(value)
