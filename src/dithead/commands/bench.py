"""The sub-command bench, which measures the speed of generation on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.bench.options import BenchOptions
from dithead.commands.shared import Json, given, out, say, takes_options


@takes_options(BenchOptions)
def bench(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Report folder; source videos in it are used again.")
    ] = Path("bench"),
    as_json: Json = False,
    **options: Any,
) -> None:
    """Measure how fast this machine generates: frames a second, processor time by stage, memory, first frame."""
    from dithead.bench.measure import run_bench
    from dithead.bench.report import bench_markdown

    report = run_bench(output, BenchOptions(**given(**options)), say)
    out(json.dumps(report) if as_json else bench_markdown(report))
    if not as_json:
        out(f"\n{output / 'bench.html'}")
