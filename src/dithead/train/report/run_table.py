"""Print runs side by side: which settings differ, metrics on held-out people, and speed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dithead.errors import DataError
from dithead.train.loop.run_folder import differences
from dithead.train.metrics.explanations import explain
from dithead.train.report.run_report import read_metrics

PREFIX = "held_out_"
"""Of the names of metrics on held-out people."""


def runs_table(runs: Sequence[Path], seeds: bool = False) -> str:
    """Make a Markdown table of finished runs; settings are listed where they differ from the first run's.

    Args:
        runs: Run folders.
        seeds: Runs that differ in their seed alone become one row, each metric with its smallest and largest value.

    Raises:
        DataError: A folder holds no finished run.
    """
    configs = [_read(run / "config.json") for run in runs]
    groups: dict[str, list[int]] = {}
    for i, config in enumerate(configs):
        same = json.dumps({**config, "seed": 0}) if seeds else str(i)
        groups.setdefault(same, []).append(i)
    rows = [_row([runs[i] for i in group], configs[group[0]], configs[0], seeds) for group in groups.values()]
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    lines = [names, ["---"] * 2 + ["---:"] * (len(names) - 2), *([row.get(name, "") for name in names] for row in rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{table}\n\n{_meanings(names)}".rstrip()


def _meanings(columns: Sequence[str]) -> str:
    """What the columns of metrics mean, one line each."""
    stages = ("dit", "audio", "autoencoder", "sync")
    known = {
        name.removeprefix(PREFIX).replace("_", " "): meaning
        for stage in reversed(stages)
        for name, meaning in explain(stage, [PREFIX + column.replace(" ", "_") for column in columns]).items()
    }
    return "\n".join(f"{column}: {known[column]}" for column in columns if column in known)


def people_table(runs: Sequence[Path]) -> str:
    """Make a Markdown table of each held-out person's error in each denoiser run, the first run's worst person first.

    Raises:
        DataError: A folder has no errors by clip (``held_out.json``).
    """
    means = [_by_person(_read(run / "held_out.json")["error"]) for run in runs]
    people = sorted({name for run in means for name in run}, key=lambda name: -means[0].get(name, (0.0, 0))[0])
    rows = []
    for name in people:
        clips = next(run[name][1] for run in means if name in run)
        rows.append([name, str(clips), *(f"{run[name][0]:.3f}" if name in run else "" for run in means)])
    lines = [["person", "clips", *(run.name for run in runs)], ["---", "---:", *["---:"] * len(runs)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _by_person(errors: dict[str, float]) -> dict[str, tuple[float, int]]:
    """Turn errors of clips, named ``person: clip (variant)``, into each person's mean error and number of clips."""
    grouped: dict[str, list[float]] = {}
    for name, error in errors.items():
        grouped.setdefault(name.partition(":")[0], []).append(error)
    return {person: (sum(values) / len(values), len(values)) for person, values in grouped.items()}


def _row(runs: Sequence[Path], config: Any, first: Any, seeds: bool) -> dict[str, str]:
    """Make the row of one run, or of several that differ in their seed alone."""
    ignored = ("data", "seed") if seeds else ("data",)
    changed = [line for line in differences(first, config) if not line.startswith(ignored)]
    changes = "; ".join(_short(line) for line in changed) or "–"
    ends = [_last(run) for run in runs]
    metrics = {name: _spread([end[name] for end in ends if name in end]) for name in ends[0]}
    speeds = [_read(run / "cost.json")["step_rows_per_second"] for run in runs]
    # The name of the first run without its seed stands for all of a row.
    name = runs[0].name.removesuffix(f"-{config['seed']}") if seeds else runs[0].name
    return {"run": name, "differs in": changes, **metrics, "samples/s": f"{sum(speeds) / len(speeds):.0f}"}


def _last(run: Path) -> dict[str, float]:
    """Return the last value of each metric on held-out people."""
    series = read_metrics(run / "metrics.jsonl")
    return {
        name.removeprefix(PREFIX).replace("_", " "): values[-1][1]
        for name, values in series.items() if name.startswith(PREFIX)
    }  # fmt: skip


def _spread(values: Sequence[float]) -> str:
    """Format the mean, and where there are several values, the smallest and the largest."""
    mean = f"{sum(values) / len(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def _short(line: str) -> str:
    """Shorten ``model.objective flow there, ddpm now`` to ``objective ddpm``, and a path to its last part."""
    name, _, rest = line.partition(" ")
    value = rest.partition(" there, ")[2].removesuffix(" now")
    return f"{name.rpartition('.')[2]} {value.rpartition('/')[2]}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {path.parent} is no finished run; train it to its end first") from None
