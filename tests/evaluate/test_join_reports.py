"""Several reports become one, with all rows, the common clips and one set of baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dithead.errors import DataError
from dithead.evaluate.join_reports import join_reports
from dithead.evaluate.report import ClipRecord, build_report
from dithead.evaluate.report_folder import claim_folder, write_reports


def report(folder: Path, row: str, values: dict[str, float], notes: tuple[str, ...] = ()) -> Path:
    records = []
    for clip, value in values.items():
        record = ClipRecord(clip, seconds=1.0)
        record.add("truth", "self", {"lip_correlation": 1.0})
        record.add(row, "self", {"lip_correlation": value})
        records.append(record)
    claim_folder(folder, {"of": folder.name})
    labels = {"truth": "ground truth, encoded again", row: f"{row} of {folder.name}"}
    missing = {"lpips": "no weights"} if row == "ours" else {"lip_correlation": "never"}
    made: dict[str, Any] = build_report(records, labels, row, {}, missing, notes)
    made["rows"][row]["metrics"]["fid"] = {
        "mean": 3.0, "ci": None, "n": 2, "failed": 0, "min": None, "max": None,
    }  # fmt: skip
    write_reports(folder, made, records)
    return folder


def test_rows_of_both_stand_side_by_side(tmp_path: Path) -> None:
    one = report(tmp_path / "one", "ours", {"a": 0.5, "b": 0.7})
    two = report(tmp_path / "two", "theirs", {"b": 0.1, "c": 0.9}, notes=("a note",))
    joined = join_reports([one, two], tmp_path / "both")
    assert list(joined["rows"]) == ["truth", "ours", "theirs"]
    assert joined["headline"] == "ours"
    assert list(joined["clips"]) == ["b"]
    assert joined["rows"]["theirs"]["metrics"]["lip_correlation"]["mean"] == 0.1
    assert joined["missing"].keys() == {"lpips", "fid"}
    assert "fid" not in joined["rows"]["theirs"]["metrics"], "it was measured on another clip, too"
    assert joined["notes"] == [
        "left out, because not every report has them: a, c",
        "a note",
        "curves, stills and short clips are in the reports that were joined",
    ]
    assert json.loads((tmp_path / "both" / "report.json").read_text())["rows"].keys() == joined["rows"].keys()
    assert "theirs of two" in (tmp_path / "both" / "report.html").read_text()


def test_metrics_over_all_clips_are_taken_over_where_the_clips_are_the_same(tmp_path: Path) -> None:
    one, two = (report(tmp_path / name, name, {"a": 0.5, "b": 0.6}) for name in ("one", "two"))
    joined = join_reports([one, two], tmp_path / "both")
    assert joined["rows"]["two"]["metrics"]["fid"]["mean"] == 3.0
    assert joined["command"] == f"dithead report {one} {two} -o {tmp_path / 'both'}"
    assert "# Joined reports: one of one and two of two" in (tmp_path / "both" / "report.md").read_text()


def test_rows_of_one_name_get_their_folders(tmp_path: Path) -> None:
    one, two = (report(tmp_path / name, "ours", {"a": value}) for name, value in (("one", 0.5), ("two", 0.6)))
    joined = join_reports([one, two], tmp_path / "both")
    assert list(joined["rows"]) == ["truth", "ours", "two/ours"]
    assert joined["rows"]["two/ours"]["label"] == "ours of two (two)"


def test_no_row_is_lost_where_folders_have_one_name(tmp_path: Path) -> None:
    values = {"x": 0.1, "y": 0.5, "z": 0.9}
    reports = [report(tmp_path / name / "report", "ours", {"a": value}) for name, value in values.items()]
    for given in (reports, [folder / "report.json" for folder in reports]):
        joined = join_reports(given, tmp_path / given[0].name / "joined")
        means = {name: row["metrics"]["lip_correlation"]["mean"] for name, row in joined["rows"].items()}
        assert means == {"truth": 1.0, "ours": 0.1, "y/report/ours": 0.5, "z/report/ours": 0.9}
        assert joined["rows"]["y/report/ours"]["label"] == "ours of report (y/report)"


def test_a_row_whose_name_is_taken_is_numbered(tmp_path: Path) -> None:
    one, two = (report(tmp_path / name, "ours", {"a": value}) for name, value in (("one", 0.5), ("two", 0.6)))
    both = tmp_path / "both"
    join_reports([one, two], both)
    joined = join_reports([both, two, two / "report.json"], tmp_path / "again")
    assert list(joined["rows"]) == ["truth", "ours", "two/ours", "two 2/ours", "two 3/ours"]


def test_reports_without_a_common_clip_or_a_single_one_are_refused(tmp_path: Path) -> None:
    one, two = report(tmp_path / "one", "ours", {"a": 0.5}), report(tmp_path / "two", "theirs", {"b": 0.5})
    with pytest.raises(DataError, match="no clip in common"):
        join_reports([one, two], tmp_path / "both")
    with pytest.raises(DataError, match="two reports or more"):
        join_reports([one], tmp_path / "both")
