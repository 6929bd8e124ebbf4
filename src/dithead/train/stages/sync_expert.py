"""Train a sync expert: which speech belongs to which mouth, among thousands of frames and within each clip.

There are two experts, one that scores generated videos and one that others are trained against. They differ in
architecture, in seed and in the clips they see: see ``critics.sync_expert`` and ``belongs_to``.
Letters: B segments, T frames of each, K side of the mouth picture.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from dithead.config import Frozen
from dithead.critics.sync_expert import EXPERTS, SyncConfig, SyncExpert, contrastive_losses, pair_loss
from dithead.critics.sync_offset import load_sync_expert
from dithead.errors import ConfigError, DataError, ModelError
from dithead.prepare.dataset import Clip
from dithead.train.data.clips import DataSource, WeightedClip, choose_clips, held_out_split
from dithead.train.data.mouth_dataset import MouthDataset, SegmentBatches, cache_mouth_clips
from dithead.train.loop.batches import Batch
from dithead.train.loop.precision import autocast
from dithead.train.loop.runtime import TrainingTask, train_loop
from dithead.train.loop.schedule import Schedule, learning_rate
from dithead.train.loop.trainable import Trainable
from dithead.train.loop.weights_file import save_weights
from dithead.train.metrics.held_out_sync import held_out_metrics
from dithead.train.stages.options import SyncOptions
from dithead.train.stages.start import start_stage

SAVE_EVERY = 100
"""Steps from one checkpoint to the next. Our choice."""
SHORTEST = 10
"""Frames that a clip must have to be used."""
_HELD_OUT_CLIPS = 24  # clips on which an expert is measured, at most; our choice
_LOSS_SHARE = 3  # one clip in so many belongs to the expert of the loss


class SyncTraining(Frozen):
    """Settings of a sync expert's training; a batch is ``segments`` x ``frames`` pairs.

    ``warmup`` is in steps and at most an eighth of them, ``decay`` a share of the steps. ``within`` weighs the loss
    inside clips against the one among clips.
    """

    steps: int = 3000
    segments: int = 24
    frames: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.5
    ema: float = 0.995
    clip: float = 1.0
    within: float = 1.0
    frames_per_identity: int = 40_000
    mel_augmentation: float = 0.8


def train_sync(
    data: Sequence[DataSource | str], output: Path, options: SyncOptions | None = None,
    training: SyncTraining | None = None,
) -> Path:  # fmt: skip
    """Train the expert ``options.expert``; the same call resumes.

    Args:
        data: Prepared datasets at 25 fps, as ``DataSource`` or ``"FOLDER:WEIGHT"``.
        output: The run folder.
        options: Which expert, steps, seed, device and what to start from.
        training: Settings, instead of the defaults.

    Returns:
        The file of the expert's weights.

    Raises:
        ConfigError: There is no such expert, or the folder holds a run with other settings.
        DataError: A dataset cannot be read, has too few clips, or another frame rate.
        ModelError: What the training should start from cannot be read or does not fit.
    """
    options = options or SyncOptions()
    expert, config = options.expert, expert_config(options.expert)
    options = replace(options, seed=sorted(EXPERTS).index(expert) if options.seed is None else options.seed)
    start = start_stage("sync", data, asdict(config), training or SyncTraining(), output, options, {"expert": expert})
    folder, settings, seed = start.run.folder, start.settings, start.seed
    dataset = MouthDataset(folder / "features", clips_of(start.sources, expert, settings), config)
    read = cache_mouth_clips(folder / "features", held_out_clips(start.sources, expert, settings), config)
    held_out = [clip for clip in read if clip is not None]
    torch.manual_seed(seed)
    trainable = Trainable(_initial(config, options.init).to(start.device), settings.learning_rate, settings.ema)
    average, shape = trainable.average.module, SegmentBatches(**settings.model_dump(include=_SHAPE))
    assert isinstance(average, SyncExpert)
    task = TrainingTask(
        parts={"sync": trainable},
        make_batch=lambda step: dataset.batch(shape, seed, step),
        update=_SyncUpdate(settings, trainable, start.device),
        measure=lambda step: start.run.log(step=step, **held_out_metrics(average, held_out)),
    )
    init = options.init if options.init is not None and options.init.is_dir() else None
    train_loop(start.run, task, Schedule(settings.steps, save_every=SAVE_EVERY), init)
    return save_expert(average, folder / "sync.safetensors", expert)


_SHAPE = {"segments", "frames", "mel_augmentation", "steps"}


def expert_config(name: str) -> SyncConfig:
    """Return the architecture of the expert called ``name``.

    Raises:
        ConfigError: There is no such expert.
    """
    if name not in EXPERTS:
        raise ConfigError(f"no sync expert called {name!r}; choose from {', '.join(EXPERTS)}")
    return EXPERTS[name]


def _initial(config: SyncConfig, init: Path | None) -> SyncExpert:
    """Return the expert that training starts with: the one in the file ``init``, or a new one."""
    if init is None or init.is_dir():
        return SyncExpert(config)
    expert = load_sync_expert(init)
    if expert.config != config:
        raise ModelError(f"{init} is an expert of another architecture; start from one of the same kind")
    return expert.train().requires_grad_(True)


def save_expert(expert: SyncExpert, path: Path, name: str) -> Path:
    """Write an expert as half-precision safetensors, with its configuration and its ``name`` in the header."""
    weights = {key: tensor.detach().half() for key, tensor in expert.state_dict().items()}
    return save_weights(path, weights, {"config": json.dumps(asdict(expert.config)), "expert": name})


@dataclass
class _SyncUpdate:
    """One update of a sync expert."""

    settings: SyncTraining
    trainable: Trainable
    device: torch.device

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        s, module = self.settings, self.trainable.module
        assert isinstance(module, SyncExpert)
        module.train()
        with autocast(self.device):
            mouths, speech = (
                module.embed_mouths(batch["mouths"].to(self.device)),
                module.embed_speech(batch["mel"].to(self.device)),
            )
        wide, near = contrastive_losses(mouths, speech, module.scale)
        (wide + s.within * near).backward()
        rate = learning_rate(step, s.steps, s.learning_rate, min(s.warmup, s.steps // 8), s.decay)
        norm = self.trainable.step(rate, s.clip)
        with torch.no_grad():
            pair = pair_loss(mouths, speech, module.scale)
            values = {"pair": pair, "near": near.detach(), "wide": wide.detach(), "scale": module.scale}
        return {name: float(value) for name, value in values.items()} | {"gradient": norm}


def belongs_to(clip: Clip, expert: str) -> bool:
    """Return whether a clip belongs to ``expert``: a third is the loss's, the rest the scorer's, none is in both."""
    return (zlib.crc32(clip.id.encode()) % _LOSS_SHARE == 0) == (expert == "loss")


def is_usable(clip: Clip, expert: str) -> bool:
    """Return whether a clip is long enough and belongs to ``expert``."""
    return clip.length >= SHORTEST and belongs_to(clip, expert)


def clips_of(sources: Sequence[DataSource], expert: str, settings: SyncTraining) -> list[WeightedClip]:
    """Choose the training clips of an expert.

    Raises:
        DataError: There are fewer than two.
    """
    chosen = choose_clips(sources, "train", settings.frames_per_identity)
    usable = [item for item in chosen if is_usable(item.clip, expert)]
    if len(usable) < 2:
        raise DataError(
            f"only {len(usable)} clips for the expert {expert!r}; it needs two of {SHORTEST} frames each: prepare more"
        )
    return usable


def held_out_clips(sources: Sequence[DataSource], expert: str, settings: SyncTraining) -> list[Clip]:
    """Choose at most 24 clips of held-out people; of the training people where nobody is held out."""
    if held_out_split(sources) == "val":
        chosen = choose_clips(sources, "val", settings.frames_per_identity)
    else:
        chosen = clips_of(sources, expert, settings)
    return [item.clip for item in chosen if item.clip.length >= SHORTEST][:_HELD_OUT_CLIPS]
