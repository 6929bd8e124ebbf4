"""What a run will cost on this machine, found by running a little of it: a few steps on a few clips, then arithmetic.

Nothing is guessed about the machine: the same code trains for a moment in a temporary folder.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dithead.config import Preset
from dithead.prepare.dataset import Clip, Dataset
from dithead.train.data.clips import Source, WeightedClip, choose_clips, held_out_people
from dithead.train.data.latent_cache import variants_of
from dithead.train.metrics.held_out_latents import HELD_OUT_MEASURED
from dithead.train.report.run_report import duration

TRIAL_STEPS, TRIAL_SECONDS = 12, 8.0
_LISTENED = 24  # held-out clips by which the audio encoder is measured, at most
_PEOPLE = 3  # clips of so many people, and one held out, make the trial


@dataclass(frozen=True)
class Estimate:
    """Cost of a whole run. ``seconds`` are ``preparing`` (starting, reading, encoding), ``training`` and ``looking`` at
    people held out on the way.
    """

    steps: int
    seconds_per_step: float
    preparing: float
    training: float
    looking: float
    memory_gb: float
    checkpoint_gb: float

    @property
    def seconds(self) -> float:
        return self.preparing + self.training + self.looking

    def told(self) -> str:
        """One line for people."""
        return (
            f"about {duration(self.seconds)}: {duration(self.preparing)} to read and encode the data, "
            f"{self.steps} steps of {self.seconds_per_step:.2f} s, {duration(self.looking)} to look at people held "
            f"out; {self.memory_gb:.1f} GB of memory, checkpoints of {self.checkpoint_gb:.2f} GB"
        )


def estimate(
    train: Callable[..., Path], data: Sequence[Source | str], steps: int, frames: Callable[[Sequence[Source]], Frames],
    bytes_per_frame: int, pick: Callable[[Dataset], list[Clip]] | None = None,
) -> Estimate:  # fmt: skip
    """Try ``train(data, output, steps)`` on a few clips and scale up to ``steps`` and all of ``data``.

    ``frames`` counts those of a mixture, ``bytes_per_frame`` is what one costs in memory once read, ``pick`` chooses a
    dataset's clips for the trial (default: of a few people). Raises what ``train`` raises.
    """
    sources = _sources(data)
    with tempfile.TemporaryDirectory(prefix="dithead-estimate-") as folder:
        small = [_sample(source, Path(folder) / f"data{i}", pick or _some) for i, source in enumerate(sources)]
        run = Path(folder) / "run"
        train(small, Path(folder) / "first", 2)  # the first start of anything loads libraries and fills caches
        train(small, run, TRIAL_STEPS)
        starting = _cost(Path(folder) / "first")["preparing"] - _cost(run)["preparing"]
        per_step = float(_cost(run)["seconds_per_step"])
        if TRIAL_STEPS * per_step < TRIAL_SECONDS:  # quick steps vary much: take more of them
            run = Path(folder) / "longer"
            train(small, run, math.ceil(TRIAL_SECONDS / max(per_step, 1e-3)))
        cost = _cost(run)
        checkpoint = (run / "checkpoint.pt").stat().st_size / 1e9
        tried, every = (frames(chosen) for chosen in (small, sources))
    per_step = float(cost["seconds_per_step"])
    return Estimate(
        steps=steps,
        seconds_per_step=per_step,
        preparing=max(starting, 0.0) + float(cost["preparing"]) * every.read / max(tried.read, 1),
        training=steps * per_step,
        looking=math.ceil(steps / cost["look_every"]) * _one_look(cost) * every.looked_at / max(tried.looked_at, 1),
        memory_gb=float(cost["peak_memory_gb"]) + (every.kept - tried.kept) * bytes_per_frame / 1e9,
        checkpoint_gb=checkpoint,
    )


def _sources(data: Sequence[Source | str]) -> list[Source]:
    return [Source.parse(item) if isinstance(item, str) else item for item in data]


def _cost(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "cost.json").read_text("utf-8")))


def _one_look(cost: dict[str, Any]) -> float:
    """Seconds of one look at people held out; a trial looks every so often and at its end."""
    return float(cost["looking"]) / math.ceil(cost["steps"] / cost["look_every"])


@dataclass(frozen=True)
class Frames:
    """How many a stage reads before its first step, how many of them it keeps in memory, and how many held-out clips it
    looks at on the way.
    """

    read: int
    kept: int
    looked_at: int = 1


def frames_of(stage: str, settings: Any, sources: Sequence[Source]) -> Frames:
    """Of the people that ``stage`` trains on and of those that it is measured on."""
    if stage == "dit":
        chosen = choose_clips(sources, "train", settings.frames_per_identity, power=0.5)
        each = variants_of(chosen, settings.variants, settings.frames_per_identity)
        held_out = held_out_people(sources)
        made = [*zip(chosen, each, strict=True), *((item, 1) for item in held_out)]
        read, kept = (sum(length(item) * n for item, n in made) for length in (_whole, _used))
        return Frames(read, kept, min(len(held_out), HELD_OUT_MEASURED))
    people: dict[str, int] = {}
    for clip in (clip for source in sources for clip in Dataset(source.path).clips("train")):
        people[clip.identity] = people.get(clip.identity, 0) + clip.length
    every, cap = sum(people.values()), settings.frames_per_identity
    if stage == "audio":
        return Frames(every, every, len(held_out_people(sources, _LISTENED)))
    held_out_frames = sum(clip.length for source in sources for clip in Dataset(source.path).clips("val"))
    return Frames(every + held_out_frames, sum(min(count, cap) for count in people.values()))


def _whole(item: WeightedClip) -> int:
    return item.clip.length


def _used(item: WeightedClip) -> int:
    return int(item.frames.stop - item.frames.start)


def _sample(source: Source, folder: Path, pick: Callable[[Dataset], list[Clip]]) -> Source:
    """A dataset of a few of the source's clips, its files where they are."""
    dataset = Dataset(source.path)
    chosen = pick(dataset)
    ids = {clip.id for clip in chosen}
    (folder / "clips").mkdir(parents=True)
    for clip in chosen:
        (folder / "clips" / clip.id).symlink_to(clip.folder.absolute(), target_is_directory=True)
    (folder / "config.json").write_text(json.dumps(dataset.config.stored_values()))
    lines = [json.dumps(entry) + "\n" for entry in dataset.entries if entry["id"] in ids]
    (folder / "manifest.jsonl").write_text("".join(lines))
    return Source(folder, source.weight, source.final)


