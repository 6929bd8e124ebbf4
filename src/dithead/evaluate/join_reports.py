"""Joins several reports on the same clips into one, with a row for each of their models and tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from dithead.errors import DataError
from dithead.evaluate.baselines import LABELS
from dithead.evaluate.command_text import join_command
from dithead.evaluate.compare import read_report
from dithead.evaluate.network_measures import OVER_ALL
from dithead.evaluate.report import ClipRecord, build_report
from dithead.evaluate.report_folder import claim_folder, write_reports


def join_reports(reports: Sequence[Path | str], output: Path | str) -> dict[str, Any]:
    """Write one report with the rows of several.

    Baselines are taken from the first report that has them. Clips that are not in all reports are left out and named.

    Args:
        reports: Folders of reports of ``evaluate`` or ``score``, two or more. The headline is that of the first one.
        output: Folder of the new report.

    Returns:
        The content of report.json.

    Raises:
        DataError: There are fewer than two reports, one is none, or they have no clip in common.
        OutputError: The folder holds something else.
    """
    if len(reports) < 2:
        raise DataError("give two reports or more to join")
    found = {str(path): read_report(path) for path in reports}
    common = [clip for clip in next(iter(found.values()))["clips"] if all(clip in r["clips"] for r in found.values())]
    if not common:
        raise DataError(f"{' and '.join(map(str, reports))} have no clip in common; join reports over the same clips")
    claim_folder(Path(output), {"joined": [str(path) for path in reports]})
    rows = _rows(found)
    records = [_record(clip, rows, found) for clip in common]
    labels = {name: row["label"] for name, row in rows.items()}
    every = {clip for report in found.values() for clip in report["clips"]}
    left_out = sorted(every - set(common))
    notes = [f"left out, because not every report has them: {', '.join(left_out)}"] if left_out else []
    notes += [note for report in found.values() for note in report["notes"]]
    missing = {name: why for report in found.values() for name, why in report["missing"].items()}
    headline = next(iter(row for row in rows if row not in LABELS))
    measured = {name for row in rows.values() for name in row["metrics"]}
    missing = {name: why for name, why in missing.items() if name not in measured}
    notes.append("curves, stills and short clips are in the reports that were joined")
    settings, command = {"joined": [str(path) for path in reports]}, join_command(reports, output)
    joined = build_report(records, labels, headline, settings, missing, notes, command)
    _keep_metrics_over_all(joined, rows)
    write_reports(Path(output), joined, records)
    return joined


def _rows(reports: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of all reports; a model's row gets its report's name where another has the same."""
    rows: dict[str, dict[str, Any]] = {}
    folders = _folder_names(list(reports))
    for path, report in reports.items():
        for name, row in report["rows"].items():
            if name not in rows:
                rows[name] = row
            elif name not in LABELS:
                # a joined report may have such a row already, and one report may be given by two paths
                folder = next(each for each in _numbered(folders[path]) if f"{each}/{name}" not in rows)
                rows[f"{folder}/{name}"] = row | {"label": f"{row['label']} ({folder})"}
    order = [name for name in rows if name in LABELS] + [name for name in rows if name not in LABELS]
    return {name: rows[name] for name in order}


def _folder_names(reports: Sequence[str]) -> dict[str, str]:
    """Report -> the shortest end of its folder's path that no other report has."""
    parts = {path: (Path(path).parent if Path(path).is_file() else Path(path)).resolve().parts for path in reports}
    names = {}
    for path, own in parts.items():
        others = [other for other in parts.values() if other != own]
        length = next(n for n in range(1, len(own) + 1) if all(own[-n:] != other[-n:] for other in others))
        names[path] = "/".join(own[-length:])
    return names


def _numbered(name: str) -> Iterator[str]:
    """The name, then the name with 2, 3 and so on."""
    yield name
    yield from (f"{name} {number}" for number in count(2))


def _record(clip: str, rows: dict[str, dict[str, Any]], reports: dict[str, dict[str, Any]]) -> ClipRecord:
    measures = {
        name: {key: float("nan") if value is None else value for key, value in row["clips"][clip].items()}
        for name, row in rows.items()
    }
    errors = {name: row["errors"][clip] for name, row in rows.items() if clip in row["errors"]}
    seconds = sum(report["seconds"].get(clip, 0.0) for report in reports.values())
    return ClipRecord(clip, measures, errors, seconds=seconds)


def _keep_metrics_over_all(joined: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    """Take over metrics of all clips together, such as FID, which cannot be computed from single clips.

    A report with more clips than the joined one measured them on others, so that its values are left out.
    """
    for name, row in rows.items():
        over_all = {metric: summary for metric, summary in row["metrics"].items() if metric in OVER_ALL}
        if row["clips"].keys() == joined["clips"].keys():
            joined["rows"][name]["metrics"] |= over_all
        else:
            joined["missing"] |= dict.fromkeys(
                over_all, "measured on all clips of a report, of which some are left out"
            )
