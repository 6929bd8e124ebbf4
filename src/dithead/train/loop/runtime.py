"""What every training stage shares: device and precision, randomness, and the loop.

Running the same command again continues the run in its folder; all randomness derives from (seed, step, row).
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from dithead.errors import DataError, ModelError
from dithead.train.loop.processes import team
from dithead.train.loop.run_folder import Run, read_checkpoint, room
from dithead.train.loop.trainable import Trainable
from dithead.train.loop.weights_file import why
from dithead.train.report.run_report import write_report

__all__ = ["Batch", "Loop", "Run", "Trainable", "autocast", "learning_rate", "step_generator",
           "step_rng", "train_loop"]  # fmt: skip

Batch = dict[str, Tensor]


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 autocast on CPU and CUDA; elsewhere full precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type in ("cpu", "cuda"))


def step_rng(seed: int, step: int, stream: int = 0, row: int | None = None) -> np.random.Generator:
    """NumPy randomness of one step, or of one row of its global batch: the same whichever process makes it."""
    return np.random.default_rng([seed, step, stream] if row is None else [seed, step, stream, row])


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
class Clock:
    """Where the seconds of a training go: its loader's threads, waiting for them, the updates, and looks at samples."""

    making: float = 0.0
    waiting: float = 0.0
    updating: float = 0.0
    looking: float = 0.0
    batches: int = 0
    first: float = 0.0
    """Seconds of the first update, which is slower than all others."""

    def updated(self, seconds: float) -> None:
        """Note one update."""
        self.first = self.first or seconds
        self.updating += seconds

    def numbers(self, rows: int) -> dict[str, float]:
        """Rows a second that the loader could give on its own, and that the updates take; seconds a step."""
        rest = max(self.batches - 1, 1)
        updating = self.updating - self.first if self.batches > 1 else self.updating
        return {
            "loader_rows_per_second": rows * self.batches / max(self.making, 1e-9),
            "step_rows_per_second": rows * rest / max(updating, 1e-9),
            "waiting_share": self.waiting / max(self.waiting + self.updating, 1e-9),
            "seconds_per_step": updating / rest + self.waiting / max(self.batches, 1),
        }


def prefetch(
    make: Callable[[int], Batch], first: int, last: int, depth: int = 2, clock: Clock | None = None
) -> Iterator[Batch]:
    """Batches of steps ``first`` to ``last - 1``, made ahead in a thread; each depends on its step alone."""
    clock = clock or Clock()

    def timed(step: int) -> Batch:
        start = time.perf_counter()
        batch = make(step)
        clock.making += time.perf_counter() - start
        return batch

    with ThreadPoolExecutor(1) as pool:
        queue = [pool.submit(timed, step) for step in range(first, min(first + depth, last))]
        try:
            for step in range(first, last):
                start = time.perf_counter()
                batch = queue.pop(0).result()
                clock.waiting += time.perf_counter() - start
                clock.batches += 1
                if step + depth < last:
                    queue.append(pool.submit(timed, step + depth))
                yield batch
        finally:
            for job in queue:
                job.cancel()


@dataclass(frozen=True)
class Loop:
    """How long to train and how often to save, log and draw."""

    steps: int
    save_every: int = 500
    log_every: int = 20
    sample_every: int = 500

    def due(self, every: int, done: int) -> bool:
        """True after ``done`` steps when something that happens every so often is to happen, and at the end."""
        return done % every == 0 or done == self.steps


