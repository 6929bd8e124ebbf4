"""A sync expert learns, resumes to the bit, and writes a file that loads; the two experts share no clip."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from dithead.critics.sync_expert import EXPERTS, MEL_PER_FRAME
from dithead.critics.sync_offset import find_crops_offset, load_sync_expert
from dithead.errors import ConfigError, DataError, ModelError
from dithead.prepare.dataset import Dataset
from dithead.train.data.clips import DataSource, WeightedClip
from dithead.train.data.mouth_dataset import MouthClip, MouthDataset, SegmentBatches, augment_mouth_images
from dithead.train.loop.run_folder import RunFolder
from dithead.train.metrics.explanations import explain
from dithead.train.report.cost_estimate import estimate_sync
from dithead.train.report.run_report import read_metrics
from dithead.train.stages import sync_expert as stage
from dithead.train.stages.options import SyncOptions
from dithead.train.stages.sync_expert import SyncTraining, train_sync

TRAINING = SyncTraining(steps=4, segments=2, frames=8, warmup=1)


@pytest.fixture(autouse=True)
def every_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's dataset has four clips: too few to part them."""
    monkeypatch.setattr(stage, "belongs_to", lambda clip, expert: True)


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setattr(stage, "belongs_to", lambda clip, expert: True)
    made = train_sync(
        [str(dataset)], tmp_path_factory.mktemp("runs") / "sync", SyncOptions(device="cpu"), training=TRAINING
    )
    patch.undo()
    return made


def test_the_weights_load_and_find_an_offset(run: Path, dataset: Path) -> None:
    clip = Dataset(dataset).clips("val")[0]
    found = find_crops_offset(clip.frames(), (32.0, 42.0), clip.audio(), load_sync_expert(run))
    assert -6 <= found.frames <= 6
    assert found.distance > 0


def test_the_log_holds_the_curve_and_the_held_out_numbers(run: Path) -> None:
    lines = [json.loads(line) for line in (run.parent / "metrics.jsonl").read_text().splitlines()]
    assert any("pair" in line for line in lines)
    assert any({"held_out_pair", "held_out_offset"} <= set(line) for line in lines)
    names = read_metrics(run.parent / "metrics.jsonl").keys()
    assert explain("sync", names).keys() == names


