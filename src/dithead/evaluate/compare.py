"""Compares two reports clip by clip, and tests whether their difference may be chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError
from dithead.evaluate.metric_catalogue import METRICS, NOT_COMPARED, best_value
from dithead.evaluate.report import SCHEMA
from dithead.evaluate.statistics import bootstrap
from dithead.evaluate.tables import format_number, markdown_table
from dithead.limits import read_json

LEVEL = 0.05
"""p below which a difference counts as real (our choice); with five clips or fewer, p is never below it."""
FLIPS = 4000
"""Flips of the sign-flip test: random ones, or all where there are no more than this (our choice)."""


def compare_reports(first: Path | str, second: Path | str) -> dict[str, Any]:
    """Compare the headline rows of two reports on the clips that both have.

    Args:
        first: Folder of a report, or its report.json.
        second: Another one.

    Returns:
        ``first`` and ``second`` (report and label), ``clips`` (in both), ``left_out`` (in one only), and ``metrics``:
        for every metric that both measured the two means, the mean paired difference (second - first) with its 95 %
        bootstrap interval, the p of a sign-flip test, n, and which one is ``better`` ("first", "second", or None when
        the difference in quality may be chance). A single clip has no interval and no p.

    Raises:
        DataError: One is not a report, or they have no clip in common.
    """
    a, b = read_report(first), read_report(second)
    common = [clip for clip in a["clips"] if clip in b["clips"]]
    if not common:
        raise DataError(f"{first} and {second} have no clip in common; compare reports over the same clips")
    names = [name for name in a["metrics"] if name in b["metrics"] and name not in NOT_COMPARED]
    metrics = {name: _paired(name, [(a["clips"][c], b["clips"][c]) for c in common]) for name in names}
    return {
        **_sides((first, a), (second, b)),
        "clips": common,
        "left_out": sorted({*a["clips"], *b["clips"]} - set(common)),
        "metrics": {name: entry for name, entry in metrics.items() if entry is not None},
    }


def _sides(*reports: tuple[Path | str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Report and label of both, with the name of the folder in the label where the labels would be the same."""
    labels = [report["rows"][report["headline"]]["label"] for _, report in reports]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({Path(path).name})" for label, (path, _) in zip(labels, reports, strict=True)]
    return {
        side: {"report": str(path), "label": label}
        for side, label, (path, _) in zip(("first", "second"), labels, reports, strict=True)
    }


def read_report(path: Path | str) -> dict[str, Any]:
    """Read a report by its folder or its report.json. Raises DataError when it is not one."""
    path = Path(path)
    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: there is no report; give a folder that `evaluate` wrote")
    report: dict[str, Any] = read_json(file, str(file), DataError)
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise DataError(f"{file}: not a report of schema {SCHEMA}; make it again with this version")
    return report


def comparison_table(result: Mapping[str, Any]) -> str:
    """Return the comparison as a Markdown table, the better mean in bold."""
    lines = []
    for metric in METRICS:
        if (entry := result["metrics"].get(metric.name)) is None:
            continue
        means = [format_number(entry[side], metric.decimals) for side in ("first", "second")]
        if entry["better"] is not None:
            better = ("first", "second").index(entry["better"])
            means[better] = f"**{means[better]}**"
        difference = format_number(entry["difference"], metric.decimals)
        line = [
            metric.heading,
            *means,
            difference,
            shown_interval(entry, metric.decimals),
            shown_p(entry),
            str(entry["n"]),
        ]
        lines.append(line)
    heading = ["", result["first"]["label"], result["second"]["label"], "difference", "95 %", "p", "clips"]
    return markdown_table(heading, lines)


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
