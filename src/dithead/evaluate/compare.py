"""Compares the models and tools of reports clip by clip, and tests whether their differences may be chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError
from dithead.evaluate.metric_catalogue import METRICS, NOT_COMPARED, Metric, best_value, best_words
from dithead.evaluate.report import SCHEMA
from dithead.evaluate.report_tables import tool_rows
from dithead.evaluate.statistics import bootstrap
from dithead.evaluate.tables import format_number, markdown_table
from dithead.limits import read_json

LEVEL = 0.05
"""p below which a difference counts as real (our choice); with five clips or fewer, p is never below it."""
FLIPS = 4000
"""Flips of the sign-flip test: random ones, or all where there are no more than this (our choice)."""


def compare_reports(first: Path | str, second: Path | str | None = None) -> list[dict[str, Any]]:
    """Compare every model and tool of one report with every one of another, or those of one report with one another.

    Args:
        first: Folder of a report, or its report.json.
        second: Another one. Without it the models and tools of the first are compared with one another.

    Returns:
        One comparison for each pair, see ``_compare_rows``.

    Raises:
        DataError: One is not a report, they have no clip in common, or there is nothing to compare with.
    """
    a = read_report(first)
    if second is None:
        pairs = list(combinations([_Row(first, a, name) for name in tool_rows(a)], 2))
        if not pairs:
            raise DataError(f"{first}: holds one model or tool; give a second report to compare it with")
        return [_compare_rows(*pair) for pair in pairs]
    b = read_report(second)
    if not a["clips"].keys() & b["clips"].keys():
        raise DataError(f"{first} and {second} have no clip in common; compare reports over the same clips")
    rows = ([_Row(path, report, name) for name in tool_rows(report)] for path, report in ((first, a), (second, b)))
    return [_compare_rows(*pair) for pair in product(*rows)]


@dataclass(frozen=True)
class _Row:
    """One model or tool of a report."""

    path: Path | str
    report: dict[str, Any]
    name: str

    @property
    def label(self) -> str:
        return str(self.report["rows"][self.name]["label"])

    @property
    def clips(self) -> dict[str, dict[str, float | None]]:
        return dict(self.report["rows"][self.name]["clips"])

    @property
    def errors(self) -> dict[str, str]:
        return dict(self.report["rows"][self.name]["errors"])


def _compare_rows(first: _Row, second: _Row) -> dict[str, Any]:
    """Compare two rows on the clips that both have.

    Returns:
        ``first`` and ``second`` (report and label), ``clips`` (in both), ``left_out`` (clip -> why), and ``metrics``:
        for every metric of the tables that both measured the two means, the mean paired difference (second - first)
        with its 95 % bootstrap interval, the p of a sign-flip test, n, and which one is ``better`` ("first", "second",
        or None when the difference in quality may be chance). A single clip has no interval and no p.
    """
    left_out = _left_out(first, second)
    clips = [clip for clip in first.clips if clip in second.clips and clip not in left_out]
    pairs = [(first.clips[clip], second.clips[clip]) for clip in clips]
    metrics = {m.name: _paired(m.name, pairs) for m in METRICS if m.name not in NOT_COMPARED}
    return {
        **_sides(first, second),
        "clips": clips,
        "left_out": left_out,
        "metrics": {name: entry for name, entry in metrics.items() if entry is not None},
    }


def _left_out(*rows: _Row) -> dict[str, str]:
    """The clips that are not compared, and why."""
    reasons: dict[str, str] = {}
    for clip in sorted({clip for row in rows for clip in row.clips}):
        for row in rows:
            if clip not in row.clips:
                reasons[clip] = f"{row.label}: not in {row.path}"
            elif clip in row.errors:
                reasons[clip] = f"{row.label}: {row.errors[clip]}"
    return reasons


def _sides(*rows: _Row) -> dict[str, dict[str, str]]:
    """Report and label of both, with the name of the folder in the label where the labels would be the same."""
    labels = [row.label for row in rows]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({Path(row.path).name})" for label, row in zip(labels, rows, strict=True)]
    return {
        side: {"report": str(row.path), "label": label}
        for side, label, row in zip(("first", "second"), labels, rows, strict=True)
    }


def read_report(path: Path | str) -> dict[str, Any]:
    """Read a report by its folder or its report.json. Raises DataError when it is not one."""
    path = Path(path)
    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: there is no report; give a folder that `evaluate` or `score` wrote")
    report: dict[str, Any] = read_json(file, str(file), DataError)
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise DataError(f"{file}: not a report of schema {SCHEMA}; make it again with this version")
    return report


def comparison_tables(comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Return comparisons as text: for each a heading, a table with the better mean in bold, and what is left out."""
    return "\n\n".join(_comparison(result) for result in comparisons)


