"""``dithead bench``: no time counts twice, clips have their sizes, and the report says what was found."""

import json
import threading
import time
import xml.etree.ElementTree as ET
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dithead import stages
from dithead.bench.clips import arranged, presenter_videos, write_clip
from dithead.bench.live_run import SpokenChunks
from dithead.bench.measure import summary
from dithead.bench.measured_run import timeline
from dithead.bench.options import CASES, BenchCase, BenchOptions
from dithead.bench.plots import stage_plot
from dithead.bench.report import bench_markdown, write_reports
from dithead.bench.thread_sampler import ThreadSampler
from dithead.cli import app
from dithead.errors import ConfigError
from dithead.media.video import probe

SMALL = BenchCase("small", 192, 128, 96, faces=2)


def run_of(cpu: float) -> dict:
    """What one run would return that took ``cpu`` seconds of processor time for 10 frames."""
    lanes = {"seconds": cpu, "threads": {"7": [None, "decode", "encode"]}, "cores": {"0": ["decode", "decode", None]}}
    stages = {"decode": {"calls": 10, "seconds": cpu / 2, "core_seconds": cpu / 2}}
    return {
        "frames": 10, "seconds": cpu, "core_seconds": cpu, "peak_memory_mb": 100 * cpu, "first_frame_seconds": cpu / 2,
        "stages": stages, "timeline": lanes, "bytes": 1000,
    }  # fmt: skip


def test_inner_stages_do_not_count_twice() -> None:
    with stages.recording() as recorder, stages.stage("outer"):
        time.sleep(0.02)
        with stages.stage("inner"):
            time.sleep(0.05)
    inner, outer = recorder.spans
    assert (inner.stage, outer.stage) == ("inner", "outer")
    assert inner.own_seconds >= 0.05
    assert outer.own_seconds == pytest.approx(outer.end - outer.begin - (inner.end - inner.begin), abs=0.01)


