"""A whole evaluation with an untrained model: every row, every protocol, resumed and refused."""

import pickle
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from dithead.checkpoint import build_model, save_model
from dithead.config import PRESETS
from dithead.errors import ConfigError, DataError, OutputError
from dithead.evaluate.options import EvaluateOptions
from dithead.evaluate.plan import make_plan
from dithead.evaluate.protocols import evaluate_model, replacement_notes
from dithead.evaluate.report_folder import hash_weights
from dithead.media.audio import read_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
START, FRAMES = 25, 20  # the first second may be silent
RATE = 16000


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Two short presenters at half their size."""
    folder = tmp_path_factory.mktemp("clips")
    for source in sorted(PRESENTERS.glob("*.mp4"))[:2]:
        info = probe(source)
        wave = read_audio(source, RATE)[START * RATE // 25 :][: FRAMES * RATE // 25]
        small = replace(info, width=info.width // 2, height=info.height // 2)
        with VideoWriter(folder / source.name, small, audio=(wave, RATE)) as writer:
            for frame in islice(read_frames(source), START, START + FRAMES):
                writer.write(frame.pixels[::2, ::2])
    return folder


@pytest.fixture(scope="module")
def model():
    return build_model(PRESETS["tiny"].model)


@pytest.fixture(scope="module")
def made(clips, model, tmp_path_factory):
    output = tmp_path_factory.mktemp("reports") / "report"
    return output, evaluate_model(model, clips, output, EvaluateOptions(steps=(1,)))


def test_every_row_is_there_and_nothing_failed(made):
    _, report = made
    assert list(report["rows"]) == ["truth", "copy_input", "frozen_mouth", "ours_1_steps", "as_drawn"]
    assert all(not row["errors"] for row in report["rows"].values())
    assert report["headline"] == "ours_1_steps"


def test_every_protocol_is_measured(made):
    metrics = made[1]["metrics"]
    for name in (
        "lip_correlation",
        "cross_driver_correlation",
        "cross_driver_synced_correlation",
        "cross_source_partial",
        "silent_aperture_ratio",
        "portrait_lip_correlation",
        "portrait_identity_kept",
        "hidden_sharpness_open",
        "mask_shift",
    ):
        assert metrics[name]["n"] + metrics[name]["failed"] == 2
    assert metrics["frames_error"]["mean"] == 0
    assert metrics["frames_per_second"]["mean"] > 0


def test_the_row_as_drawn_has_nothing_of_the_sources_pictures(made):
    output, report = made
    drawn = report["rows"]["as_drawn"]["metrics"]
    assert drawn["mouths_replaced"]["mean"] == drawn["mouths_mended"]["mean"] == 0
    assert {"lip_correlation", "cross_driver_correlation", "silent_aperture_ratio"} <= drawn.keys()
    assert (output / "videos" / "as_drawn" / "self" / "ben.mp4").exists()


def test_a_row_whose_drawings_were_replaced_warns():
    metrics = {"mouths_replaced": {"mean": 0.5}, "mouths_mended": {"mean": 0.1}}
    rows = {"ours": {"label": "mine, 1 step", "metrics": metrics}, "as_drawn": {"label": "", "metrics": {}}}
    (note,) = replacement_notes({"rows": rows})
    assert note.startswith("warning: mine, 1 step: 60% of the drawn mouths were replaced or mended")
    assert "judge the model by the row as drawn" in note
    metrics["mouths_replaced"]["mean"] = 0.05
    assert replacement_notes({"rows": rows}) == []


def test_the_truth_row_is_the_best(made):
    rows = made[1]["rows"]
    truth, ours = (rows[name]["metrics"] for name in ("truth", "ours_1_steps"))
    assert truth["lip_correlation"]["mean"] > 0.95
    assert truth["cross_driver_correlation"]["mean"] > 0.95
    assert truth["psnr_mouth"]["mean"] > ours["psnr_mouth"]["mean"]
    assert rows["copy_input"]["metrics"]["cross_source_correlation"]["mean"] > 0.95


def test_the_same_command_again_only_reads(made, clips, model):
    output, report = made
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.mp4")}
    again = evaluate_model(model, clips, output, EvaluateOptions(steps=(1,)))
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.mp4")} == before
    assert again["metrics"]["psnr"]["mean"] == pytest.approx(report["metrics"]["psnr"]["mean"], abs=1e-5)


def test_a_lost_video_is_made_again_alike(made, clips, model):
    output, report = made
    (output / "clips" / "ben.json").unlink()
    (output / "videos" / "ours_1_steps" / "self" / "ben.mp4").unlink()
    again = evaluate_model(model, clips, output, EvaluateOptions(steps=(1,)))
    ours = (r["clips"]["ben"]["psnr"] for r in (report, again))
    assert next(ours) == pytest.approx(next(ours), abs=0.01)


def test_a_replaced_clip_is_measured_anew_and_the_others_are_kept(clips, model, tmp_path):
    folder, first, second = tmp_path / "clips", *sorted(clips.glob("*.mp4"))
    folder.mkdir()
    for name in ("kept", "other"):
        shutil.copyfile(first, folder / f"{name}.mp4")
    options = EvaluateOptions(steps=(1,), protocols=("silent",), as_drawn=False)
    before = evaluate_model(model, folder, tmp_path / "report", options)
    record = tmp_path / "report" / "clips" / "kept.json"
    time = record.stat().st_mtime_ns
    shutil.copyfile(second, folder / "other.mp4")
    told: list[str] = []
    report = evaluate_model(model, folder, tmp_path / "report", options, say=told.append)
    fresh = evaluate_model(model, folder, tmp_path / "fresh", options)
    assert told[0] == "measured again, because a video was replaced: other"
    assert record.stat().st_mtime_ns == time
    for row in fresh["rows"]:
        measured, wanted, old = (each["rows"][row]["clips"]["other"] for each in (report, fresh, before))
        assert not fresh["rows"][row]["errors"]
        for name in wanted.keys() - {"silent_frames_per_second"}:
            assert measured[name] == pytest.approx(wanted[name], nan_ok=True), (row, name)
        assert not wanted or measured != old


def test_another_model_does_not_mix_in(made, clips):
    other = build_model(PRESETS["tiny"].model)
    with pytest.raises(OutputError, match="other settings"):
        evaluate_model(other, clips, made[0], EvaluateOptions(steps=(1,)))


def test_a_broken_clip_is_counted_not_fatal(clips, model, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "good.mp4").symlink_to(sorted(clips.glob("*.mp4"))[0])
    (folder / "text.mp4").write_text("not a video")
    options = EvaluateOptions(steps=(1,), protocols=("portrait",), as_drawn=False)
    report = evaluate_model(model, folder, tmp_path / "report", options)
    assert report["metrics"]["portrait_lip_correlation"]["failed"] == 1
    assert list(report["rows"]) == ["ours_1_steps"], "no baseline has such a protocol"
    assert "text" in report["rows"]["ours_1_steps"]["errors"]
    assert "text" in (tmp_path / "report" / "report.html").read_text()


@pytest.fixture
def one_without_sound(clips, tmp_path) -> Path:
    """Two short clips, of which the second has no sound."""
    folder = tmp_path / "clips"
    folder.mkdir()
    first, second = sorted(clips.glob("*.mp4"))
    (folder / "a.mp4").symlink_to(first)
    with VideoWriter(folder / "mute.mp4", replace(probe(second), has_audio=False)) as writer:
        for frame in read_frames(second):
            writer.write(frame.pixels)
    return folder


def test_the_protocol_silent_needs_no_sound(one_without_sound, model, tmp_path):
    (one_without_sound / "a.mp4").unlink()
    options = EvaluateOptions(steps=(1,), protocols=("silent",), as_drawn=False)
    report = evaluate_model(model, one_without_sound, tmp_path / "report", options)
    assert list(report["rows"]) == ["copy_input", "frozen_mouth", "ours_1_steps"], "the truth of silence is not known"
    for row in report["rows"].values():
        assert not row["errors"]
        assert row["metrics"]["silent_aperture_ratio"]["n"] == 1
        assert all(name.startswith("silent_") for name in row["metrics"]), "only what was asked for is measured"
    record = tmp_path / "report" / "clips" / "mute.json"
    time = record.stat().st_mtime_ns
    evaluate_model(model, one_without_sound, tmp_path / "report", options)
    assert record.stat().st_mtime_ns == time, "the record counts as done"


def test_a_clip_without_sound_is_driven_and_drives_none(one_without_sound, model, tmp_path):
    options = EvaluateOptions(steps=(1,), protocols=("self", "cross"), as_drawn=False)
    report = evaluate_model(model, one_without_sound, tmp_path / "report", options)
    rows = report["rows"]
    assert list(rows) == ["truth", "copy_input", "frozen_mouth", "ours_1_steps"]
    for row in rows.values():
        assert row["errors"]["a"] == "no other clip has sound, so that none drives this one in the protocol cross"
        assert row["metrics"]["cross_driver_correlation"]["n"] == 1
        assert row["clips"]["mute"]["cross_driver_correlation"] is not None
    baselines = ("truth", "copy_input", "frozen_mouth")
    assert not any("mute" in rows[row]["errors"] for row in baselines)
    assert "no audio track" in rows["ours_1_steps"]["errors"]["mute"], "its own speech cannot drive it"
    assert rows["truth"]["metrics"]["psnr"]["n"] == 2
    assert rows["ours_1_steps"]["metrics"]["psnr"]["n"] == 1


def test_no_baseline_counts_as_made_where_one_fails(clips, model, tmp_path, monkeypatch):
    def fail(*_):
        raise DataError("this clip is odd")

    monkeypatch.setattr("dithead.evaluate.baselines.write_frozen", fail)
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mp4").symlink_to(sorted(clips.glob("*.mp4"))[0])
    options = EvaluateOptions(steps=(1,), protocols=("self",), as_drawn=False)
    rows = evaluate_model(model, folder, tmp_path / "report", options)["rows"]
    assert [name for name, row in rows.items() if row["errors"]] == ["truth", "copy_input", "frozen_mouth"]
    assert all(set(row["errors"].values()) <= {"this clip is odd"} for row in rows.values())


@pytest.mark.slow
def test_baselines_are_taken_over_from_a_report_that_fits(made, clips, model, tmp_path):
    output, report = made
    again = evaluate_model(model, clips, tmp_path / "report", EvaluateOptions(steps=(1,), baselines=output))
    assert not (tmp_path / "report" / "videos" / "frozen_mouth").exists()
    for row in ("truth", "frozen_mouth", "ours_1_steps"):
        numbers = [r["rows"][row]["metrics"]["psnr"]["mean"] for r in (report, again)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.01)
    with pytest.raises(ConfigError, match="other protocols"):
        evaluate_model(
            model, clips, tmp_path / "other", EvaluateOptions(steps=(1,), protocols=("self",), baselines=output)
        )


def test_the_models_own_number_of_steps_is_the_default(clips, model, tmp_path):
    plan = make_plan(model, clips, tmp_path / "report", EvaluateOptions(protocols=("self",), device="cpu"))
    assert plan.steps == (model.config.steps,)
    with pytest.raises(ConfigError, match="steps must lie between 1 and 1000"):
        EvaluateOptions(steps=(0,))


def test_a_plan_is_sent_without_its_networks(clips, model, tmp_path):
    save_model(tmp_path / "model", model)
    plan = make_plan(
        str(tmp_path / "model"), clips, tmp_path / "report", EvaluateOptions(protocols=("self",), device="cpu")
    )
    assert plan.loaded_model is not None
    sent = pickle.dumps(plan.absolute())
    assert len(sent) < 5000
    assert hash_weights(pickle.loads(sent).loaded_model) == plan.settings["model_sha256"]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "workers"), [("local", 2), ("ray", 2)])
def test_other_processes_measure_the_same(made, clips, model, tmp_path, engine, workers):
    if engine == "ray":
        pytest.importorskip("ray")
    save_model(tmp_path / "model", model)
    plain = evaluate_model(tmp_path / "model", clips, tmp_path / "one", EvaluateOptions(protocols=("self",)))
    output = tmp_path / "many"
    again = evaluate_model(
        tmp_path / "model", clips, output, EvaluateOptions(protocols=("self",), engine=engine, workers=workers)
    )
    assert list(again["clips"]) == list(plain["clips"])
    for clip, measures in plain["clips"].items():
        assert again["clips"][clip]["psnr"] == pytest.approx(measures["psnr"], abs=0.05)


@pytest.mark.slow
def test_a_dead_worker_costs_its_clip_and_the_same_command_measures_it(clips, model, tmp_path, monkeypatch):
    def dying(work, names, *, engine, workers):
        yield 0, DataError("the worker process died over it")
        yield 1, work(names[1])

    with monkeypatch.context() as patch:
        patch.setattr("dithead.evaluate.protocols.map_tasks", dying)
        report = evaluate_model(model, clips, tmp_path / "report", EvaluateOptions(steps=(1,), protocols=("self",)))
    assert report["metrics"]["psnr"]["failed"] == 1
    again = evaluate_model(model, clips, tmp_path / "report", EvaluateOptions(steps=(1,), protocols=("self",)))
    assert again["metrics"]["psnr"]["failed"] == 0
