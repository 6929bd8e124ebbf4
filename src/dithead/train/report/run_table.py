"""Runs side by side: what each changed, what came out on held-out people, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dithead.errors import DataError
from dithead.train.loop.run_folder import differences
from dithead.train.report.run_report import read_metrics

PREFIX = "held_out_"


def runs_table(runs: Sequence[Path], seeds: bool = False) -> str:
    """A Markdown table of finished runs, the settings of each told against the first's.

    ``seeds``: runs that differ in their seed alone are one row, each number with its smallest and largest value.
    Raises DataError for a folder without a finished run.
    """
    told = [_read(run / "config.json") for run in runs]
    groups: dict[str, list[int]] = {}
    for i, config in enumerate(told):
        same = json.dumps({**config, "seed": 0}) if seeds else str(i)
        groups.setdefault(same, []).append(i)
    rows = [_row([runs[i] for i in group], told[group[0]], told[0], seeds) for group in groups.values()]
    names = list(dict.fromkeys(chain.from_iterable(rows)))
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


def _row(runs: Sequence[Path], config: Any, first: Any, seeds: bool) -> dict[str, str]:
    """One run, or several that differ in their seed alone."""
    aside = ("data", "seed") if seeds else ("data",)
    changed = [line for line in differences(first, config) if not line.startswith(aside)]
    told = "; ".join(_short(line) for line in changed) or "–"
    ends = [_last(run) for run in runs]
    numbers = {name: _spread([end[name] for end in ends if name in end]) for name in ends[0]}
    speeds = [_read(run / "cost.json")["step_rows_per_second"] for run in runs]
    # A name is of several runs; that of the first without its seed stands for all.
    name = runs[0].name.removesuffix(f"-{config['seed']}") if seeds else runs[0].name
    return {"run": name, "differs in": told, **numbers, "samples/s": f"{sum(speeds) / len(speeds):.0f}"}


def _last(run: Path) -> dict[str, float]:
    """The last of each held-out number."""
    series = read_metrics(run / "metrics.jsonl")
    return {
        name.removeprefix(PREFIX).replace("_", " "): values[-1][1]
        for name, values in series.items() if name.startswith(PREFIX)
    }  # fmt: skip


def _spread(values: Sequence[float]) -> str:
    """Their mean, and where there are several, the smallest and the largest."""
    mean = f"{sum(values) / len(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def _short(line: str) -> str:
    """``model.objective flow there, ddpm now`` as ``objective ddpm``; of a path its last part."""
    name, _, rest = line.partition(" ")
    value = rest.partition(" there, ")[2].removesuffix(" now")
    return f"{name.rpartition('.')[2]} {value.rpartition('/')[2]}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {path.parent} is no finished run") from None