def test_stages_of_other_threads_are_kept_apart() -> None:
    def work() -> None:
        with stages.stage("beside"):
            time.sleep(0.01)

    with stages.recording() as recorder, stages.stage("outer"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    beside, outer = recorder.spans
    assert beside.thread != outer.thread
    assert outer.own_seconds == pytest.approx(outer.end - outer.begin)


def test_nothing_is_recorded_outside_of_a_recording() -> None:
    with stages.recording() as recorder:
        pass
    with stages.stage("late"):
        stages.moment("late")
    assert not recorder.spans
    assert not recorder.moments
    assert list(stages.staged("late", iter([1, 2]))) == [1, 2]


def test_items_of_a_staged_iterator_count_for_its_stage() -> None:
    with stages.recording() as recorder:
        for _ in islice(stages.staged("slow", iter(range(5))), 3):
            pass
    assert [span.stage for span in recorder.spans] == ["slow"] * 3


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_threads_of_libraries_are_seen() -> None:
    with stages.recording() as recorder, ThreadSampler() as threads:
        begun = time.perf_counter()
        with stages.stage("here"):
            while time.thread_time() and time.perf_counter() - begun < 0.2:
                pass
    here = threading.get_native_id()
    used = threads.samples[here][-1].cpu
    assert used > 0
    assert sum(threads.cpu_by_name(set()).values()) >= used
    assert threads.cpu_by_name(without={here}).get(threads.names[here], 0.0) < used
    lanes = timeline(recorder, threads, begun, 0.2, bins=10)
    assert lanes["threads"][str(here)].count("here") >= 9
    assert any("here" in lane for lane in lanes["cores"].values())


@pytest.mark.parametrize("case", [*CASES, SMALL], ids=lambda case: case.name)
def test_pictures_have_the_size_of_their_case(case: BenchCase) -> None:
    faces = [np.full((64, 64, 3), 50 * (k + 1), np.uint8) for k in range(case.faces)]
    picture = arranged(faces, case)
    assert picture.shape == (case.height, case.width, 3)
    columns = picture[-1, :, 0]
    assert [(columns == 50 * (k + 1)).sum() >= case.side for k in range(case.faces)] == [True] * case.faces


def test_a_clip_is_as_long_as_asked_and_has_sound(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", SMALL, presenter_videos(None, 2), 0.4)
    info = probe(tmp_path / "clip.mp4")
    assert (info.width, info.height, info.frames, info.has_audio) == (192, 128, 10, True)


def test_medians_are_reported_and_plots_are_well_formed(tmp_path: Path) -> None:
    report = {"machine": {}, "cases": {"small": summary(SMALL, [run_of(cpu) for cpu in (3.0, 1.0, 2.0)])}}
    case = report["cases"]["small"]
    assert (case["frames_per_second"], case["core_ms_per_frame"], case["first_frame_seconds"]) == (5.0, 200.0, 1.0)
    assert case["stages"]["decode"]["core_ms_per_frame"] == 100.0
    write_reports(tmp_path, report)
    assert json.loads((tmp_path / "bench.json").read_text()) == report
    assert "| decode | 100.0 |" in bench_markdown(report)
    drawn = ET.fromstring((tmp_path / "stages-small.svg").read_text())
    assert len(drawn.findall("{*}rect")) == 3 + 2  # parts of the lanes, and the key


def test_chunks_by_the_clock_come_when_they_are_due_whenever_they_are_taken() -> None:
    chunks = SpokenChunks(np.zeros(3200, np.float32), paced=True)
    taken, begun = [], time.perf_counter()
    for k, chunk in enumerate(chunks):
        assert len(chunk) == 640
        taken.append(time.perf_counter())
        if k == 1:
            time.sleep(0.1)  # the caller is late, and the speech goes on
    assert begun <= chunks.begun <= taken[0]
    assert all(t - chunks.begun >= 0.04 * k for k, t in enumerate(taken))
    due = [chunks.came(seconds) - chunks.begun for seconds in (0.01, 0.04, 0.0401, 0.08, 0.2)]
    assert due == pytest.approx([0, 0, 0.04, 0.04, 0.16])
    assert taken[3] - chunks.came(0.16) > 0.015, "taken late, and there in time"


def test_a_live_case_says_how_late_frames_are(tmp_path: Path) -> None:
    delays = {"median": 20.0, "p95": 30.0, "most": 50.0}
    live = {
        "live_frames_per_second": 25.0, "live_core_ms_per_frame": 50.0, "live_delay_ms": delays,
        "live_behind_ms": {"median": -9.0, "p95": 35.0, "most": 60.0}, "live_late": 0.025,
    }  # fmt: skip
    report = {"machine": {}, "cases": {"live-paced": summary(SMALL, [run_of(1.0) | live])}}
    write_reports(tmp_path, report)
    line = bench_markdown(report).splitlines()[-1]
    assert "20 ms (95 %: 30 ms) after its speech and -9 ms (95 %: 35 ms) after the promise; 2.5% are late" in line


def test_names_of_stages_are_escaped() -> None:
    lanes = {"seconds": 1.0, "threads": {"1": ["a<b"]}, "cores": {}}
    assert "a&lt;b" in stage_plot("<case>", lanes)


def test_bad_requests_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown case"):
        BenchOptions(cases=["8k"])
    with pytest.raises(ConfigError, match="--presenters"):
        presenter_videos(tmp_path, 1)
    result = CliRunner().invoke(app, ["bench", "--case", "8k", "-o", str(tmp_path)])
    assert result.exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["512", "live", "live-paced"])
def test_a_case_is_measured(tmp_path: Path, name: str) -> None:
    arguments = ["bench", "--case", name, "--seconds", "1.2", "--repeat", "1", "--json", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    case = json.loads(result.stdout)["cases"][name]
    assert case["frames"] in (30, 31)  # sound may be longer than the picture
    assert ("live_behind_ms" in case) == (name == "live-paced")
    assert case["core_ms_per_frame"] > 0
    assert case["first_frame_seconds"] > 0
    assert {"imports", "landmarks", "model"} <= case["stages"].keys()
