"""The estimated cost of a run, and the table that compares finished runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dithead.config import PRESETS, AudioTraining, AutoencoderTraining, DiTTraining, get_preset
from dithead.errors import DataError
from dithead.train.data.clips import DataSource
from dithead.train.report.cost_estimate import FrameCounts, PresetStage, count_frames, estimate, estimate_stage
from dithead.train.report.model_sizes import sizes_of
from dithead.train.report.run_table import people_table, runs_table
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.options import AutoencoderOptions


def test_an_estimate_comes_from_the_code_itself(dataset: Path, tmp_path: Path) -> None:
    preset = get_preset("tiny", ["autoencoder.batch=2"])
    cost = estimate_stage(
        PresetStage("autoencoder", train_autoencoder),
        [str(dataset)],
        preset,
        AutoencoderOptions(steps=1000, device="cpu"),
    )
    assert cost.steps == 1000
    assert cost.training == pytest.approx(1000 * cost.seconds_per_step)
    assert 0 < cost.measuring < 60
    assert cost.seconds == cost.preparing + cost.training + cost.measuring
    assert 0 < cost.seconds_per_step < 60
    assert 0.1 < cost.memory_gb < 10
    assert "1000 steps of" in cost.summary()


def test_what_is_read_and_kept_is_counted_as_the_stages_do_it(dataset: Path, tmp_path: Path) -> None:
    sources, clip = [DataSource(dataset)], 12  # three people with one clip each, and one held out
    dit = DiTTraining(variants=3, frames_per_identity=36)
    for settings, read, kept in ((dit, 10, 10), (dit.model_copy(update={"frames_per_identity": 35}), 4, 4)):
        assert count_frames("dit", settings, sources) == FrameCounts(read * clip, kept * clip, 1)
    assert count_frames("dit", dit.model_copy(update={"frames_per_identity": 6}), sources) == FrameCounts(
        4 * clip, 18 + clip
    )
    assert count_frames("audio", AudioTraining(), sources) == FrameCounts(36, 36, 1)
    assert count_frames("autoencoder", AutoencoderTraining(frames_per_identity=5), sources) == FrameCounts(48, 15)


def test_an_estimate_is_arithmetic_on_what_trials_took(dataset: Path) -> None:
    """Trials take 4 s to read three of thirty frames, the first 1 s more to start, and 0.5 s for each measurement."""
    counts = iter([2, 12])

    def train(data: object, output: Path, steps: int) -> Path:
        assert steps == next(counts)
        output.mkdir()
        (output / "checkpoint.pt").write_bytes(bytes(1000))
        took = {"seconds_per_step": 1.0, "preparing": 5.0 if steps == 2 else 4.0, "peak_memory_gb": 0.5, "steps": steps}
        (output / "cost.json").write_text(json.dumps({**took, "measuring": 0.5, "measure_every": 100}))
        return output

    def frames(sources: Sequence[DataSource]) -> FrameCounts:
        return FrameCounts(30, 20, 6) if sources[0].path == dataset else FrameCounts(3, 2, 2)

    cost = estimate(train, [DataSource(dataset)], 250, frames, 10**8)
    assert (cost.preparing, cost.training, cost.measuring) == pytest.approx((1 + 4 * 10, 250, 3 * 0.5 * 3))
    assert cost.memory_gb == pytest.approx(0.5 + 18 * 0.1)
    assert cost.checkpoint_gb == pytest.approx(1e-6)


def test_runs_stand_side_by_side(dataset: Path, tmp_path: Path) -> None:
    for name, changes in {"one": [], "two": ["autoencoder.detail_weight=1.0"]}.items():
        preset = get_preset("tiny", ["autoencoder.batch=2", *changes])
        train_autoencoder([str(dataset)], preset, tmp_path / name, AutoencoderOptions(steps=3, device="cpu"))
    lines = runs_table([tmp_path / "one", tmp_path / "two"]).splitlines()
    assert lines[0].startswith("| run | differs in | mouth l1 | psnr |")
    assert lines[2].startswith("| one | – |")
    assert lines[3].startswith("| two | detail_weight 1.0 |")
    with pytest.raises(DataError, match="no finished run"):
        runs_table([tmp_path])


def test_seeds_of_one_run_are_one_row_with_its_spread(tmp_path: Path) -> None:
    for name, width, seed, error in (("base-0", 32, 0, 0.2), ("wide-0", 64, 0, 0.5), ("base-1", 32, 1, 0.4)):
        (tmp_path / name).mkdir()
        config = {"model": {"width": width}, "expert": "a/b", "seed": seed}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "metrics.jsonl").write_text(json.dumps({"step": 1, "held_out_error": error}) + "\n")
        (tmp_path / name / "cost.json").write_text(json.dumps({"step_rows_per_second": 10 * (seed + 1)}))
    runs = [tmp_path / name for name in ("base-0", "wide-0", "base-1")]
    _, _, *rows, gap, meaning = runs_table(runs, seeds=True).splitlines()
    assert rows == ["| base | – | 0.300 (0.200 to 0.400) | 15 |", "| wide | width 64 | 0.500 | 10 |"]
    assert gap == ""
    assert meaning.startswith("error: mean square error of the generated latents at the lips")
    assert [line.split(" | ")[1] for line in runs_table(runs).splitlines()[2:5]] == ["–", "width 64", "seed 1"]


def test_people_stand_below_one_another_the_worst_first(tmp_path: Path) -> None:
    errors = {"one": {"ann: a (0)": 0.2, "ann: b (0)": 0.4, "bob: c (0)": 0.5}, "two": {"bob: c (0)": 0.1}}
    for name, error in errors.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "held_out.json").write_text(json.dumps({"step": 1, "error": error}))
    lines = people_table([tmp_path / "one", tmp_path / "two"]).splitlines()
    assert lines[0] == "| person | clips | one | two |"
    assert lines[2:] == ["| bob | 1 | 0.500 | 0.100 |", "| ann | 2 | 0.300 |  |"]
    with pytest.raises(DataError, match="no finished run"):
        people_table([tmp_path])


def test_sizes_are_counted_on_the_code() -> None:
    small, hd = sizes_of(PRESETS["small"].model), sizes_of(PRESETS["hd"].model)
    assert small.grid == 10
    assert 0 < small.tokens < 100
    assert hd.tokens > 9 * small.tokens / 2
    assert small.training_gb == pytest.approx(small.parameters["dit"] * 20e-3)
    four = PRESETS["small"].model.model_copy(update={"steps": 4})  # in one step the autoencoder is most of the work
    plain, guided = (four.model_copy(update={"guidance": scale}) for scale in (1.0, 2.0))
    assert sizes_of(guided).gflops > 1.3 * sizes_of(plain).gflops
