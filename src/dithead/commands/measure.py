"""Sub-commands that measure: evaluate, score, compare, study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, Model, given, out, reports, say, takes_options
from dithead.errors import ConfigError
from dithead.evaluate.options import EvaluateOptions
from dithead.progress import terminal_progress

Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="Pretrained networks: lpips=FILE, inception=FILE, face=FILE or syncnet=FILE; repeatable.",
        metavar="NAME=FILE",
    ),
]


@reports
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
    with terminal_progress() as progress:
        report = evaluate_model(model or DEFAULT_MODEL, data, output, chosen, say=say, progress=progress)
    _print_report(report, output, as_json)


@reports
def score(
    generated: Annotated[
        list[str],
        typer.Option(help="Folder of a tool's videos, or one video; repeatable with names.", metavar="[NAME=]FOLDER"),
    ],
    truth: Annotated[Path, typer.Option(help="Folder of the true videos, or one video.", metavar="FOLDER")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Report folder.", metavar="FOLDER")],
    drivers: Annotated[
        Path | None,
        typer.Option(
            help="Videos, named as the clips, whose speech drives them in place of their own.", metavar="FOLDER"
        ),
    ] = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Measure videos that exist already, of this or any other tools, against the truth, in one table."""
    from dithead.evaluate.evaluation_clips import parse_named_paths
    from dithead.evaluate.score import score_folders

    options = given(drivers=drivers, weights=parse_named_paths(weights or []))
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        say(line)

    with terminal_progress() as progress:
        report = score_folders(_tools(generated), truth, output, say=tell, progress=progress, **options)
    _print_report(report, output, as_json, told)


def report(
    reports: Annotated[list[Path], typer.Argument(help="Report folders on the same clips, two or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the joined report.", metavar="FOLDER")],
    as_json: Json = False,
) -> None:
    """Join reports of `evaluate` and `score` into one table with all their models and tools."""
    from dithead.evaluate.join_reports import join_reports

    _print_report(join_reports(reports, output), output, as_json)


def compare(
    first: Annotated[Path, typer.Argument(help="A report folder of `evaluate` or `score`.")],
    second: Annotated[
        Path | None,
        typer.Argument(help="Another one, on the same clips; without it the tools of the first are compared."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page to write, an .html file.")] = None,
    as_json: Json = False,
) -> None:
    """Compare every model and tool of two reports clip by clip: which is better, and may the difference be chance?"""
    from dithead.evaluate.compare import compare_reports, comparison_tables

    comparisons = compare_reports(first, second)
    if output is not None:
        from dithead.evaluate.comparison_page import write_comparisons

        write_comparisons(comparisons, output)
    out(json.dumps(comparisons, ensure_ascii=False) if as_json else comparison_tables(comparisons))
    if output is not None and not as_json:
        out(f"{output}")


def study(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to send out; its key is written next to it.")],
    folder: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of videos; two or more.")] = None,
    answers: Annotated[list[Path] | None, typer.Option(help="Answer files that came back; repeatable.")] = None,
) -> None:
    """Make a page on which people compare pairs of videos blindly, or count the answers that came back."""
    from dithead.evaluate.evaluation_clips import parse_named_paths
    from dithead.evaluate.study import make_study, study_results

    if answers and folder:
        raise ConfigError("--answers and --folder exclude each other: make the study first, then count its answers")
    if answers:
        out(json.dumps(study_results(output, answers), ensure_ascii=False))
    else:
        out(str(make_study(parse_named_paths(folder or []), output)))


def _tools(entries: list[str]) -> dict[str, Path] | Path:
    """``NAME=FOLDER`` entries, or a single folder without a name."""
    from dithead.evaluate.evaluation_clips import parse_named_paths

    if len(entries) == 1 and (Path(entries[0]).exists() or "=" not in entries[0]):
        return Path(entries[0])
    if unnamed := [entry for entry in entries if "=" not in entry]:
        raise ConfigError(f"{unnamed[0]}: give each of several tools a name, as in --generated NAME={unnamed[0]}")
    return dict(parse_named_paths(entries))


def _print_report(report: dict[str, Any], output: Path, as_json: bool, told: Sequence[str] = ()) -> None:
    """Print a report's tables, after its failures and those notes that were not told before."""
    from dithead.evaluate.report import list_failures, list_unmeasured
    from dithead.evaluate.report_tables import report_markdown

    failures = [f"failed: {failure}" for failure in list_failures(report)]
    for line in (*failures, *(f"without a value: {gap}" for gap in list_unmeasured(report)), *report["notes"]):
        if line not in told:
            say(line)
    out((output / "report.json").read_text("utf-8").rstrip() if as_json else report_markdown(report))
    if not as_json:
        out(f"{output / 'report.html'}")
