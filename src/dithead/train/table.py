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


def people_table(runs: Sequence[Path]) -> str:
    """A Markdown table of the held-out error of each person in each stage-two run, those of the first worst first.

    Raises DataError for a folder without held-out numbers by clip.
    """
    means = [_people(_read(run / "held_out.json")["error"]) for run in runs]
    people = sorted({who for run in means for who in run}, key=lambda who: -means[0].get(who, (0.0, 0))[0])
    clips = {who: next(run[who][1] for run in means if who in run) for who in people}
    rows = [[who, str(clips[who]), *(f"{run[who][0]:.3f}" if who in run else "" for run in means)] for who in people]
    lines = [["person", "clips", *(run.name for run in runs)], ["---", "---:", *["---:"] * len(runs)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _people(errors: dict[str, float]) -> dict[str, tuple[float, int]]:
    """Errors of clips, named ``person: clip (variant)``, to each person's mean and number of clips."""
    grouped: dict[str, list[float]] = {}
    for name, error in errors.items():
        grouped.setdefault(name.partition(":")[0], []).append(error)
    return {who: (sum(values) / len(values), len(values)) for who, values in grouped.items()}


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
