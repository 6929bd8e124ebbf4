"""Means, intervals, failures, tables, and two reports compared."""

import html
import json

import numpy as np
import pytest

from dithead.errors import ConfigError, DataError, OutputError
from dithead.evaluate.compare import compare_reports, comparison_table, sign_flip_p
from dithead.evaluate.evaluation_clips import fit_length, list_videos, pair_drivers, parse_named_paths
from dithead.evaluate.metric_catalogue import METRICS
from dithead.evaluate.network_measures import NetworkMeasures
from dithead.evaluate.options import EvaluateOptions
from dithead.evaluate.report import ClipRecord, build_report, report_markdown
from dithead.evaluate.report_folder import claim_folder, write_reports
from dithead.evaluate.statistics import bootstrap, summarise

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
    result = compare_reports(tmp_path / "a", tmp_path / "b")
    r, gain = result["metrics"]["lip_correlation"], result["metrics"]["lip_gain"]
    assert r["difference"] == pytest.approx(0.1)
    assert (r["better"], gain["better"]) == ("second", "first")  # a gain further from 1 is worse
    assert r["p"] == pytest.approx(2 / 2**8)
    assert "**0.62**" in comparison_table(result)
    assert compare_reports(tmp_path / "a", tmp_path / "a")["metrics"]["lip_correlation"]["better"] is None


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
    assert pair_drivers(names) == {"a": "b", "b": "c", "c": "a"}
    with pytest.raises(DataError, match="two clips"):
        pair_drivers(["a"])


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
    with pytest.raises(ConfigError, match="steps must be at least 1, not 0"):
        EvaluateOptions(steps=(0,))


def test_every_shown_metric_is_explained(tmp_path):
    assert all(metric.meaning.endswith(".") for metric in METRICS)
    assert len({metric.name for metric in METRICS}) == len({metric.heading for metric in METRICS}) == len(METRICS)
    claim_folder(tmp_path / "r", {})
    write_reports(tmp_path / "r", report_of([0.5, 0.6]), records([0.5, 0.6]))
    page = (tmp_path / "r" / "report.html").read_text()
    shown = [metric for metric in METRICS if f">{metric.heading}</th>" in page]
    assert [metric.name for metric in shown] == ["lip_correlation", "lip_gain", "cross_driver_correlation"]
    for metric in shown:
        assert f"title='{html.escape(metric.meaning)}'" in page
        assert f"<dd>{html.escape(metric.meaning)}</dd>" in page


def test_paths_are_named_once():
    assert list(parse_named_paths(["a=x", "b=y=z"])) == ["a", "b"]
    for wrong in (["a"], ["=x"], ["a="], ["a=x", "a=y"]):
        with pytest.raises(ConfigError, match="NAME=PATH"):
            parse_named_paths(wrong)
