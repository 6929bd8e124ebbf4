"""A run on one page: ``report.html`` with curves, samples, held-out numbers, settings, commit and cost.

Nothing beside the file is needed to read it: curves are inline SVG, pictures inline PNG.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dithead.errors import DataError
from dithead.train.loop.processes import team
from dithead.train.loop.run_folder import Run

Series = list[tuple[float, float]]
_WIDTH, _HEIGHT = 320, 140
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }}
h2 {{ font-size: 1.15rem; margin: 1.5rem 0 .5rem }} .tables {{ display: flex; flex-wrap: wrap; gap: 0 4rem }}
figure {{ display: inline-block; margin: .5rem 1rem .5rem 0 }} figcaption {{ font-size: 13px; color: #555 }}
table {{ border-collapse: collapse }} td {{ padding: .1rem 1rem .1rem 0 }} td + td {{ text-align: right; padding: 0 }}
img {{ width: 100%; image-rendering: pixelated }} path {{ fill: none; stroke: #2a6; stroke-width: 1.5 }}
pre {{ background: #f6f6f6; padding: 1rem; font-size: 12px; columns: 16rem; white-space: pre-wrap }}
svg {{ background: #fafafa; border: 1px solid #ddd }} text {{ font-size: 10px; fill: #777 }}
</style>
<h1>{title}</h1>
<div class="tables"><div><h2>Numbers at the end</h2>{numbers}</div>
{people}<div><h2>Cost</h2>{cost}</div></div>
<h2>Curves</h2>{curves}
{samples}<h2>Settings</h2><pre>{config}</pre>
</html>
"""
_UNITS = {"seconds_per_step": " s", "peak_memory_gb": " GB", "preparing": " s", "looking": " s"}


def write_report(run: Run) -> Path:
    """Write ``report.html`` into the run's folder; safe to call again. Raises DataError for a run without numbers."""
    series = read_metrics(run.folder / "metrics.jsonl")
    stage = str(run.config.get("stage", "training"))
    page = _PAGE.format(
        title=html.escape(f"{stage}: {run.folder.name}"),
        numbers=_table({name: _short(values[-1][1]) for name, values in series.items()}),
        people=_people(run.folder / "held_out.json"),
        cost=_table(_cost(run)),
        curves="".join(_curve(name, values) for name, values in series.items() if len(values) > 1),
        samples=_samples(sorted((run.folder / "samples").glob("*.png"))),
        config=html.escape("\n".join(f"{name} {value}" for name, value in _flat(run.config))),
    )
    path = run.folder / "report.html"
    part = path.with_suffix(".part")
    part.write_text(page, "utf-8")
    part.replace(path)
    return path


def read_metrics(path: Path) -> dict[str, Series]:
    """For each number of a ``metrics.jsonl`` its (step, value) pairs in order."""
    if not path.exists():
        raise DataError(f"{path} is missing; there is nothing to report")
    series: dict[str, Series] = defaultdict(list)
    for line in path.read_text("utf-8").splitlines():
        values: dict[str, float] = json.loads(line)
        step = values.pop("step", 0)
        values.pop("time", None)
        for name, value in values.items():
            series[name].append((step, value))
    return dict(series)


def commit() -> str:
    """The commit that this code is, or its version where it is not in a repository."""
    from dithead import __version__

    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__} at {found}"


def _cost(run: Run) -> dict[str, str]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    path = run.folder / "cost.json"
    known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return {
        "trained for": duration(run.seconds),
        "on": f"{team().size} x {device}, {os.cpu_count()} threads, torch {torch.__version__}",
        "code": commit(),
        **{
            name.replace("_", " ").removesuffix(" gb"): _short(value) + _UNITS.get(name, "")
            for name, value in known.items()
            if name != "seconds"
        },
    }


def _people(path: Path) -> str:
    """Errors of held-out clips, the worst first."""
    if not path.exists():
        return ""
    errors: dict[str, float] = json.loads(path.read_text("utf-8"))["error"]
    rows = _table({name: _short(value) for name, value in errors.items()})
    return f"<div><h2>Held-out error by clip</h2>{rows}</div>"


def _table(rows: dict[str, str]) -> str:
    cells = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(cells)}</table>"


def _short(value: float) -> str:
    return f"{value:.4g}"


def _curve(name: str, values: Series) -> str:
    """One number over the steps as SVG."""
    points = [(x, y) for x, y in values if math.isfinite(y)]
    if len(points) < 2:
        return ""
    (low_x, high_x), (low, high) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    x = [(p[0] - low_x) / ((high_x - low_x) or 1) * _WIDTH for p in points]
    y = [_HEIGHT - (p[1] - low) / ((high - low) or 1) * (_HEIGHT - 20) - 10 for p in points]
    line = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    labels = f'<text x="4" y="10">{_short(high)}</text><text x="4" y="{_HEIGHT - 2}">{_short(low)}</text>'
    svg = f'<svg width="{_WIDTH}" height="{_HEIGHT}"><path d="{line}"/>{labels}</svg>'
    told = f"{html.escape(name)}, steps {low_x:.0f} to {high_x:.0f}"
    return f"<figure>{svg}<figcaption>{told}</figcaption></figure>"


def _samples(sheets: Sequence[Path]) -> str:
    """The first and the last sheet."""
    chosen = list(dict.fromkeys([*sheets[:1], *sheets[-1:]]))
    told = "<h2>Samples of people held out</h2><p>From above: truth, masked, reference, drawn.</p>"
    return told + "".join(_picture(sheet) for sheet in chosen) if chosen else ""


def _picture(path: Path) -> str:
    data: Any = base64.b64encode(path.read_bytes()).decode()
    return f'<p>step {int(path.stem.split("-")[0])}<br><img src="data:image/png;base64,{data}" alt=""></p>'


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings within settings by their names with dots."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
