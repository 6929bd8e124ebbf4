"""Means, intervals, failures, tables, and two reports compared."""

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dithead
from dithead.errors import ConfigError, DataError, OutputError
from dithead.evaluate.compare import compare_reports, comparison_tables, sign_flip_p
from dithead.evaluate.comparison_page import write_comparisons
from dithead.evaluate.evaluation_clips import fit_length, list_videos, pair_drivers, parse_named_paths
from dithead.evaluate.metric_catalogue import METRICS
from dithead.evaluate.network_measures import NetworkMeasures
from dithead.evaluate.options import EvaluateOptions
from dithead.evaluate.plots import axis_end, strip_plot
from dithead.evaluate.report import ClipRecord, build_report, list_failures, list_unmeasured
from dithead.evaluate.report_folder import claim_folder, write_reports
from dithead.evaluate.report_tables import report_markdown
from dithead.evaluate.statistics import bootstrap, summarise
from dithead.glossary import EVALUATION, GLOSSARY, TRAINING

NAN = float("nan")


def records(values: list[float], seed: int = 0) -> list[ClipRecord]:
    made = []
    for i, value in enumerate(values):
        record = ClipRecord(f"clip{i}", seconds=1.25)
        record.add("ours", "self", {"lip_correlation": value, "lip_gain": 1 - value})
        record.add("ours", "cross", {"driver_correlation": value / 2})
        record.curves = {"source": [0.1, NAN, 0.2], "ours/self": [0.1, 0.1, 0.2]}
        made.append(record)
    return made


def report_of(values: list[float]):
    return build_report(records(values), {"ours": "small, 4 steps"}, "ours", {"seed": 0}, NetworkMeasures().missing())


def test_failures_are_counted_and_do_not_count_in_the_mean():
    summary = summarise({"a": {"x": 1.0}, "b": {"x": NAN}, "c": {}, "d": {"x": 3.0}})["x"]
    assert (summary["mean"], summary["n"], summary["failed"]) == (2.0, 2, 2)


def test_all_failed_is_no_number():
    summary = summarise({"a": {"x": NAN}})["x"]
    assert (summary["mean"], summary["ci"], summary["failed"]) == (None, None, 1)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        low, high = bootstrap(rng.normal(size=25))
        inside += low <= 0 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_report_json_has_the_documented_keys_and_no_nan(tmp_path):
    out = tmp_path / "report"
    claim_folder(out, {"seed": 0})
    write_reports(out, report_of([0.5, NAN]), records([0.5, NAN]))
    text = (out / "report.json").read_text()
    report = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert report["metrics"]["lip_correlation"]["mean"] == 0.5
    assert report["metrics"]["lip_correlation"]["failed"] == 1
    assert report["clips"]["clip1"]["lip_correlation"] is None
    assert report["metrics"]["cross_driver_correlation"]["mean"] == 0.25
    assert {"lpips", "fid", "lse_c", "identity"} <= set(report["missing"])
    assert not set(report["missing"]) & set(report["metrics"])


