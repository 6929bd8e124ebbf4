"""Writes what was measured as ``bench.json`` and ``bench.html`` with plots, and makes the tables for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from dithead.bench.plots import bar_plot, stage_plot

_LEAST = 0.05  # core milliseconds a frame below which a stage is left out of the tables
_STYLE = (
    "body{font:14px sans-serif;margin:2em;max-width:60em}"
    "td,th{padding:2px 8px;text-align:right}td:first-child{text-align:left}"
)
_HEAD = ("case", "frames/s", "core-ms a frame", "cores busy", "first frame, s", "peak memory, MB")


def write_reports(output: Path, report: Mapping[str, Any]) -> None:
    """Write ``bench.json``, ``bench.html`` and a stage plot for each case, ``stages-CASE.svg``."""
    (output / "bench.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    for name, case in report["cases"].items():
        (output / f"stages-{name}.svg").write_text(stage_plot(name, case["timeline"]), "utf-8")
    (output / "bench.html").write_text(_page(report), "utf-8")


def bench_markdown(report: Mapping[str, Any]) -> str:
    """Return the two tables, of cases and of stages, as Markdown."""
    cases = report["cases"]
    rows = [_HEAD, *([name, *_figures(case)] for name, case in cases.items())]
    stages = [("core-ms a frame", *cases), *_stage_rows(cases)]
    lines = [_markdown(rows), "", _markdown(stages)]
    lines += [_live_line(name, case) for name, case in cases.items() if "live_frames_per_second" in case]
    return "\n".join(lines)


def _live_line(name: str, case: Mapping[str, Any]) -> str:
    """What live use adds, in one sentence."""
    speed = (
        f"{case['live_frames_per_second']:.1f} frames a second, {case['live_core_ms_per_frame']:.0f} core-ms a frame"
    )
    line = f"\n{name}: after loading {speed}"
    if "live_delay_ms" not in case:
        return line
    delays = [(case[key], what) for key, what in (("live_delay_ms", "its speech"), ("live_behind_ms", "the promise"))]
    ready = " and ".join(f"{d['median']:.0f} ms (95 %: {d['p95']:.0f} ms) after {what}" for d, what in delays)
    return f"{line}; a frame is ready {ready}; {case['live_late']:.1%} are late"


def _figures(case: Mapping[str, Any]) -> list[str]:
    memory = case["peak_memory_mb"]
    return [
        f"{case['frames_per_second']:.1f}",
        f"{case['core_ms_per_frame']:.1f}",
        f"{case['cores_busy']:.2f}",
        f"{case['first_frame_seconds']:.2f}",
        "–" if memory is None else f"{memory:.0f}",
    ]


def _stage_rows(cases: Mapping[str, Any]) -> list[list[str]]:
    """A row for each stage, the most expensive first."""
    names = {stage for case in cases.values() for stage in case["stages"]}
    cost = {name: max(_cost(case, name) for case in cases.values()) for name in names}
    shown = sorted((name for name in names if cost[name] >= _LEAST), key=lambda name: -cost[name])
    return [[name, *(f"{_cost(case, name):.1f}" for case in cases.values())] for name in shown]


def _cost(case: Mapping[str, Any], stage: str) -> float:
    return float(case["stages"].get(stage, {"core_ms_per_frame": 0.0})["core_ms_per_frame"])


def _markdown(rows: list[Any]) -> str:
    head, *body = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, rule, *body))


def _page(report: Mapping[str, Any]) -> str:
    cases = report["cases"]
    speeds = {name: case["frames_per_second"] for name, case in cases.items()}
    parts = [
        "<h1>Speed of dithead</h1>",
        _table([_HEAD, *([name, *_figures(case)] for name, case in cases.items())]),
        bar_plot("frames a second, end to end", speeds),
        "<h2>Stages</h2>" + _table([("core-ms a frame", *cases), *_stage_rows(cases)]),
        "<h2>Which core does what when</h2>",
        *(stage_plot(name, case["timeline"]) for name, case in cases.items()),
        f"<h2>Machine</h2><pre>{escape(json.dumps(report['machine'], indent=1))}</pre>",
    ]
    head = f"<meta charset=utf-8><title>Speed of dithead</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _table(rows: list[Any]) -> str:
    head, *body = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    return f"<table><tr>{head.replace('td>', 'th>')}</tr>" + "".join(f"<tr>{row}</tr>" for row in body) + "</table>"
