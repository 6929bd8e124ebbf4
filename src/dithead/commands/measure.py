"""Sub-commands that measure: evaluate, score, compare, study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, Model, given, out, say, takes_options
from dithead.evaluate.options import EvaluateOptions

Weights = Annotated[list[str] | None, typer.Option(help="lpips=FILE, inception=FILE, face=FILE or syncnet=FILE.")]


@takes_options(EvaluateOptions)
def evaluate(
    data: Annotated[Path, typer.Option(help="Videos of people never trained on, or a prepared dataset.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Report folder; the same command resumes it.")],
    model: Model = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Measure a model on a folder of videos: does the mouth follow its own speech, another's, and silence?"""
    from dithead.evaluate.evaluation_clips import parse_named_paths
    from dithead.evaluate.protocols import evaluate_model
    from dithead.hub import DEFAULT_MODEL

    weights = parse_named_paths(options.pop("weights") or [])
    chosen = EvaluateOptions(**given(**options, weights=weights))
    report = evaluate_model(model or DEFAULT_MODEL, data, output, chosen, say=say)
    _print_report(report, output, as_json)


def score(
    generated: Annotated[Path, typer.Option(help="Folder of generated videos, made by any tool.")],
    truth: Annotated[Path, typer.Option(help="Folder of the true videos, matched by name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Report folder.")],
    drivers: Annotated[
        Path | None, typer.Option(help="Videos that the driving speech comes from, where it is not the clip's own.")
    ] = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Measure videos that exist already, of this or any other tool, against the truth."""
    from dithead.evaluate.evaluation_clips import parse_named_paths
    from dithead.evaluate.score import score_folders

    options = given(drivers=drivers, weights=parse_named_paths(weights or []))
    _print_report(score_folders(generated, truth, output, **options), output, as_json)


def compare(
    first: Annotated[Path, typer.Argument(help="A report folder of `evaluate` or `score`.")],
    second: Annotated[Path, typer.Argument(help="Another one, on the same clips.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page to write, an .html file.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two reports clip by clip: which is better, and may the difference be chance?"""
    from dithead.evaluate.compare import compare_reports, comparison_table

    result = compare_reports(first, second)
    if output is not None:
        from dithead.evaluate.comparison_page import write_comparison

        write_comparison(result, output)
    out(json.dumps(result, ensure_ascii=False) if as_json else comparison_table(result))


def study(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to send out; its key is written next to it.")],
    folder: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of videos; two or more.")] = None,
    answers: Annotated[list[Path] | None, typer.Option(help="Answer files that came back; repeatable.")] = None,
) -> None:
    """Make a page on which people compare pairs of videos blindly, or count the answers that came back."""
    from dithead.evaluate.evaluation_clips import parse_named_paths
    from dithead.evaluate.study import make_study, study_results

    if answers:
        out(json.dumps(study_results(output, answers), ensure_ascii=False))
    else:
        out(str(make_study(parse_named_paths(folder or []), output)))


def _print_report(report: dict[str, Any], output: Path, as_json: bool) -> None:
    from dithead.evaluate.report import list_failures, report_markdown

    for line in (*(f"failed: {failure}" for failure in list_failures(report)), *report["notes"]):
        say(line)
    out((output / "report.json").read_text("utf-8").rstrip() if as_json else report_markdown(report))
    if not as_json:
        out(f"{output / 'report.html'}")
