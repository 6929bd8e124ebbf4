"""Write a run's ``report.html``: curves, samples, metrics on held-out people with a legend, settings and cost.

The file can be read by itself: curves are inline SVG, pictures inline PNG.
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
from dithead.glossary import TRAINING, entries
from dithead.train.loop.processes import process_group
from dithead.train.loop.run_folder import RunFolder
from dithead.train.metrics.explanations import explain

Series = list[tuple[float, float]]
"""A metric's (step, value) pairs in order."""
_WIDTH, _HEIGHT = 320, 140  # pixels of a curve
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
dl {{ font-size: 13px; columns: 26rem }} dt {{ font-weight: bold }} dd {{ margin: 0 0 .4rem; break-before: avoid }}
</style>
<h1>{title}</h1>
<div class="tables"><div><h2>Metrics at the end</h2>{metrics}</div>
{people}<div><h2>Cost</h2>{cost}</div></div>
{legend}<h2>Curves</h2>{curves}
{samples}<h2>Words</h2><dl>{words}</dl><h2>Settings</h2><pre>{config}</pre>
</html>
"""
_STAGES = {
    "autoencoder": "Training of the autoencoder",
    "audio": "Training of the audio encoder",
    "dit": "Training of the denoiser",
    "sync": "Training of a sync expert",
}
_UNITS = {"seconds_per_step": " s", "peak_memory_gb": " GB", "preparing": " s", "measuring": " s"}


def write_report(run: RunFolder) -> Path:
    """Write ``report.html`` into the run's folder, over an earlier one.

    Raises:
        DataError: The run has no metrics.
    """
    series = read_metrics(run.folder / "metrics.jsonl")
    stage = str(run.config.get("stage", "training"))
    page = _PAGE.format(
        title=html.escape(f"{_STAGES.get(stage, stage)}, run {run.folder.name}"),
        metrics=_table({name: _short(values[-1][1]) for name, values in series.items()}),
        legend=_legend(explain(stage, series)),
        people=_people(run.folder / "held_out.json"),
        cost=_table(_cost(run)),
        curves="".join(_curve(name, values) for name, values in series.items() if len(values) > 1),
        samples=_samples(sorted((run.folder / "samples").glob("*.png"))),
        words="".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in entries(TRAINING).items()),
        config=html.escape("\n".join(f"{name} {value}" for name, value in _flat(run.config))),
    )
    path = run.folder / "report.html"
    part = path.with_suffix(".part")
    part.write_text(page, "utf-8")
    part.replace(path)
    return path


def read_metrics(path: Path) -> dict[str, Series]:
    """Read a ``metrics.jsonl``: each metric's (step, value) pairs in order.

    Raises:
        DataError: The file is missing.
    """
    if not path.exists():
        raise DataError(f"{path} is missing; train for some steps first")
    series: dict[str, Series] = defaultdict(list)
    for line in path.read_text("utf-8").splitlines():
        values: dict[str, float] = json.loads(line)
        step = values.pop("step", 0)
        values.pop("time", None)
        for name, value in values.items():
            series[name].append((step, value))
    return dict(series)


def code_version() -> str:
    """Return dithead's version, with its commit where the code is in a git repository."""
    from dithead import __version__

    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__} at {described}"


def _cost(run: RunFolder) -> dict[str, str]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    path = run.folder / "cost.json"
    costs: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return {
        "trained for": duration(run.seconds),
        "on": f"{process_group().size} x {device}, {os.cpu_count()} threads, torch {torch.__version__}",
        "code": code_version(),
        **{
            name.replace("_", " ").removesuffix(" gb"): _short(value) + _UNITS.get(name, "")
            for name, value in costs.items()
            if name != "seconds"
        },
    }


def _people(path: Path) -> str:
    """Return the errors of held-out clips, the worst first, as a table."""
    if not path.exists():
        return ""
    errors: dict[str, float] = json.loads(path.read_text("utf-8"))["error"]
    rows = _table({name: _short(value) for name, value in errors.items()})
    return f"<div><h2>Held-out error by clip</h2>{rows}</div>"


def _legend(explanations: Mapping[str, str]) -> str:
    """Return what the metrics mean as a list of definitions."""
    if not explanations:
        return ""
    entries = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in explanations.items())
    return f"<h2>What the metrics mean</h2><dl>{''.join(entries)}</dl>\n"


def _table(rows: dict[str, str]) -> str:
    cells = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(cells)}</table>"


def _short(value: float) -> str:
    return f"{value:.4g}"


def _curve(name: str, values: Series) -> str:
    """Draw one metric over the steps as SVG."""
    points = [(x, y) for x, y in values if math.isfinite(y)]
    if len(points) < 2:
        return ""
    (low_x, high_x), (low, high) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    x = [(p[0] - low_x) / ((high_x - low_x) or 1) * _WIDTH for p in points]
    y = [_HEIGHT - (p[1] - low) / ((high - low) or 1) * (_HEIGHT - 20) - 10 for p in points]
    line = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    labels = f'<text x="4" y="10">{_short(high)}</text><text x="4" y="{_HEIGHT - 2}">{_short(low)}</text>'
    svg = f'<svg width="{_WIDTH}" height="{_HEIGHT}"><path d="{line}"/>{labels}</svg>'
    caption = f"{html.escape(name)}, steps {low_x:.0f} to {high_x:.0f}"
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _samples(sheets: Sequence[Path]) -> str:
    """Return the first and the last sample sheet."""
    chosen = list(dict.fromkeys([*sheets[:1], *sheets[-1:]]))
    heading = "<h2>Samples of held-out people</h2><p>From above: truth, masked, reference, generated.</p>"
    return heading + "".join(_picture(sheet) for sheet in chosen) if chosen else ""


def _picture(path: Path) -> str:
    data: Any = base64.b64encode(path.read_bytes()).decode()
    return f'<p>step {int(path.stem.split("-")[0])}<br><img src="data:image/png;base64,{data}" alt=""></p>'


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings within settings by their names with dots."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def duration(seconds: float) -> str:
    """Format seconds for people: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