def _some(dataset: Dataset) -> list[Clip]:
    return _few(dataset.clips("train"), _PEOPLE) + _few(dataset.clips("val"), 1)


def _few(clips: Sequence[Clip], count: int) -> list[Clip]:
    people = {clip.identity: clip for clip in reversed(clips)}
    return list(people.values())[:count]


def estimate_stage(
    stage: str, train: Callable[..., Path], data: Sequence[Source | str], preset: Preset, *parts: Path,
    steps: int | None = None, cache: Path | None = None, **options: Any,
) -> Estimate:  # fmt: skip
    """The cost of ``train(data, preset, output, *parts, steps=..., **options)``, a stage with settings in the preset.

    A shared ``cache`` of latents is not looked at: what it holds already is counted as if it had to be made.
    """
    settings = getattr(preset, stage)

    def trial(chosen: Sequence[Source], output: Path, count: int) -> Path:
        return train(chosen, preset, output, *parts, steps=count, **options)

    del cache
    side = max(Dataset(source.path).config.size for source in _sources(data))  # pictures are kept as they are stored
    cells = preset.model.dit.grid**2 * (2 * preset.model.dit.latent_channels + 2) * 2
    per_frame = {"autoencoder": side * side * 3, "dit": cells, "audio": 4 * 80 * 2}[stage]
    return estimate(trial, data, steps or settings.steps, partial(frames_of, stage, settings), per_frame)


def estimate_sync(
    data: Sequence[Source | str], *, expert: str = "score", steps: int | None = None, **options: Any
) -> Estimate:
    """The cost of ``train_sync(data, output, expert=expert, steps=steps, **options)``.

    A step takes as many clips as there are, up to the batch's, so the trial does too.
    """
    from dithead.train.stages import sync_expert as sync

    settings, side = sync.SyncTraining(), sync.cached_side(expert)

    def pick(dataset: Dataset) -> list[Clip]:
        mine = [clip for clip in dataset.clips("train") if sync.usable(clip, expert)]
        return mine[: settings.segments] + _few(dataset.clips("val"), 1)

    def frames(sources: Sequence[Source]) -> Frames:
        held_out = sync.held_out_clips(sources, expert, settings)
        read = sum(c.length for c in [*(item.clip for item in sync.clips_of(sources, expert, settings)), *held_out])
        return Frames(read, read, len(held_out))

    def trial(chosen: Sequence[Source], output: Path, count: int) -> Path:
        return sync.train_sync(chosen, output, expert=expert, steps=count, **options)

    return estimate(trial, data, steps or settings.steps, frames, side * side * 3 + 4 * 80 * 2, pick)