def test_stopping_and_resuming_gives_the_same_bits(
    run: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = RunFolder.save

    def stop_after_saving(self: RunFolder, state: dict) -> None:  # type: ignore[type-arg]
        save(self, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "SAVE_EVERY", 2)
    monkeypatch.setattr(RunFolder, "save", stop_after_saving)
    with pytest.raises(KeyboardInterrupt):
        train_sync([str(dataset)], tmp_path / "sync", SyncOptions(device="cpu"), training=TRAINING)
    monkeypatch.setattr(RunFolder, "save", save)
    again = train_sync([str(dataset)], tmp_path / "sync", SyncOptions(device="cpu"), training=TRAINING)
    with safe_open(again, "pt") as resumed, safe_open(run, "pt") as whole:  # metadata has no order in the file
        assert resumed.metadata() == whole.metadata()
        assert resumed.keys() == whole.keys()
        for name in whole.keys():  # noqa: SIM118 a file, not a dict
            assert torch.equal(resumed.get_tensor(name), whole.get_tensor(name)), name


def test_an_estimate_tries_as_many_clips_as_a_batch_has(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    few = SyncTraining(segments=2, frames=8, warmup=1)

    def train(sources: list[DataSource], output: Path, options: SyncOptions) -> Path:
        seen.append(len(sources[0].clips("train")))
        return train_sync(sources, output, replace(options, steps=min(options.steps or 3, 3)), training=few)

    monkeypatch.setattr(stage, "SyncTraining", lambda: few)
    monkeypatch.setattr(stage, "train_sync", train)
    cost = estimate_sync([str(dataset)], SyncOptions(expert="loss", steps=1000, device="cpu"))
    assert set(seen) == {2}
    assert cost.training == pytest.approx(1000 * cost.seconds_per_step)
    assert cost.preparing > 0


def test_no_clip_is_in_both_experts_data(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    clips = Dataset(dataset).clips()
    assert all(stage.belongs_to(clip, "score") != stage.belongs_to(clip, "loss") for clip in clips)


def weighted(start: float, end: float) -> WeightedClip:
    return WeightedClip(None, start, end, slice(0, 8), 1)  # type: ignore[arg-type]  # the clip is not read


@pytest.fixture
def two_datasets(monkeypatch: pytest.MonkeyPatch) -> MouthDataset:
    """Two clips of a dataset that fades out, whose speech is 1, and two of one that fades in, whose speech is 2."""
    config = EXPERTS["loss"]
    side = round(config.side * 1.5)
    clips = [
        MouthClip(np.zeros((8, side, side, 3), np.uint8), np.full((8 * MEL_PER_FRAME, 80), speech, np.float16))
        for speech in (1, 1, 2, 2)
    ]
    monkeypatch.setattr("dithead.train.data.mouth_dataset.cache_mouth_clips", lambda *_: clips)
    chosen = [weighted(0.5, 0.0), weighted(0.5, 0.0), weighted(0.0, 0.5), weighted(0.0, 0.5)]
    return MouthDataset(Path(), chosen, config)


@pytest.mark.parametrize(("step", "speech"), [(0, {1.0}), (100, {2.0})])
def test_the_weights_of_datasets_change_during_the_training(two_datasets: MouthDataset, step: int, speech: set) -> None:  # type: ignore[type-arg]
    shape = SegmentBatches(segments=4, frames=4, mel_augmentation=0.0, steps=100)
    assert set(two_datasets.batch(shape, 0, step)["mel"].unique().tolist()) == speech


def test_half_way_both_datasets_are_drawn(two_datasets: MouthDataset) -> None:
    shape = SegmentBatches(segments=1, frames=4, mel_augmentation=0.0, steps=100)
    drawn = [two_datasets.batch(shape, seed, 50)["mel"].mean().item() for seed in range(40)]
    assert 10 < drawn.count(1.0) < 30


def test_a_training_whose_datasets_all_fade_out_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all datasets have weight 0 at one end of the training"):
        train_sync([f"{dataset}:1..0"], tmp_path / "sync", SyncOptions(device="cpu"), training=TRAINING)


@pytest.mark.parametrize("name", EXPERTS)
def test_augmentation_repeats_and_keeps_the_networks_shape(name: str) -> None:
    config, mouths = EXPERTS[name], torch.rand(2, 3, 3, 52, 52) * 2 - 1
    a, b = (augment_mouth_images(mouths, config, torch.Generator().manual_seed(4)) for _ in range(2))
    assert a.shape == (2, 3, 3 if config.colour else 1, config.side, config.side)
    assert torch.equal(a, b)


def test_bad_requests_are_one_clear_line(dataset: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown expert 'best'"):
        train_sync([str(dataset)], tmp_path / "a", SyncOptions(expert="best"))
    with pytest.raises(DataError, match="not a dataset"):
        train_sync([str(tmp_path)], tmp_path / "b", SyncOptions(device="cpu"))
    with pytest.raises(ConfigError, match="other settings"):
        train_sync([str(dataset)], run.parent, SyncOptions(expert="loss", device="cpu"))
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(ModelError, match="no sync expert"):
        load_sync_expert(tmp_path / "text")


def test_training_starts_from_an_experts_file_and_refuses_another_kind(
    run: Path, dataset: Path, tmp_path: Path
) -> None:
    begun = stage._initial(EXPERTS["score"], run)
    stored = load_sync_expert(run)
    assert all(torch.equal(a, b) for a, b in zip(begun.parameters(), stored.parameters(), strict=True))
    assert all(p.requires_grad for p in begun.parameters())
    one = SyncTraining(steps=1, segments=2, frames=8)
    again = load_sync_expert(
        train_sync([str(dataset)], tmp_path / "on", SyncOptions(device="cpu", init=run), training=one)
    )
    moved = max(float((a - b).abs().max()) for a, b in zip(again.parameters(), stored.parameters(), strict=True))
    assert 0 < moved < 0.01
    with pytest.raises(ModelError, match="another architecture"):
        train_sync([str(dataset)], tmp_path / "loss", SyncOptions(expert="loss", device="cpu", init=run), training=one)
