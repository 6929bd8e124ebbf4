"""Runs side by side: what each changed, what came out on held-out people, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dithead.errors import DataError
from dithead.train.folder import differences
from dithead.train.report import read_metrics

PREFIX = "held_out_"


def runs_table(runs: Sequence[Path]) -> str:
    """A Markdown table of finished runs, the settings of each told against the first's.

    Raises DataError for a folder without a finished run.
    """
    first = _read(runs[0] / "config.json")
    rows = [_row(run, first) for run in runs]
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * 2 + ["---:"] * (len(names) - 2), *([row.get(name, "") for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(run: Path, first: Any) -> dict[str, str]:
    changed = [line for line in differences(first, _read(run / "config.json")) if not line.startswith("data")]
    series = read_metrics(run / "metrics.jsonl")
    cost = _read(run / "cost.json")
    numbers = {
        name.removeprefix(PREFIX).replace("_", " "): f"{values[-1][1]:.3f}"
        for name, values in series.items() if name.startswith(PREFIX)
    }  # fmt: skip
    told = "; ".join(_short(line) for line in changed) or "–"
    return {"run": run.name, "differs in": told, **numbers, "samples/s": f"{cost['step_rows_per_second']:.0f}"}


def _short(line: str) -> str:
    """``model.objective flow there, ddpm now`` as ``objective ddpm``."""
    name, _, rest = line.partition(" ")
    return f"{name.rpartition('.')[2]} {rest.partition(' there, ')[2].removesuffix(' now')}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {path.parent} is no finished run") from None
