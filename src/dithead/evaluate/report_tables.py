"""Puts a report into words and Markdown tables: its title, what was compared, means over the same clips, every clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dithead.evaluate.baselines import AS_DRAWN, LABELS
from dithead.evaluate.metric_catalogue import Metric, MetricGroup, best_words, measured_groups
from dithead.evaluate.report import DRIVEN_BY, list_failures, list_unmeasured
from dithead.evaluate.statistics import Summary
from dithead.evaluate.tables import format_number, markdown_table
from dithead.glossary import EVALUATION, entries


def report_title(report: Mapping[str, Any]) -> str:
    """Return what a report compares, as a heading."""
    settings, labels = report["settings"], [report["rows"][row]["label"] for row in tool_rows(report)]
    if "joined" in settings:
        return f"Joined reports: {_enumerated(labels)}"
    if "generated" in settings:
        speech = "driven by other speech" if settings.get("drivers") else "against the true videos"
        return f"Videos of {_enumerated(labels)}, {speech}"
    return f"Evaluation of {report['rows'][report['headline']]['label']}"


def report_facts(report: Mapping[str, Any]) -> dict[str, str]:
    """Return what was measured on what, by which version, and with which command."""
    settings = {key: value for key, value in report["settings"].items() if value not in (None, {}, [])}
    settings = {key: settings[key] for key in sorted(settings, key=lambda key: key != "truth")}
    facts = {_FACTS.get(key, key.replace("_", " ")): _plain(key, value) for key, value in settings.items()}
    if "generated" in settings and "drivers" not in settings:
        facts["driving speech"] = "the clips' own"
    seconds = report["seconds"].values()
    took = sum(seconds) / max(1, len(seconds))
    facts["clips"] = f"{len(report['clips'])}, measured in {took:.0f} s each"
    facts["made with"] = f"dithead {report['version']}"
    return facts | ({"command": report["command"]} if report["command"] else {})


_FACTS = {
    "truth": "true videos",
    "generated": "videos of the tools",
    "drivers": "driving speech of",
    "joined": "joined reports",
    "model_sha256": "SHA-256 of the weights",
    "as_drawn": "row as drawn",
    "weights": "networks of others",
}
"""Setting -> its name for readers, where that is another."""


def _plain(key: str, value: Any) -> str:
    if key == "model_sha256":
        return str(value)[:12]
    if key == "protocols":
        return ", ".join(f"{name} ({DRIVEN_BY.get(name, 'masks of other mouths')})" for name in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {item}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def tool_rows(report: Mapping[str, Any]) -> list[str]:
    """Return the rows of models and tools: all but the baselines, and but the model's drawings as they are."""
    return [row for row in report["rows"] if row not in (*LABELS, AS_DRAWN) and not row.endswith(f"/{AS_DRAWN}")]


def compared_metrics(report: Mapping[str, Any], row: str) -> Mapping[str, Summary]:
    """Return a row's metrics over the clips that every row has; over its own clips where there is none such."""
    metrics: Mapping[str, Summary] = report["common"]["metrics"].get(row) or report["rows"][row]["metrics"]
    return metrics


def compared_clips(report: Mapping[str, Any], row: str) -> list[str]:
    """Return the clips over which ``compared_metrics`` are taken."""
    errors = report["rows"][row]["errors"]
    return list(report["common"]["clips"]) or [clip for clip in report["clips"] if clip not in errors]


def clips_made(report: Mapping[str, Any], row: str) -> str:
    """Return how many of all clips a row has."""
    return f"{len(report['clips']) - len(report['rows'][row]['errors'])} of {len(report['clips'])}"


def describe_coverage(report: Mapping[str, Any]) -> str:
    """Return one sentence that says over which clips the means are taken."""
    common, clips = report["common"]["clips"], list(report["clips"])
    if len(common) == len(clips):
        return f"Means over {'the clip' if len(clips) == 1 else f'all {len(clips)} clips'}, the same in every row."
    if not common:
        return (
            "No clip is there in every row: each mean is over the clips that its row has, and rows may not be compared."
        )
    left_out = ", ".join(clip for clip in clips if clip not in common)
    return (
        f"Means over the {len(common)} of {len(clips)} clips that every row has. Left out, because a row lacks them: "
        f"{left_out}."
    )


def report_markdown(report: Mapping[str, Any]) -> str:
    """Return the tables of means, one for each group of metrics, and every model or tool clip by clip."""
    return "\n\n".join([describe_coverage(report), *_mean_tables(report), *_clip_tables(report)]) + "\n"


def report_document(report: Mapping[str, Any]) -> str:
    """Return the whole of ``report.md``: what was compared, what failed, the tables, and what their words mean."""
    metrics = [metric for group in shown_groups(report) for metric in group.metrics]
    facts = report_facts(report)
    parts = [
        f"# {report_title(report)}",
        _bullets(f"{name}: {f'`{fact}`' if name == 'command' else fact}" for name, fact in facts.items()),
        *_section("Failed", list_failures(report)),
        *_section("Without a value", list_unmeasured(report)),
        *_section("Notes", report["notes"]),
        "## Means over clips",
        describe_coverage(report),
        *_mean_tables(report),
        "## Clip by clip",
        *_clip_tables(report),
        *_section("What the columns mean", [f"**{metric.heading}**: {metric.meaning}" for metric in metrics]),
        *_section("Words", [f"**{term}**: {meaning}" for term, meaning in entries(EVALUATION).items()]),
    ]
    return "\n\n".join(parts) + "\n"


def shown_groups(report: Mapping[str, Any]) -> list[MetricGroup]:
    """Return the groups with those metrics that some row has."""
    return measured_groups(name for row in report["rows"].values() for name in row["metrics"])


def _mean_tables(report: Mapping[str, Any]) -> list[str]:
    return [_mean_table(report, group) for group in shown_groups(report)]


def _mean_table(report: Mapping[str, Any], group: MetricGroup) -> str:
    lines = [["*best is*", "", *(best_words(metric.name) for metric in group.metrics)]]
    for name, row in report["rows"].items():
        metrics = compared_metrics(report, name)
        means = (_mean(metrics.get(metric.name), metric.decimals) for metric in group.metrics)
        lines.append([row["label"], clips_made(report, name), *means])
    heading = [f"{group.title}: mean over clips", "clips made", *(metric.heading for metric in group.columns)]
    return f"{group.question}\n\n{markdown_table(heading, lines)}"


def _clip_tables(report: Mapping[str, Any]) -> list[str]:
    metrics = [metric for group in shown_groups(report) for metric in group.metrics]
    return [_clip_table(report["rows"][row], metrics) for row in tool_rows(report)]


def _clip_table(row: Mapping[str, Any], metrics: Sequence[Metric]) -> str:
    shown = [metric for metric in metrics if metric.name in row["metrics"]]
    lines = [
        [clip, *(format_number(measures.get(metric.name), metric.decimals) for metric in shown)]
        for clip, measures in row["clips"].items()
    ]
    return markdown_table([f"{row['label']}: clip", *(metric.heading for metric in shown)], lines)


def _mean(summary: Summary | None, decimals: int) -> str:
    if summary is None:
        return "–"
    failed = f" ({summary['failed']} failed)" if summary["failed"] else ""
    return format_number(summary["mean"], decimals) + failed


def _section(heading: str, items: Sequence[str]) -> list[str]:
    return [f"## {heading}", _bullets(items)] if items else []


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _enumerated(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
