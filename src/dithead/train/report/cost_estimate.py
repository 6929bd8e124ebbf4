"""Estimate what a training run will cost on this machine, by running a few steps on a few clips.

The trial is the real training in a temporary folder; the rest is arithmetic on what it took.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from dithead.config import Preset
from dithead.prepare.dataset import Clip, Dataset
from dithead.train.data.clips import DataSource, WeightedClip, choose_clips, choose_held_out_clips
from dithead.train.data.latent_cache import variants_of
from dithead.train.data.mouth_dataset import cached_side
from dithead.train.loop.run_folder import CHECKPOINT
from dithead.train.metrics.held_out_latents import HELD_OUT_MEASURED
from dithead.train.report.run_report import duration
from dithead.train.stages.options import DenoiserOptions, StageOptions, SyncOptions
from dithead.train.stages.start import parse_sources

Options = TypeVar("Options", bound=StageOptions)
TRIAL_STEPS, TRIAL_SECONDS = 12, 8.0
"""A trial has so many steps, and more where these take less than so many seconds. Our choice."""
_AUDIO_HELD_OUT = 24  # held-out clips on which the audio encoder is measured, at most
_TRIAL_PEOPLE = 3  # clips of so many people, and one of a held-out person, make the trial
_MEL_BYTES = 4 * 80 * 2  # of a frame at 25 fps: four mel frames of 80 numbers in half precision


@dataclass(frozen=True)
class CostEstimate:
    """Cost of a whole run.

    Attributes:
        steps: Steps of the run.
        seconds_per_step: Of one step, waiting for the loader included.
        preparing: Seconds to start, read and encode the data.
        training: Seconds of all steps.
        measuring: Seconds spent on measuring held-out people.
        memory_gb: Peak memory of the process, or of the GPU.
        checkpoint_gb: Size of a checkpoint.
    """

    steps: int
    seconds_per_step: float
    preparing: float
    training: float
    measuring: float
    memory_gb: float
    checkpoint_gb: float

    @property
    def seconds(self) -> float:
        """Seconds of the whole run."""
        return self.preparing + self.training + self.measuring

    def summary(self) -> str:
        """Describe the cost in one line."""
        return (
            f"about {duration(self.seconds)}: {duration(self.preparing)} to read and encode the data, "
            f"{self.steps} steps of {self.seconds_per_step:.2f} s, {duration(self.measuring)} to measure held-out "
            f"people; {self.memory_gb:.1f} GB of memory, checkpoints of {self.checkpoint_gb:.2f} GB"
        )


@dataclass(frozen=True)
class FrameCounts:
    """Frames that a stage reads before its first step, frames that stay in memory, and held-out clips it measures."""

    read: int
    kept: int
    measured: int = 1


Sources = Sequence[DataSource]
TrialTraining = Callable[[Sources, Path, int], Path]
"""Trains on the sources into a folder for so many steps."""


def estimate(
    train: TrialTraining, sources: Sources, steps: int, count: Callable[[Sources], FrameCounts], bytes_per_frame: int,
    pick: Callable[[DataSource], list[Clip]] | None = None,
) -> CostEstimate:  # fmt: skip
    """Try a training on a few clips and scale its cost up to ``steps`` and to all data.

    Args:
        train: Trains on the sources into a folder for so many steps.
        sources: The datasets of the whole run.
        steps: Steps of the whole run.
        count: Counts the frames of datasets.
        bytes_per_frame: Memory that a frame takes once it is read.
        pick: Chooses the clips of a dataset for the trial; by default clips of a few people.

    Raises:
        DitheadError: Whatever ``train`` raises.
    """
    with tempfile.TemporaryDirectory(prefix="dithead-estimate-") as folder:
        trial = [_sample(source, Path(folder) / f"data{i}", pick or _some) for i, source in enumerate(sources)]
        run = Path(folder) / "run"
        train(trial, Path(folder) / "first", 2)  # the first start of anything loads libraries and fills caches
        train(trial, run, TRIAL_STEPS)
        starting = _cost(Path(folder) / "first")["preparing"] - _cost(run)["preparing"]
        per_step = float(_cost(run)["seconds_per_step"])
        if TRIAL_STEPS * per_step < TRIAL_SECONDS:  # the time of quick steps varies much: take more of them
            run = Path(folder) / "longer"
            train(trial, run, math.ceil(TRIAL_SECONDS / max(per_step, 1e-3)))
        cost = _cost(run)
        checkpoint = (run / CHECKPOINT).stat().st_size / 1e9
        tried, all_data = (count(chosen) for chosen in (trial, sources))
    per_step = float(cost["seconds_per_step"])
    measurements = math.ceil(steps / cost["measure_every"])
    return CostEstimate(
        steps=steps,
        seconds_per_step=per_step,
        preparing=max(starting, 0.0) + float(cost["preparing"]) * all_data.read / max(tried.read, 1),
        training=steps * per_step,
        measuring=measurements * _one_measurement(cost) * all_data.measured / max(tried.measured, 1),
        memory_gb=float(cost["peak_memory_gb"]) + (all_data.kept - tried.kept) * bytes_per_frame / 1e9,
        checkpoint_gb=checkpoint,
    )


def _cost(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "cost.json").read_text("utf-8")))


def _one_measurement(cost: dict[str, Any]) -> float:
    """Return the seconds of one measurement; a trial measures every so many steps and at its end."""
    return float(cost["measuring"]) / math.ceil(cost["steps"] / cost["measure_every"])


def count_frames(stage: str, settings: Any, sources: Sources) -> FrameCounts:
    """Count the frames that a stage with a preset reads and keeps, of training and of held-out people.

    Args:
        stage: ``autoencoder``, ``audio`` or ``dit``.
        settings: The stage's settings of the preset.
        sources: The datasets.
    """
    cap = settings.frames_per_identity
    if stage == "dit":
        chosen = choose_clips(sources, "train", cap)
        held_out = choose_held_out_clips(sources)
        cached = [*zip(chosen, variants_of(chosen, settings.variants, cap), strict=True), *((c, 1) for c in held_out)]
        read, kept = (sum(length(item) * n for item, n in cached) for length in (_whole_length, _used_length))
        return FrameCounts(read, kept, min(len(held_out), HELD_OUT_MEASURED))
    people: dict[str, int] = {}
    for clip in (clip for source in sources for clip in source.clips("train")):
        people[clip.identity] = people.get(clip.identity, 0) + clip.length
    total = sum(people.values())
    if stage == "audio":
        return FrameCounts(total, total, len(choose_held_out_clips(sources, _AUDIO_HELD_OUT)))
    held_out_frames = sum(clip.length for source in sources for clip in source.clips("val"))
    return FrameCounts(total + held_out_frames, sum(min(count, cap) for count in people.values()))


def _whole_length(item: WeightedClip) -> int:
    return item.clip.length


def _used_length(item: WeightedClip) -> int:
    return int(item.frames.stop - item.frames.start)


def _sample(source: DataSource, folder: Path, pick: Callable[[DataSource], list[Clip]]) -> DataSource:
    """Make a dataset of a few of the source's clips, with links to their files."""
    dataset, chosen = Dataset(source.path), pick(source)
    ids = {clip.id for clip in chosen}
    (folder / "clips").mkdir(parents=True)
    for clip in chosen:
        (folder / "clips" / clip.id).symlink_to(clip.folder.absolute(), target_is_directory=True)
    (folder / "config.json").write_text(json.dumps(dataset.config.stored_values()))
    lines = [json.dumps(entry) + "\n" for entry in dataset.entries if entry["id"] in ids]
    (folder / "manifest.jsonl").write_text("".join(lines))
    return replace(source, path=folder)