def train_loop(
    run: Run,
    parts: dict[str, Trainable],
    loop: Loop,
    make_batch: Callable[[int], Batch],
    update: Callable[[int, Batch], dict[str, float]],
    draw: Callable[[int], None],
    init: Path | None = None,
    names: Callable[[int], Sequence[str]] | None = None,
) -> None:
    """Run ``update(step, batch)`` from the last checkpoint to ``loop.steps``, saving, logging and drawing on the way.

    A run without a checkpoint starts from the averages of the run folder ``init``, when given. Ctrl-C and SIGTERM end
    the run after the step at hand, saved; a second one ends it at once. ``names(step)`` says what is in a batch.
    A loss that is not finite stops the run before the weights are saved (DataError names step and batch).
    """
    first = _begin(run, parts, init)
    clock, preparing = Clock(), time.time() - run.started

    def save(step: int) -> None:
        state = {"step": step, **{name: part.state() for name, part in parts.items()}}
        if team().leads:
            run.save(state)
        team().wait()

    with room(run.folder), _progress() as progress, _Interrupts() as interrupts:
        task = progress.add_task(run.folder.name, total=loop.steps, completed=first, note="")
        batches = prefetch(make_batch, first, loop.steps, clock=clock)
        for step, batch in zip(range(first, loop.steps), batches, strict=True):
            start = time.perf_counter()
            metrics = team().means(update(step, batch))
            clock.updated(time.perf_counter() - start)
            _require_finite(run, step, metrics, names)
            if step % loop.log_every == 0:
                run.log(step=step + 1, **metrics)
                progress.update(task, note=" ".join(f"{key} {value:.4f}" for key, value in list(metrics.items())[:3]))
            done, stop = step + 1, interrupts.asked()
            if stop or loop.due(loop.save_every, done):
                save(done)
            if stop:
                raise KeyboardInterrupt
            if loop.due(loop.sample_every, done):
                start = time.perf_counter()
                _draw(run, parts, draw, done)
                clock.looking += time.perf_counter() - start
            progress.update(task, completed=done)
    _gather(parts)
    if first < loop.steps:
        cost = clock.numbers(_rows(batch) * team().size) | {"peak_memory_gb": peak_memory(), "preparing": preparing}
        cost |= {"looking": clock.looking, "look_every": loop.sample_every, "steps": loop.steps - first}
        with room(run.folder):
            _finish(run, cost | {"processes": team().size})
    team().wait()


def _begin(run: Run, parts: dict[str, Trainable], init: Path | None) -> int:
    """Bring the parts to where the run stands; returns the step to go on with."""
    state = run.load()
    if state is None:
        run.forget_after(-1)
        if init is not None:
            _warm_start(parts, init)
        return 0
    for name, part in parts.items():
        part.restore(state[name])
    run.forget_after(int(state["step"]))
    return int(state["step"])


def _gather(parts: dict[str, Trainable]) -> None:
    for part in parts.values():
        part.gather()


def _draw(run: Run, parts: dict[str, Trainable], draw: Callable[[int], None], step: int) -> None:
    _gather(parts)
    if team().leads:
        draw(step)
        for sheet in (run.folder / "samples").glob(f"{step:07d}*.png"):
            run.watchers.picture(sheet, step)
    team().wait()


def _finish(run: Run, cost: dict[str, float]) -> None:
    """``cost.json`` is of this start of the run only, but for its seconds."""
    if team().leads:
        (run.folder / "cost.json").write_text(json.dumps({"seconds": round(run.seconds, 1), **cost}, indent=1) + "\n")
        write_report(run)
        run.watchers.close()


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def peak_memory() -> float:
    """The most memory that was in use at once, in GB: the device's, or the process's where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _require_finite(
    run: Run, step: int, metrics: dict[str, float], names: Callable[[int], Sequence[str]] | None
) -> None:
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    if not wrong:
        return
    batch = ", ".join(names(step)) if names else "unnamed"
    raise DataError(
        f"{' and '.join(wrong)} not finite at step {step} of {run.folder}; the last good checkpoint is kept; "
        f"the batch was: {batch}"
    )


class _Interrupts:
    """Ctrl-C and SIGTERM are heard at the end of a step; the second one is obeyed at once."""

    def __init__(self) -> None:
        self._heard = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, *_: object) -> None:
        if self._heard:
            raise KeyboardInterrupt
        self._heard = True

    def asked(self) -> bool:
        """True when any process has been asked to stop."""
        return team().any(self._heard)


def _warm_start(parts: dict[str, Trainable], init: Path) -> None:
    path = init / "checkpoint.pt"
    if not path.exists():
        raise DataError(f"{init} has no checkpoint.pt to start from")
    state = read_checkpoint(path)
    for name, part in parts.items():
        try:
            part.warm_start(state[name])
        except (KeyError, RuntimeError) as error:
            told = f"{path} does not fit this stage and preset ({why(error)}); start from another run"
            raise ModelError(told) from None


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
               TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
    return Progress(*columns, disable=not team().leads)
