"""The report: clip tables in, ``report.json`` and a Markdown table out.

``report.json``, whose keys do not change without a new ``schema``::

    schema     "dithead.report/1"
    settings   what was run: model, data, steps, protocols, seed, ...
    headline   the row that `metrics` and `clips` repeat
    metrics    NAME -> {mean, ci, n, failed, min, max}    ci: 95 % bootstrap over clips
    clips      CLIP -> NAME -> number or null             null: the measurement failed
    rows       ROW -> {label, metrics, clips, errors}     truth, copy_input, frozen_mouth, ours_..., generated
    missing    NAME -> why it was not measured
    notes      what a reader should know of single files: one without sound, one that has no counterpart
    seconds    CLIP -> wall time

Names of the cross-audio protocol start with ``cross_``, of the silent one with ``silent_``, of the test whether the
mask's shape leaks with ``mask_``; the others are of self-reenactment.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError
from dithead.evaluate.experts import Features, fid_of
from dithead.evaluate.statistics import Summary, summarise

SCHEMA = "dithead.report/1"
PREFIX = {"self": "", "cross": "cross_", "silent": "silent_", "mask": "mask_"}
DRIVEN_BY = {"self": "own sound", "cross": "another's sound", "silent": "silence"}

# What the tables show, in this order: a group's title, what it asks, and its columns (name, heading, decimals).
GROUPS: tuple[tuple[str, str, tuple[tuple[str, str, int], ...]], ...] = (
    (
        "Lips",
        "Driven by its own sound: do the lips do what the true lips did?",
        (
            ("lip_correlation", "lip r", 2),
            ("lip_synced_correlation", "lip r, sound set right", 2),
            ("lip_lag", "lag", 1),
            ("lip_gain", "gain", 2),
            ("lip_velocity_correlation", "velocity r", 2),
            ("lmd", "LMD", 3),
            ("jitter", "jitter", 2),
        ),
    ),
    (
        "Lips and sound",
        "Does the picture speak what is heard? Two experts, whose numbers may not be mixed.",
        (
            ("sync_confidence", "sync C", 3),
            ("sync_distance", "sync D", 2),
            ("sync_offset", "sync offset", 1),
            ("lse_c", "LSE-C", 2),
            ("lse_d", "LSE-D", 2),
            ("lse_offset", "LSE offset", 1),
            ("cross_sync_confidence", "cross: sync C", 3),
            ("cross_lse_c", "cross: LSE-C", 2),
        ),
    ),
    (
        "Leaks",
        "Driven by another's sound, by silence, and under masks of other mouths: what of the source shows through?",
        (
            ("cross_driver_correlation", "cross: driver r", 2),
            ("cross_driver_synced_correlation", "its sound set right", 2),
            ("cross_source_correlation", "cross: source r", 2),
            ("cross_source_partial", "cross: source partial", 2),
            ("cross_source_chance", "by chance", 2),
            ("silent_aperture_ratio", "silent: motion", 2),
            ("mask_shift", "mask: shift", 2),
            ("mask_agreement", "mask: agreement", 2),
            ("mask_partial", "mask: partial", 2),
        ),
    ),
    (
        "Picture",
        "Does the mouth look as it should, and is the rest untouched?",
        (
            ("sharpness", "sharpness", 2),
            ("sharpness_crop", "in the crop", 2),
            ("psnr", "PSNR", 1),
            ("ssim", "SSIM", 3),
            ("flicker", "flicker", 2),
            ("lpips", "LPIPS", 3),
            ("fid", "FID", 2),
            ("fid_mouth", "FID mouth", 2),
            ("identity", "identity", 2),
        ),
    ),
    (
        "File",
        "Is the file whole, and its sound in place?",
        (
            ("frames_error", "frames ±", 0),
            ("duration_error", "seconds ±", 2),
            ("audio_offset_ms", "sound ± ms", 0),
            ("faces_missed", "missed", 0),
            ("frames_per_second", "frames/s", 1),
        ),
    ),
)
COLUMNS = tuple(column for _, _, columns in GROUPS for column in columns)


@dataclass
class ClipRecord:
    """Everything measured on one clip.

    ``curves``: aperture by row and protocol, for the plots.  ``features``: by row, what FID over all clips needs.
    ``notes``: oddities that made nothing fail.
    """

    clip: str
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    features: dict[str, Features] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, row: str, protocol: str, measures: Mapping[str, float]) -> None:
        self.rows.setdefault(row, {}).update({PREFIX[protocol] + k: float(v) for k, v in measures.items()})

    def save(self, path: Path) -> None:
        """Write the record as JSON, and its features, if any, as .npz beside it."""
        flat = {f"{row}/{name}": array for row, sets in self.features.items() for name, array in sets.items()}
        if flat:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path.with_suffix(".npz"), **flat)
        write_json(path, {key: value for key, value in vars(self).items() if key != "features"})

    @classmethod
    def load(cls, path: Path) -> ClipRecord:
        """Read a record back; null becomes NaN."""
        data = json.loads(path.read_text("utf-8"))
        nan = float("nan")
        rows = {row: {k: nan if v is None else v for k, v in table.items()} for row, table in data["rows"].items()}
        curves = {name: [nan if v is None else v for v in curve] for name, curve in data["curves"].items()}
        features, notes = _features(path.with_suffix(".npz")), data.get("notes", [])
        return cls(data["clip"], rows, data["errors"], curves, features, notes, data["seconds"])


def build_report(
    records: Iterable[ClipRecord],
    labels: Mapping[str, str],
    headline: str,
    settings: Mapping[str, Any],
    missing: Mapping[str, str],
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Join clip records into the report; rows in the order of ``labels``. ``notes`` go before those of the clips.

    Raises DataError without a clip.
    """
    records = list(records)
    if not records:
        raise DataError("no clip was measured, so there is nothing to report; check the data folder")
    rows = {row: _row(row, label, records) for row, label in labels.items()}
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "headline": headline,
        "metrics": rows[headline]["metrics"],
        "clips": rows[headline]["clips"],
        "rows": rows,
        "missing": dict(missing),
        "notes": [*notes, *(f"{record.clip}: {note}" for record in records for note in record.notes)],
        "seconds": {record.clip: round(record.seconds, 1) for record in records},
    }