def _some(source: DataSource) -> list[Clip]:
    return _one_of_each(source.clips("train"), _TRIAL_PEOPLE) + _one_of_each(source.clips("val"), 1)


def _one_of_each(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Return the first clip of each of the first ``count`` people."""
    people = {clip.identity: clip for clip in reversed(clips)}
    return list(people.values())[:count]


@dataclass(frozen=True)
class PresetStage(Generic[Options]):
    """A stage whose settings stand in a preset: its name there, its training function, and the earlier runs it reads.

    The function is called as ``train(data, preset, output, *parts, options)``.
    """

    name: str
    train: Callable[..., Path]
    parts: Sequence[Path | str] = ()


def estimate_stage(
    stage: PresetStage[Options], data: Sequence[DataSource | str], preset: Preset, options: Options
) -> CostEstimate:
    """Estimate the cost of a stage with a preset.

    What a shared ``cache`` of latents already holds is counted as if it had to be encoded.

    Args:
        stage: The stage.
        data: Prepared datasets, as ``DataSource`` or ``"FOLDER:WEIGHT"``.
        preset: The preset.
        options: The stage's options.
    """
    settings, sources = getattr(preset, stage.name), parse_sources(stage.name, data)
    if isinstance(options, DenoiserOptions):
        options = replace(options, cache=None)

    def trial(chosen: Sources, output: Path, count: int) -> Path:
        return stage.train(chosen, preset, output, *stage.parts, replace(options, steps=count))

    side = max(Dataset(source.path).config.size for source in sources)  # pictures stay in memory as they are stored
    latents = preset.model.dit.grid**2 * (2 * preset.model.dit.latent_channels + 2) * 2
    per_frame = {"autoencoder": side * side * 3, "dit": latents, "audio": _MEL_BYTES}[stage.name]
    steps = options.steps or settings.steps
    return estimate(trial, sources, steps, partial(count_frames, stage.name, settings), per_frame)


def estimate_sync(data: Sequence[DataSource | str], options: SyncOptions) -> CostEstimate:
    """Estimate the cost of ``train_sync`` with these options.

    A step takes as many clips as there are, up to the batch's, so the trial does too.
    """
    from dithead.train.stages import sync_expert as sync

    settings, expert = sync.SyncTraining(), options.expert

    def pick(source: DataSource) -> list[Clip]:
        usable = [clip for clip in source.clips("train") if sync.is_usable(clip, expert)]
        return usable[: settings.segments] + _one_of_each(source.clips("val"), 1)

    def count(sources: Sources) -> FrameCounts:
        held_out = sync.held_out_clips(sources, expert, settings)
        read = sum(c.length for c in [*(item.clip for item in sync.clips_of(sources, expert, settings)), *held_out])
        return FrameCounts(read, read, len(held_out))

    def trial(chosen: Sources, output: Path, steps: int) -> Path:
        return sync.train_sync(chosen, output, replace(options, steps=steps))

    per_frame = cached_side(sync.expert_config(expert)) ** 2 * 3 + _MEL_BYTES
    return estimate(trial, parse_sources("sync", data), options.steps or settings.steps, count, per_frame, pick)
