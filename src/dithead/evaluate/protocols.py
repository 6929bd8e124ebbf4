"""Runs a model over a folder of videos by several protocols (``options.PROTOCOLS``), and measures what it generates.

Everything is written to the report's folder once: the same command continues where it was interrupted, and measures
clips anew whose videos were replaced. A row is one set of videos that is measured, such as those of the model at one
number of steps, see ``report``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.engine import map_tasks
from dithead.errors import DitheadError
from dithead.evaluate.baselines import AS_DRAWN
from dithead.evaluate.clip_protocols import all_failed, measure_clip, model_row
from dithead.evaluate.command_text import evaluate_command
from dithead.evaluate.options import EvaluateOptions
from dithead.evaluate.plan import EvaluationPlan, make_plan
from dithead.evaluate.report import ClipRecord, build_report
from dithead.evaluate.report_folder import write_reports
from dithead.inference.notes import TOO_MANY
from dithead.progress import Progress, annotate, plural, silent

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

Say = Callable[[str], None]
"""Called with a line of progress after every clip."""


def evaluate_model(
    model: str | Path | TalkingHead,
    data: Path | str,
    output: Path | str,
    options: EvaluateOptions | None = None,
    *,
    say: Say | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a model on every clip, and write report.json, report.md and report.html.

    Args:
        model: A loaded model, a shipped name, a model folder or a hub id.
        data: Folder of videos, or a prepared dataset, of which the people held out from training are taken.
        output: Folder of the report.
        options: How to evaluate; the defaults when absent.
        say: Receives a line of progress after every clip.
        progress: Called with what is being done, the steps done and the steps in all; within clips, too, where one
            process measures them.

    Returns:
        The content of report.json. A clip that fails is listed in it and counted.

    Raises:
        ConfigError, DataError, OutputError: The request cannot be met.
    """
    plan = make_plan(model, Path(data), Path(output), options or EvaluateOptions())
    if say is not None and plan.replaced:
        say(f"measured again, because a video was replaced: {', '.join(plan.replaced)}")
    progress("clips", 0, len(plan.videos))
    records = _measure_clips(plan, say, progress)
    labels = plan.baselines | {model_row(n): f"{plan.name}, {plural(n, 'step')}" for n in plan.steps}
    if plan.options.as_drawn:
        labels[AS_DRAWN] = f"{plan.name} as drawn: nothing lent, nothing replaced"
    headline = model_row(plan.steps[0])
    # a model that was given as an object has no name by which a command could load it
    command = evaluate_command(str(model), data, output, plan.options) if isinstance(model, str | Path) else ""
    report = build_report(records, labels, headline, plan.settings, plan.networks.missing(), command=command)
    report["notes"] = [*replacement_notes(report), *report["notes"]]
    write_reports(plan.output, report, records)
    return report


def replacement_notes(report: Mapping[str, Any]) -> list[str]:
    """Warn where pictures of the source stand in for many drawings: the row's numbers are not the model's then."""
    notes = []
    for row in report["rows"].values():
        means = (row["metrics"].get(name, {}).get("mean") or 0 for name in ("mouths_replaced", "mouths_mended"))
        if (share := sum(means)) > TOO_MANY:
            notes.append(
                f"warning: {row['label']}: {share:.0%} of the drawn mouths were replaced or mended by pictures of the "
                "source; judge the model by the row as drawn"
            )
    return notes


def _measure_clips(plan: EvaluationPlan, say: Say | None, progress: Progress) -> list[ClipRecord]:
    """The records of all clips in the order of the plan; a clip whose worker died has a record with that error."""
    names, engine, workers = list(plan.videos), plan.options.engine, plan.options.workers
    records: dict[str, ClipRecord] = {}
    alone = (engine, workers) == ("local", 1)

    def watch(text: str) -> None:
        annotate(progress, text)
        progress("clips", len(records), len(names))

    work = partial(_load_or_measure, replace(plan, watch=watch) if alone else plan.absolute())
    for done, (index, result) in enumerate(map_tasks(work, names, engine=engine, workers=workers), 1):
        name = names[index]
        if isinstance(result, DitheadError):
            result = ClipRecord(name, errors=all_failed(plan, str(result)))
        elif isinstance(result, Exception):
            raise result
        records[name] = result
        progress("clips", done, len(names))
        if say is not None:
            say(f"{done}/{len(names)} {name}: {result.seconds:.0f} s")
    return [records[name] for name in names]


def _load_or_measure(plan: EvaluationPlan, clip: str) -> ClipRecord:
    """The clip's record: read when it is there and without errors, measured otherwise."""
    path = plan.output / "clips" / f"{clip}.json"
    if path.exists():
        record = ClipRecord.load(path)
        if not record.errors:
            return record
    record = measure_clip(plan, clip)
    record.save(path)
    return record
