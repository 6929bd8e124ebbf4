"""Starts a stage: checks its data and options and records them in the run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import BaseModel

from dithead.device import pick_device
from dithead.prepare.dataset import Dataset
from dithead.train.data.clips import DataSource
from dithead.train.loop.processes import local_device, process_group
from dithead.train.loop.run_folder import RunFolder
from dithead.train.stages.options import StageOptions

Settings = TypeVar("Settings", bound=BaseModel)
_NO_SPEECH_NEEDED = ("autoencoder",)  # stages that learn appearance alone
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageStart(Generic[Settings]):
    """A stage about to train: its datasets, settings, device, seed and run folder."""

    sources: list[DataSource]
    settings: Settings
    device: torch.device
    seed: int
    run: RunFolder


def parse_sources(stage: str, data: Sequence[DataSource | str]) -> list[DataSource]:
    """Parse the datasets of a stage; one that needs speech leaves out clips without it.

    Args:
        stage: ``autoencoder``, ``audio``, ``dit`` or ``sync``.
        data: Prepared datasets, as ``DataSource`` or ``"FOLDER:WEIGHT"``.

    Raises:
        DataError: A weight makes no sense.
    """
    sources = [DataSource.parse(item) if isinstance(item, str) else item for item in data]
    return [replace(source, speech_only=stage not in _NO_SPEECH_NEEDED) for source in sources]


def start_stage(
    stage: str, data: Sequence[DataSource | str], model: Mapping[str, Any], settings: Settings, output: Path,
    options: StageOptions, recorded: Mapping[str, Any] | None = None,
) -> StageStart[Settings]:  # fmt: skip
    """Open the run folder and seed torch.

    Args:
        stage: ``autoencoder``, ``audio``, ``dit`` or ``sync``.
        data: Prepared datasets, as ``DataSource`` or ``"FOLDER:WEIGHT"``.
        model: The architecture, as ``config.json`` records it.
        settings: The stage's settings of the preset; ``options.steps`` replaces their steps.
        output: The run folder.
        options: What the caller asked for.
        recorded: Further entries of ``config.json``.

    Raises:
        ConfigError: The folder holds a run with other settings, or the device does not exist.
        DataError: A dataset cannot be read or has changed.
        OutputError: The folder cannot be written.
    """
    device = pick_device(options.device, index=local_device())
    sources, seed = parse_sources(stage, data), options.seed or 0
    settings = settings.model_copy(update={"steps": options.steps} if options.steps else {})
    config = {
        "stage": stage,
        "data": [source.describe() for source in sources],
        "model": dict(model),
        "training": settings.model_dump(mode="json"),
        **(recorded or {}),
        "seed": seed,
    }
    run = RunFolder(Path(output), config)
    _report_silent_clips(sources)
    torch.manual_seed(seed)
    return StageStart(sources, settings, device, seed, run)


def _report_silent_clips(sources: Sequence[DataSource]) -> None:
    """Log how many clips are left out because they have no speech."""
    if not process_group().is_main or not all(source.speech_only for source in sources):
        return
    clips = [clip for source in sources for clip in Dataset(source.path).clips()]
    if silent := sum(not clip.has_speech for clip in clips):
        _log.warning("left out: %d of %d clips, which have no speech", silent, len(clips))