def _comparison(result: Mapping[str, Any]) -> str:
    labels = [result[side]["label"] for side in ("first", "second")]
    lines = [_line(result["metrics"][metric.name], metric) for metric in METRICS if metric.name in result["metrics"]]
    heading = ["", "best is", *labels, "difference", "95 %", "p", "clips"]
    parts = [
        f"## {labels[1]} against {labels[0]}",
        describe_comparison(result),
        markdown_table(heading, lines) if lines else "Nothing was measured of both.",
        *(f"Left out: {clip} ({why})" for clip, why in result["left_out"].items()),
    ]
    return "\n\n".join(parts)


def describe_comparison(result: Mapping[str, Any]) -> str:
    """Return in a sentence or two on what two rows were compared, and in how many measures each is better."""
    first, second = (result[side]["label"] for side in ("first", "second"))
    wins = {side: sum(m["better"] == side for m in result["metrics"].values()) for side in ("first", "second")}
    count = len(result["clips"])
    if count < 2:
        return f"{count} clip that both have: values without an interval. Difference: {second} minus {first}."
    return (
        f"{count} clips that both have. Difference: {second} minus {first}, with its 95 % interval; where p is below "
        f"{LEVEL}, the better one is marked, otherwise the difference may be chance (with five clips or fewer it "
        f"always may). {first} is better in {wins['first']}, {second} in {wins['second']} of {len(result['metrics'])} "
        "measures; of so many, a few are marked by chance alone."
    )


def _line(entry: Mapping[str, Any], metric: Metric) -> list[str]:
    means = [format_number(entry[side], metric.decimals) for side in ("first", "second")]
    if entry["better"] is not None:
        better = ("first", "second").index(entry["better"])
        means[better] = f"**{means[better]}**"
    difference = format_number(entry["difference"], metric.decimals)
    interval = shown_interval(entry, metric.decimals)
    return [metric.heading, best_words(metric.name), *means, difference, interval, shown_p(entry), str(entry["n"])]


def shown_interval(entry: Mapping[str, Any], decimals: int) -> str:
    """Return the interval of a difference as text; a dash for a single clip, which has none."""
    if entry["ci"] is None:
        return "–"
    low, high = (format_number(edge, decimals) for edge in entry["ci"])
    return f"{low} … {high}"


def shown_p(entry: Mapping[str, Any]) -> str:
    """Return the p of a difference as text; a dash for a single clip."""
    return "–" if entry["p"] is None else f"{entry['p']:.3f}"


def _paired(name: str, pairs: list[tuple[dict[str, float | None], dict[str, float | None]]]) -> dict[str, Any] | None:
    rows = [(x.get(name), y.get(name)) for x, y in pairs]
    values = np.array([(x, y) for x, y in rows if _known(x) and _known(y)], np.float64)  # (n, 2)
    if not len(values):
        return None
    difference = values[:, 1] - values[:, 0]
    gain = _quality(name, values[:, 1]) - _quality(name, values[:, 0])
    several = len(values) > 1
    p, side = sign_flip_p(gain) if several else None, "second" if gain.mean() > 0 else "first"
    return {
        "first": float(values[:, 0].mean()),
        "second": float(values[:, 1].mean()),
        "difference": float(difference.mean()),
        "ci": list(bootstrap(difference)) if several else None,
        "p": p,
        "n": len(values),
        "failed": len(rows) - len(values),
        "better": side if p is not None and p < LEVEL else None,
    }


def sign_flip_p(difference: np.ndarray[Any, np.dtype[np.float64]], seed: int = 0) -> float:
    """Return the two-sided p of a mean paired difference (n,) under random sign flips; all flips when n is small."""
    n = len(difference)
    if 2**n <= FLIPS:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(FLIPS, n))
        signs[0] = 1
    means = np.abs((signs * difference).mean(axis=1))
    return float((means >= abs(difference.mean()) - 1e-12).mean())


def _quality(name: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Values of which the larger is better: the values themselves, or minus their distances from the best value."""
    best = best_value(name)
    return values if best is None else -np.abs(values - best)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