def test_the_page_is_self_contained_and_escapes(tmp_path):
    claim_folder(tmp_path / "r", {})
    report = report_of([0.5, 0.6])
    report["rows"]["ours"]["label"] = "<script>alert(1)</script>"
    write_reports(tmp_path / "r", report, records([0.5, 0.6]))
    page = (tmp_path / "r" / "report.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count("<polyline") >= 2 * 3  # a missed frame splits the source's curve


def test_a_record_survives_the_disk(tmp_path):
    record = records([NAN])[0]
    record.save(tmp_path / "clip.json")
    back = ClipRecord.load(tmp_path / "clip.json")
    assert np.isnan(back.rows["ours"]["lip_correlation"])
    assert np.isnan(back.curves["source"][1])
    assert back.seconds == record.seconds


def test_a_folder_is_claimed_by_its_settings(tmp_path):
    claim_folder(tmp_path / "r", {"seed": 0})
    claim_folder(tmp_path / "r", {"seed": 0})
    with pytest.raises(OutputError, match="other settings"):
        claim_folder(tmp_path / "r", {"seed": 1})


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        claim_folder(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_markdown_shows_failures():
    assert "0.50 (1 failed)" in report_markdown(report_of([0.5, NAN]))


def test_nothing_measured_is_an_error():
    with pytest.raises(DataError, match="nothing to report"):
        build_report([], {"ours": ""}, "ours", {}, {})


def test_compare_finds_the_better_and_not_where_there_is_none(tmp_path):
    worse = [0.5, 0.52, 0.61, 0.4, 0.55, 0.48, 0.6, 0.51]
    for name, values in (("a", worse), ("b", [v + 0.1 for v in worse])):
        claim_folder(tmp_path / name, {})
        write_reports(tmp_path / name, report_of(values), records(values))
    (result,) = compare_reports(tmp_path / "a", tmp_path / "b")
    r, gain = result["metrics"]["lip_correlation"], result["metrics"]["lip_gain"]
    assert r["difference"] == pytest.approx(0.1)
    assert (r["better"], gain["better"]) == ("second", "first")  # a gain further from 1 is worse
    assert r["p"] == pytest.approx(2 / 2**8)
    table = comparison_tables([result])
    assert "**0.62**" in table
    assert table.count("\n| ") == 2 + len(result["metrics"]), "as many lines as measures are counted"
    assert f"in 2 of {len(result['metrics'])} measures" in table
    (alike,) = compare_reports(tmp_path / "a", tmp_path / "a")
    assert alike["metrics"]["lip_correlation"]["better"] is None


def test_sign_flips_agree_with_counting():
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)
    assert sign_flip_p(np.random.default_rng(0).normal(size=40)) > 0.05
    assert sign_flip_p(np.random.default_rng(0).normal(size=40) + 2) < 0.001


def test_compare_refuses_what_is_no_report(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(DataError, match="not a report"):
        compare_reports(tmp_path, tmp_path)


def test_pairing_is_by_name_and_never_with_itself(tmp_path):
    for name in ("b.mp4", "a.MKV", "c.mpg", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).touch()
    names = list(list_videos(tmp_path))
    assert names == ["a", "b", "c"]
    assert pair_drivers(names, names) == {"a": "b", "b": "c", "c": "a"}
    with pytest.raises(DataError, match="two clips"):
        pair_drivers(["a"], ["a"])


def test_a_clip_without_sound_drives_none_and_is_driven():
    names = ["a", "b", "c"]
    assert pair_drivers(names, ["a", "c"]) == {"a": "c", "b": "c", "c": "a"}
    assert pair_drivers(names, ["b"]) == {"a": "b", "c": "b"}, "no other clip has sound that could drive b"


def test_two_videos_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.mkv").touch()
    with pytest.raises(DataError, match="rename one"):
        list_videos(tmp_path)


def test_sound_is_cut_or_filled_to_the_picture():
    wave = np.ones(100, np.float32)
    assert len(fit_length(wave, 2.0, 40)) == 80
    filled = fit_length(wave, 3.0, 40)
    assert (len(filled), filled[-20:].sum(), filled.sum()) == (120, 0, 100)


def test_bad_options_are_named():
    with pytest.raises(ConfigError, match="protocols must be among self, cross"):
        EvaluateOptions(protocols=("mirror",))
    with pytest.raises(ConfigError, match="steps must lie between 1 and 1000, not 0"):
        EvaluateOptions(steps=(0,))


def test_every_shown_metric_is_explained(tmp_path):
    assert all(metric.meaning.endswith(".") for metric in METRICS)
    assert len({metric.name for metric in METRICS}) == len({metric.heading for metric in METRICS}) == len(METRICS)
    claim_folder(tmp_path / "r", {})
    write_reports(tmp_path / "r", report_of([0.5, 0.6]), records([0.5, 0.6]))
    page = (tmp_path / "r" / "report.html").read_text()
    shown = [metric for metric in METRICS if f"<a href='#{metric.name}'>{metric.heading}</a>" in page]
    assert [metric.name for metric in shown] == ["lip_correlation", "lip_gain", "cross_driver_correlation"]
    for metric in shown:
        assert f"title='{html.escape(metric.meaning)}'" in page
        assert f"<dt id={metric.name}>{html.escape(metric.heading)}</dt><dd>{html.escape(metric.meaning)}</dd>" in page


def test_paths_are_named_once():
    assert list(parse_named_paths(["a=x", "b=y=z"])) == ["a", "b"]
    for wrong in (["a"], ["=x"], ["a="], ["a=x", "a=y"]):
        with pytest.raises(ConfigError, match="NAME=PATH"):
            parse_named_paths(wrong)


def test_a_single_clip_is_compared_by_its_values(tmp_path):
    for name, value in (("a", 0.5), ("b", 0.75)):
        claim_folder(tmp_path / name, {})
        write_reports(tmp_path / name, report_of([value]), records([value]))
    (result,) = compare_reports(tmp_path / "a", tmp_path / "b")
    entry = result["metrics"]["lip_correlation"]
    assert (entry["first"], entry["second"], entry["difference"]) == (0.5, 0.75, 0.25)
    assert entry["ci"] is entry["p"] is entry["better"] is None
    assert "| lip correlation | 1 | 0.50 | 0.75 | 0.25 | – | – | 1 |" in comparison_tables([result])
    page = write_comparisons([result], tmp_path / "page.html").read_text()
    assert "<td>0.75</td>" in page


def test_no_page_says_that_no_clip_failed_beside_a_value_that_is_missing(tmp_path):
    for name, values in (("good", [0.5, 0.6]), ("bad", [0.5, NAN])):
        claim_folder(tmp_path / name, {})
        write_reports(tmp_path / name, report_of(values), records(values))
    good, bad = ((tmp_path / name / "report.html").read_text() for name in ("good", "bad"))
    assert "No clip failed." in good
    assert "1 failed" in bad
    assert "No clip failed." not in bad
    (line,) = list_unmeasured(report_of([0.5, NAN]))
    assert line.startswith("small, 4 steps, clip1: no value of lip correlation, gain, other speech: driver correlation")


def two_tools(folder: Path) -> dict[str, Any]:
    """A report of two tools, of which the second lacks the easiest clip."""
    made = []
    for k, value in enumerate((0.2, 0.4, 0.9)):
        record = ClipRecord(f"clip{k}")
        for row in ("truth", "one", "two"):
            record.add(row, "self", {"lip_correlation": 1.0 if row == "truth" else value})
        made.append(record)
    made[2].rows["two"] = {}
    made[2].errors["two"] = "no generated video of this name"
    labels = {"truth": "ground truth, encoded again", "one": "one", "two": "two"}
    settings = {"truth": "clips", "generated": {"one": "a", "two": "b"}, "drivers": None, "weights": {}}
    claim_folder(folder, settings)
    report = build_report(made, labels, "one", settings, {}, command="dithead score --truth clips")
    write_reports(folder, report, made)
    return report


def test_means_of_a_table_are_over_the_clips_that_every_row_has(tmp_path):
    report = two_tools(tmp_path)
    assert report["rows"]["one"]["metrics"]["lip_correlation"]["mean"] == pytest.approx(0.5)
    assert report["common"]["clips"] == ["clip0", "clip1"]
    text = report_markdown(report)
    assert "Means over the 2 of 3 clips that every row has. Left out, because a row lacks them: clip2." in text
    assert "| one | 3 of 3 | 0.30 |" in text
    assert "| two | 2 of 3 | 0.30 |" in text
    page = (tmp_path / "report.html").read_text()
    assert "<td>one</td><td>3 of 3</td><td>0.30" in page
    assert "No clip failed" not in page
    assert "generate it, or leave its true video out" in page


def test_a_report_says_what_was_compared_and_how(tmp_path):
    two_tools(tmp_path)
    text, page = ((tmp_path / f"report.{kind}").read_text() for kind in ("md", "html"))
    for expected in (
        "Videos of one and two, against the true videos",
        f"dithead {dithead.__version__}",
        "dithead score --truth clips",
        "one: a, two: b",
        "Pearson correlation of the lip opening",
    ):
        assert expected in text
        assert expected in re.sub("</?b>", "", page)
    assert "| *best is* |  | 1 |" in text
    assert "- made with: dithead" in text
    assert "**copied input**: A baseline" in text


def test_every_tool_is_compared(tmp_path):
    two_tools(tmp_path / "versus")
    claim_folder(tmp_path / "ours", {})
    made = records([0.3, 0.5, 0.8])
    write_reports(tmp_path / "ours", report_of([0.3, 0.5, 0.8]), made)
    pairs = compare_reports(tmp_path / "ours", tmp_path / "versus")
    assert [pair["second"]["label"] for pair in pairs] == ["one", "two"]
    assert [len(pair["clips"]) for pair in pairs] == [3, 2]
    assert pairs[1]["left_out"] == {"clip2": "two: no generated video of this name"}
    text, page = comparison_tables(pairs), write_comparisons(pairs, tmp_path / "page.html").read_text()
    for shown in ("one against small, 4 steps", "two against small, 4 steps", "clip2 (two: no generated video"):
        assert shown in text
        assert shown in page
    (within,) = compare_reports(tmp_path / "versus")
    assert (within["first"]["label"], within["second"]["label"]) == ("one", "two")
    with pytest.raises(DataError, match="holds one model or tool; give a second report"):
        compare_reports(tmp_path / "ours")


@pytest.mark.parametrize(
    ("reason", "option"),
    [
        ("a.mp4: has no audio track; give a file with speech", "--protocol silent"),
        ("no other clip has sound, so that none drives this one in the protocol cross", "leave the protocol cross out"),
        ("a: its worker process died over it twice", "--workers 1"),
        ("no driver's video of this name", "leave --drivers out"),
    ],
)
def test_a_failure_names_what_avoids_it(reason, option):
    made = records([0.5])
    made[0].errors["ours"] = reason
    report = build_report(made, {"ours": "small"}, "ours", {}, {})
    (line,) = list_failures(report)
    assert line.startswith(f"small, clip0: {reason}; ")
    assert option in line


@pytest.mark.parametrize("value", [0.001, 0.049, 0.05, 0.5, 0.97, 1.0, 1.02, 3.7, 42.0, -0.2, -7.0])
def test_an_axis_never_ends_at_the_value_that_it_shows(value):
    end = axis_end(value)
    assert abs(end) > abs(value) * 1.01
    assert abs(end) < abs(value) * 2.6
    assert end * value > 0
    assert abs(end) == pytest.approx(float(f"{abs(end):.2g}"))


@pytest.mark.parametrize("value", [-0.07, 0.071, 0.35, 0.97, 1.0])
def test_the_numbers_at_the_ends_of_an_axis_are_not_those_of_the_rows(value):
    plot = strip_plot("title", {"ours": (value, [value])}, None, coloured=["ours"])
    ends = re.findall(r"class=(?:start|end)>([^<]*)<", plot)
    assert len(ends) == 2
    assert round(value, 2) not in map(float, ends)


def test_a_page_explains_its_words(tmp_path):
    claim_folder(tmp_path / "r", {})
    write_reports(tmp_path / "r", report_of([0.5, 0.6]), records([0.5, 0.6]))
    page = (tmp_path / "r" / "report.html").read_text()
    assert "<a href='#words'>" in page
    assert "<h2 id=words>" in page
    assert "<dt id=as-drawn>as drawn</dt>" in page
    targets = set(re.findall(r" id=([\w-]+)", page))
    assert set(re.findall(r"href='#([^']+)'", page)) <= targets, "every link leads somewhere"
    assert GLOSSARY.keys() >= {*EVALUATION, *TRAINING}
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.lower)
