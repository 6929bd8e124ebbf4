"""Two reports side by side, clip by clip: is the difference more than luck?"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError
from dithead.evaluate.report import COLUMNS, SCHEMA, number, table
from dithead.evaluate.statistics import bootstrap

# What is better: a larger number, a smaller one, or one nearer to this target.
GOAL: dict[str, float] = {
    **dict.fromkeys(("lip_gain", "lip_slope", "jitter", "sharpness", "sharpness_gradient", "sharpness_crop"), 1.0),
    **dict.fromkeys(("lip_lag", "frames_error", "duration_error", "audio_offset_ms"), 0.0),
    **dict.fromkeys(("lmd", "flicker", "faces_missed", "aperture_ratio", "source_partial"), 0.0),
    **dict.fromkeys(("source_correlation", "driver_lag", "sync_offset", "lse_offset", "sync_distance", "lse_d"), 0.0),
    **dict.fromkeys(("mask_shift", "mask_partial", "lpips", "fid", "fid_mouth"), 0.0),
}
_NO_QUALITY = ("cross_source_chance", "cross_coupling")  # of the clips, not of what was made
LEVEL = 0.05  # a p below this is called a difference; five clips or fewer can never reach it
_FLIPS = 4000


def compare_reports(first: Path | str, second: Path | str) -> dict[str, Any]:
    """Headline rows of two reports (folders or report.json), on the clips both have.

    For every metric both measured: the two means, the mean paired difference (second - first) with its 95 %
    bootstrap interval, the p of a sign-flip test, n, and which one is ``better`` ("first", "second" or null when
    the difference in quality may be luck). Raises DataError for what is no report, or without a common clip.
    """
    a, b = read_report(first), read_report(second)
    common = [clip for clip in a["clips"] if clip in b["clips"]]
    if not common:
        raise DataError(f"{first} and {second} have no clip in common; compare reports over the same clips")
    names = [name for name in a["metrics"] if name in b["metrics"] and name not in _NO_QUALITY]
    metrics = {name: _paired(name, [(a["clips"][c], b["clips"][c]) for c in common]) for name in names}
    return {
        **_sides((first, a), (second, b)),
        "clips": common,
        "left_out": sorted({*a["clips"], *b["clips"]} - set(common)),
        "metrics": {name: entry for name, entry in metrics.items() if entry is not None},
    }


def _sides(*reports: tuple[Path | str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """``first`` and ``second``, with the folder's name in the label where both would be called the same."""
    labels = [report["rows"][report["headline"]]["label"] for _, report in reports]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({Path(path).name})" for label, (path, _) in zip(labels, reports, strict=True)]
    return {
        side: {"report": str(path), "label": label}
        for side, label, (path, _) in zip(("first", "second"), labels, reports, strict=True)
    }


def read_report(path: Path | str) -> dict[str, Any]:
    """A report by its folder or its report.json. Raises DataError when it is none."""
    path = Path(path)
    file = path / "report.json" if path.is_dir() else path
    try:
        report: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not a report ({error}); give a folder that `evaluate` wrote") from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise DataError(f"{file}: not a report of schema {SCHEMA}; make it again with this version")
    return report


def comparison_table(result: Mapping[str, Any]) -> str:
    """The comparison as a Markdown table, the better mean in bold."""
    lines = []
    for name, title, digits in COLUMNS:
        if (entry := result["metrics"].get(name)) is None:
            continue
        means = [number(entry[side], digits) for side in ("first", "second")]
        if entry["better"] is not None:
            best = ("first", "second").index(entry["better"])
            means[best] = f"**{means[best]}**"
        low, high = (number(edge, digits) for edge in entry["ci"])
        lines.append(
            [
                title,
                *means,
                number(entry["difference"], digits),
                f"{low} … {high}",
                f"{entry['p']:.3f}",
                str(entry["n"]),
            ]
        )
    head = ["", result["first"]["label"], result["second"]["label"], "difference", "95 %", "p", "clips"]
    return table(head, lines)


def _paired(name: str, pairs: list[tuple[dict[str, float | None], dict[str, float | None]]]) -> dict[str, Any] | None:
    rows = [(x.get(name), y.get(name)) for x, y in pairs]
    values = np.array([(x, y) for x, y in rows if _known(x) and _known(y)], np.float64)  # (n, 2)
    if len(values) < 2:
        return None
    difference = values[:, 1] - values[:, 0]
    gain = _quality(name, values[:, 1]) - _quality(name, values[:, 0])
    p, side = sign_flip_p(gain), "second" if gain.mean() > 0 else "first"
    return {
        "first": float(values[:, 0].mean()),
        "second": float(values[:, 1].mean()),
        "difference": float(difference.mean()),
        "ci": list(bootstrap(difference)),
        "p": p,
        "n": len(values),
        "failed": len(rows) - len(values),
        "better": side if p < LEVEL else None,
    }


def sign_flip_p(difference: np.ndarray[Any, np.dtype[np.float64]], seed: int = 0) -> float:
    """Two-sided p of a mean paired difference (n,) under random flips of sign; every flip when n is small."""
    n = len(difference)
    if 2**n <= _FLIPS:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(_FLIPS, n))
        signs[0] = 1
    means = np.abs((signs * difference).mean(axis=1))
    return float((means >= abs(difference.mean()) - 1e-12).mean())


def _quality(name: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Larger is better: the value itself, or minus its distance from the goal."""
    bare = name.removeprefix("cross_").removeprefix("silent_")
    return -np.abs(values - GOAL[bare]) if bare in GOAL else values


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
