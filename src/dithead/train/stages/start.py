"""How every stage begins: what was asked for, checked and written down in the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import BaseModel

from dithead.device import pick_device
from dithead.train.data.clips import Source
from dithead.train.loop.processes import local_device
from dithead.train.loop.run_folder import Run

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True)
class Start(Generic[Settings]):
    """A stage about to train: its data, settings, device and run folder."""

    sources: list[Source]
    settings: Settings
    device: torch.device
    run: Run


def start(
    stage: str,
    data: Sequence[Source | str],
    model: Mapping[str, Any],
    settings: Settings,
    output: Path,
    *,
    seed: int,
    device: str,
    steps: int | None,
    **more: Any,
) -> Start[Settings]:
    """Open the run folder and seed torch. ``more`` are further settings of the stage that its config names.

    Raises DataError, ConfigError and OutputError.
    """
    where = pick_device(device, index=local_device())
    sources = [Source.parse(s) if isinstance(s, str) else s for s in data]
    settings = settings.model_copy(update={"steps": steps} if steps else {})
    config = {
        "stage": stage,
        "data": [source.describe() for source in sources],
        "model": dict(model),
        "training": settings.model_dump(mode="json"),
        **more,
        "seed": seed,
    }
    run = Run(Path(output), config)
    torch.manual_seed(seed)
    return Start(sources, settings, where, run)
