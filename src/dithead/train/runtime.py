"""What every training stage shares: device and precision, folders, checkpoints that resume exactly, logs, progress.

A run folder holds ``config.json``, ``checkpoint.pt`` (weights, averages, optimiser, step), ``metrics.jsonl`` and
``samples/``. Running the same command again continues; all randomness derives from (seed, step).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dithead.errors import ConfigError, DataError

Batch = dict[str, Tensor]


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; ConfigError when the one asked for is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available.get(name.split(":")[0], False):
        raise ConfigError(f"device '{name}' is not available here; use --device auto")
    return torch.device(name)


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 autocast on CPU and CUDA; elsewhere full precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type in ("cpu", "cuda"))


def step_rng(seed: int, step: int, stream: int = 0) -> np.random.Generator:
    """NumPy randomness of one step."""
    return np.random.default_rng([seed, step, stream])


def step_generator(seed: int, step: int) -> torch.Generator:
    """Torch randomness of one step (CPU)."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def learning_rate(step: int, steps: int, peak: float, warmup: int, decay: float) -> float:
    """Linear warm-up, constant, then a cosine to 2 % over the last ``decay`` share of the steps."""
    start = steps * (1 - decay)
    if step < warmup:
        return peak * (step + 1) / warmup
    if step < start:
        return peak
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - start) / max(1.0, steps - start)))))


@dataclass
class Run:
    """A run folder. Raises ConfigError when it holds a run with another configuration."""

    folder: Path
    config: dict[str, Any]
    started: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "samples").mkdir(exist_ok=True)
        path = self.folder / "config.json"
        text = json.dumps(self.config, indent=2, default=str)
        if path.exists() and json.loads(path.read_text()) != json.loads(text):
            raise ConfigError(f"{self.folder} holds a run with other settings; choose another -o or delete the folder")
        path.write_text(text)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def log(self, **values: float) -> None:
        """Append one line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"time": round(time.time() - self.started, 1), **values}) + "\n")

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint beside its name, then rename: a kill while saving leaves the last good one."""
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or None. Never unpickles code."""
        if not self.checkpoint.exists():
            return None
        state: dict[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        return state


Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential average whose memory grows to ``decay``: the random start is soon forgotten."""

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - keep)

    return update


@dataclass
class Trainable:
    """A module with its moving average and optimiser."""

    module: nn.Module
    rate: float
    ema_decay: float
    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        self.average = AveragedModel(self.module, multi_avg_fn=moving_average(self.ema_decay))
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=self.rate, betas=self.betas, weight_decay=1e-3)

    def step(self, rate: float, clip: float) -> float:
        """Clip, update, average. Returns the gradient norm before clipping."""
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.module)
        return float(norm)

    def state(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def warm_start(self, state: dict[str, Any]) -> None:
        """Begin from another run's average with a fresh optimiser."""
        self.average.load_state_dict(state["average"])
        self.module.load_state_dict(self.average.module.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def prefetch(make: Callable[[int], Batch], first: int, last: int, depth: int = 2) -> Iterator[Batch]:
    """Batches of steps ``first`` to ``last - 1``, made ahead in a thread; each depends on its step alone."""
    with ThreadPoolExecutor(1) as pool:
        queue = [pool.submit(make, step) for step in range(first, min(first + depth, last))]
        for step in range(first, last):
            batch = queue.pop(0).result()
            if step + depth < last:
                queue.append(pool.submit(make, step + depth))
            yield batch


@dataclass(frozen=True)
class Loop:
    """How long to train and how often to save, log and draw."""

    steps: int
    save_every: int = 500
    log_every: int = 20
    sample_every: int = 500


def train_loop(
    run: Run,
    parts: dict[str, Trainable],
    loop: Loop,
    make_batch: Callable[[int], Batch],
    update: Callable[[int, Batch], dict[str, float]],
    draw: Callable[[int], None],
    init: Path | None = None,
) -> None:
    """Run ``update(step, batch)`` from the last checkpoint to ``loop.steps``, saving, logging and drawing on the way.

    A run without a checkpoint starts from the averages of the run folder ``init``, when given.
    A loss that is not finite stops the run before the weights are saved (DataError names the step).
    """
    state = run.load()
    first = 0
    if state is not None:
        first = int(state["step"])
        for name, part in parts.items():
            part.restore(state[name])
    elif init is not None:
        _warm_start(parts, init)

    def save(step: int) -> None:
        run.save({"step": step, **{name: part.state() for name, part in parts.items()}})

    with _progress() as progress:
        task = progress.add_task(run.folder.name, total=loop.steps, completed=first, note="")
        for step, batch in zip(range(first, loop.steps), prefetch(make_batch, first, loop.steps), strict=True):
            metrics = update(step, batch)
            if not all(math.isfinite(value) for value in metrics.values()):
                raise DataError(f"loss is not finite at step {step} of {run.folder}; the last good checkpoint is kept")
            if step % loop.log_every == 0:
                run.log(step=step, **metrics)
                progress.update(task, note=" ".join(f"{key} {value:.4f}" for key, value in list(metrics.items())[:3]))
            if (step + 1) % loop.save_every == 0 or step + 1 == loop.steps:
                save(step + 1)
            if (step + 1) % loop.sample_every == 0 or step + 1 == loop.steps:
                draw(step + 1)
            progress.update(task, completed=step + 1)


def _warm_start(parts: dict[str, Trainable], init: Path) -> None:
    path = init / "checkpoint.pt"
    if not path.exists():
        raise DataError(f"{init} has no checkpoint.pt to start from")
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.warm_start(state[name])


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                    TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
