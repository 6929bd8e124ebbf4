"""Sub-commands that measure: evaluate, score, compare, study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Device, Json, Model, Seed, given, out, say

Weights = Annotated[list[str] | None, typer.Option(help="lpips=FILE, inception=FILE, face=FILE or syncnet=FILE.")]


def evaluate(
    data: Annotated[Path, typer.Option(help="Videos of people never trained on, or a prepared dataset.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Report folder; the same command resumes it.")],
    model: Model = None,
    steps: Annotated[list[int] | None, typer.Option(help="Sampling steps; repeatable; else the model's own.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="self, cross, silent or mask; repeatable.")] = None,
    seed: Seed = None,
    device: Device = None,
    weights: Weights = None,
    baselines: Annotated[Path | None, typer.Option(help="An earlier report over the same clips.")] = None,
    engine: Annotated[str | None, typer.Option(help="Where clips are measured: local or ray (a cluster).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Clips measured at once.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on a folder of videos: does the mouth follow its own, another's and no speech?"""
    from dithead.evaluate.protocols import evaluate_model
    from dithead.evaluate.test_clips import named_paths
    from dithead.hub import DEFAULT_MODEL

    options = given(steps=steps, protocols=protocol, seed=seed, device=device, weights=named_paths(weights or []))
    options |= given(baselines=baselines, engine=engine, workers=workers)
    report = evaluate_model(model or DEFAULT_MODEL, data, output, say=say, **options)
    _print_report(report, output, as_json)


def score(
    generated: Annotated[Path, typer.Option(help="Folder of generated videos, made by any tool.")],
    truth: Annotated[Path, typer.Option(help="Folder of the true videos, matched by name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Report folder.")],
    drivers: Annotated[Path | None, typer.Option(help="Videos of the driving audio, for cross-audio.")] = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Measure videos that exist already, of this or any other tool, against the truth."""
    from dithead.evaluate.score import score_folders
    from dithead.evaluate.test_clips import named_paths

    options = given(drivers=drivers, weights=named_paths(weights or []))
    _print_report(score_folders(generated, truth, output, **options), output, as_json)


def compare(
    first: Annotated[Path, typer.Argument(help="A report folder of `evaluate` or `score`.")],
    second: Annotated[Path, typer.Argument(help="Another, over the same clips.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page to write, .html.")] = None,
    as_json: Json = False,
) -> None:
    """Put two reports side by side, clip by clip: which is better, and is it more than luck?"""
    from dithead.evaluate.compare import compare_reports, comparison_table

    result = compare_reports(first, second)
    if output is not None:
        from dithead.evaluate.comparison_page import write_comparison

        write_comparison(result, output)
    out(json.dumps(result, ensure_ascii=False) if as_json else comparison_table(result))


def study(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to send out; its key lies beside it.")],
    folder: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of videos; two or more.")] = None,
    answers: Annotated[list[Path] | None, typer.Option(help="Answer files that came back; repeatable.")] = None,
) -> None:
    """Ask people: make a blinded page of video pairs, or count the answers (JSON) that came back."""
    from dithead.evaluate.study import make_study, study_results
    from dithead.evaluate.test_clips import named_paths

    if answers:
        out(json.dumps(study_results(output, answers), ensure_ascii=False))
    else:
        out(str(make_study(named_paths(folder or []), output)))


def _print_report(report: dict[str, Any], output: Path, as_json: bool) -> None:
    from dithead.evaluate.report import failures, markdown

    for line in (*(f"failed: {failure}" for failure in failures(report)), *report["notes"]):
        say(line)
    out((output / "report.json").read_text("utf-8").rstrip() if as_json else markdown(report))
    if not as_json:
        out(f"{output / 'report.html'}")