def _row(row: str, label: str, records: list[ClipRecord]) -> dict[str, Any]:
    clips = {record.clip: record.rows.get(row, {}) for record in records}
    errors = {record.clip: record.errors[row] for record in records if row in record.errors}
    return {"label": label, "metrics": summarise(clips) | _over_all(row, records), "clips": clips, "errors": errors}


def _over_all(row: str, records: list[ClipRecord]) -> dict[str, Summary]:
    """Metrics of all clips' frames together, which no single clip has."""
    given = [record.features[row] for record in records if row in record.features]
    n, failed = len(given), len(records) - len(given)
    return {
        name: Summary(mean=value, ci=None, n=n, failed=failed, min=None, max=None)
        for name, value in fid_of(given).items()
    }


def _features(path: Path) -> dict[str, Features]:
    features: dict[str, Features] = {}
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            for key in stored.files:
                row, name = key.rsplit("/", 1)
                features.setdefault(row, {})[name] = stored[key]
    return features


def write_json(path: Path, data: object) -> None:
    """Write JSON whole or not at all; NaN and infinities become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(_clean(data), indent=1, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path)


def _clean(data: object) -> object:
    if isinstance(data, Mapping):
        return {str(key): _clean(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_clean(value) for value in data]
    if isinstance(data, float):
        return round(data, 6) if math.isfinite(data) else None
    return data


def failures(report: Mapping[str, Any]) -> list[str]:
    """One line for every row and reason, with the clips that failed for it."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in report["rows"].values():
        for clip, reason in row["errors"].items():
            found.setdefault((row["label"], reason), []).append(clip)
    return [f"{label}, {', '.join(clips)}: {reason}" for (label, reason), clips in found.items()]


def markdown(report: Mapping[str, Any]) -> str:
    """The rows' means, a table a group, and the headline row clip by clip."""
    parts = []
    for title, _, columns in shown_groups(report):
        rows = [
            [row["label"], *(_mean(row["metrics"].get(name), digits) for name, _, digits in columns)]
            for row in report["rows"].values()
        ]
        parts.append(table([f"{title}: mean over clips", *(heading for _, heading, _ in columns)], rows))
    shown = [column for _, _, columns in shown_groups(report) for column in columns]
    clips = [
        [clip, *(number(measures.get(name), digits) for name, _, digits in shown)]
        for clip, measures in report["clips"].items()
    ]
    parts.append(table(["clip", *(heading for _, heading, _ in shown)], clips))
    return "\n\n".join(parts) + "\n"


def shown_groups(report: Mapping[str, Any]) -> list[tuple[str, str, list[tuple[str, str, int]]]]:
    """``GROUPS`` with the columns that some row has; a group without any is left out."""
    measured = {name for row in report["rows"].values() for name in row["metrics"]}
    groups = [(title, asks, [c for c in columns if c[0] in measured]) for title, asks, columns in GROUPS]
    return [group for group in groups if group[2]]


def number(value: float | None, digits: int) -> str:
    """A number for a table; a dash where the measurement failed."""
    return "–" if value is None or not math.isfinite(value) else f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.0


def _mean(summary: Summary | None, digits: int) -> str:
    if summary is None:
        return "–"
    failed = f" ({summary['failed']} failed)" if summary["failed"] else ""
    return number(summary["mean"], digits) + failed


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; every column but the first is aligned right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
