"""Builds ``report.json`` from the records of single clips.

``report.json``, whose keys do not change without a new ``schema``::

    schema     "dithead.report/1"
    settings   what was run: model, data, steps, protocols, seed, ...
    headline   the row that `metrics` and `clips` repeat
    metrics    NAME -> {mean, ci, n, failed, min, max}    ci: 95 % bootstrap over clips
    clips      CLIP -> NAME -> number or null             null: the measurement failed
    rows       ROW -> {label, metrics, clips, errors}     truth, copy_input, frozen_mouth, ours_..., generated
    common     {clips, metrics: ROW -> NAME -> ...}       the clips without an error in any row, and the metrics over
                                                          them where they are not all clips
    missing    NAME -> why it was not measured
    notes      what a reader should know about single files: one without sound, one that has no counterpart
    seconds    CLIP -> wall time
    version    of this package
    command    the command line that makes the report; empty where there is none

A row is one set of videos that is measured, with one video of every clip: those of a model at one number of steps, or a
baseline. Names of metrics of the cross-audio protocol start with ``cross_``, of the silent one with ``silent_``, of one
picture with ``portrait_``, of hidden talking frames with ``hidden_``, of the test for a leak through the mask with
``mask_``; the others are of self-reenactment. ``metric_catalogue`` explains each.
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
from dithead.evaluate.metric_catalogue import METRICS
from dithead.evaluate.network_measures import Features, fid_over_clips
from dithead.evaluate.statistics import Summary, summarise

SCHEMA = "dithead.report/1"
PREFIX = {
    "self": "", "cross": "cross_", "silent": "silent_", "portrait": "portrait_", "hidden": "hidden_", "mask": "mask_",
}  # fmt: skip
"""Protocol -> prefix of the names of its metrics."""
DRIVEN_BY = {
    "self": "own speech",
    "cross": "another clip's speech",
    "silent": "silence",
    "portrait": "own speech, one closed picture",
    "hidden": "own speech, talking frames hidden",
}
"""Protocol -> what drives the video, for readers."""


@dataclass
class ClipRecord:
    """Everything measured on one clip.

    Attributes:
        clip: Its name.
        rows: Row -> metric -> value; NaN where it failed.
        errors: Row -> why its video could not be made or measured.
        curves: The lip opening over time for the plots: ``source``, ``driver``, ``frozen``, or ``ROW/PROTOCOL``.
        features: Row -> what FID over all clips needs.
        notes: What a reader should know, though nothing failed.
        seconds: Wall time.
    """

    clip: str
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    features: dict[str, Features] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, row: str, protocol: str, measures: Mapping[str, float]) -> None:
        """Add the measures of one protocol to a row."""
        self.rows.setdefault(row, {}).update({PREFIX[protocol] + k: float(v) for k, v in measures.items()})

    def save(self, path: Path) -> None:
        """Write the record as JSON, and its features, if any, as .npz next to it."""
        flat = {f"{row}/{name}": array for row, sets in self.features.items() for name, array in sets.items()}
        if flat:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path.with_suffix(".npz"), **flat)  # type: ignore[arg-type]
        write_json(path, {key: value for key, value in vars(self).items() if key != "features"})

    @classmethod
    def load(cls, path: Path) -> ClipRecord:
        """Read a record; null becomes NaN."""
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
    command: str = "",
) -> dict[str, Any]:
    """Join the records of clips into a report.

    Args:
        records: One for each clip.
        labels: Row -> its name for readers; rows are in this order.
        headline: The row that the report is about.
        settings: What was run.
        missing: Metric -> why it was not measured.
        notes: Notes on the whole; they stand before those of single clips.
        command: The command line that makes the report again.

    Raises:
        DataError: There is no record.
    """
    records = list(records)
    if not records:
        raise DataError("no clip was measured, so there is nothing to report; check the data folder")
    from dithead import __version__

    rows = {row: _row(row, label, records) for row, label in labels.items()}
    common = [record for record in records if not set(labels) & set(record.errors)]
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "headline": headline,
        "metrics": rows[headline]["metrics"],
        "clips": rows[headline]["clips"],
        "rows": rows,
        "common": {
            "clips": [record.clip for record in common],
            "metrics": {row: _metrics(row, common) for row in labels} if 0 < len(common) < len(records) else {},
        },
        "missing": dict(missing),
        "notes": [*notes, *(f"{record.clip}: {note}" for record in records for note in record.notes)],
        "seconds": {record.clip: round(record.seconds, 1) for record in records},
        "version": __version__,
        "command": command,
    }


def _row(row: str, label: str, records: list[ClipRecord]) -> dict[str, Any]:
    clips = {record.clip: record.rows.get(row, {}) for record in records}
    errors = {record.clip: record.errors[row] for record in records if row in record.errors}
    return {"label": label, "metrics": _metrics(row, records), "clips": clips, "errors": errors}


def _metrics(row: str, records: list[ClipRecord]) -> dict[str, Summary]:
    return summarise({record.clip: record.rows.get(row, {}) for record in records}) | _over_all(row, records)


def _over_all(row: str, records: list[ClipRecord]) -> dict[str, Summary]:
    """Metrics of the frames of all clips together, which no single clip has."""
    known = [record.features[row] for record in records if row in record.features]
    n, failed = len(known), len(records) - len(known)
    return {
        name: Summary(mean=value, ci=None, n=n, failed=failed, min=None, max=None)
        for name, value in fid_over_clips(known).items()
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


def list_failures(report: Mapping[str, Any]) -> list[str]:
    """Return one line for each row and reason, with the clips that failed for it."""
    clips: dict[tuple[str, str], list[str]] = {}
    for row in report["rows"].values():
        for clip, reason in row["errors"].items():
            clips.setdefault((row["label"], reason), []).append(clip)
    return [f"{label}, {', '.join(names)}: {with_advice(reason)}" for (label, reason), names in clips.items()]


def list_unmeasured(report: Mapping[str, Any]) -> list[str]:
    """Return one line for each row and clip whose video is there but some of whose measures could not be taken."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    headings = {metric.name: metric.heading for metric in METRICS}
    for row in report["rows"].values():
        known = {name for measures in row["clips"].values() for name in measures if name in headings}
        for clip, measures in row["clips"].items():
            failed = tuple(headings[name] for name in headings if name in known and _is_missing(measures.get(name)))
            if failed and clip not in row["errors"]:
                groups.setdefault((row["label"], failed), []).append(clip)
    return [
        f"{label}, {', '.join(clips)}: no value of {', '.join(failed)} (too few frames with a face, a mouth that never "
        "moves or never closes, no sound or another sound)"
        for (label, failed), clips in groups.items()
    ]


def with_advice(reason: str) -> str:
    """Add to the reason of a failure the option or the step that avoids it."""
    for pattern, advice in _ADVICE:
        if pattern in reason:
            return f"{reason}; {advice}"
    return reason


_ADVICE = (
    ("no audio track", "measure it with --protocol silent only, or leave the clip out"),
    ("no other clip has sound", "add a clip with speech, or leave the protocol cross out"),
    ("worker process died", "the same command with --workers 1 measures it again"),
    ("no face", "leave the clip out, or cut it to where the face is seen"),
    ("cut off", "the other clips are measured; the same command measures this one when it is mended"),
    ("no generated video", "a tool cannot win by skipping clips; generate it, or leave its true video out"),
    ("no driver's video", "put it into the folder of --drivers, or leave --drivers out"),
)
"""Part of the reason of a failure -> what avoids it."""


def _is_missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
