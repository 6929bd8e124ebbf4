"""Runs the training loop that all stages share: resume, update, log, save, measure held-out people, report.

Running the same command again continues the run in its folder: all randomness derives from (seed, step, row).
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dithead.errors import DataError, ModelError
from dithead.progress import Progress, Style, annotate, terminal_progress
from dithead.train.loop.batches import Batch, TrainingClock, prefetch
from dithead.train.loop.interrupts import Interrupts
from dithead.train.loop.processes import process_group
from dithead.train.loop.run_folder import CHECKPOINT, RunFolder, read_checkpoint, report_full_disk
from dithead.train.loop.schedule import Schedule
from dithead.train.loop.trainable import Trainable
from dithead.train.loop.weights_file import mismatch
from dithead.train.report.run_report import write_report


@dataclass(frozen=True)
class TrainingTask:
    """What one stage gives the loop.

    Attributes:
        parts: What is trained, by its name in the checkpoint.
        make_batch: Makes the batch of a step, from the step alone.
        update: Does one update and returns the metrics to log.
        measure: Measures held-out people after so many steps and draws the sample sheet; called in one process.
        describe_batch: Names what is in the batch of a step, for an error message.
    """

    parts: dict[str, Trainable]
    make_batch: Callable[[int], Batch]
    update: Callable[[int, Batch], dict[str, float]]
    measure: Callable[[int], None]
    describe_batch: Callable[[int], Sequence[str]] | None = None


def train_loop(run: RunFolder, task: TrainingTask, schedule: Schedule, init: Path | None = None) -> None:
    """Train from the last checkpoint to ``schedule.steps``, saving, logging and measuring on the way.

    Ctrl-C and SIGTERM end the run after its present step, saved; a second one ends it at once.

    Args:
        run: The run's folder.
        task: What is trained, and how.
        schedule: How long, and how often to save, log and measure.
        init: A run folder from whose averages a run without a checkpoint starts.

    Raises:
        DataError: A metric is not finite (the message names step and batch; the weights are not saved), or ``init``
            has no checkpoint.
        ModelError: A checkpoint is damaged or does not fit.
        OutputError: The run folder cannot be written.
    """
    first = _resume_or_start(run, task.parts, init)
    clock, preparing = TrainingClock(), time.time() - run.started
    rows = 0
    way: Style | None = None if process_group().is_main else "quiet"
    with report_full_disk(run.folder), terminal_progress(way) as progress, Interrupts() as interrupts:
        progress(_what(run), first, schedule.steps)
        batches = prefetch(task.make_batch, first, schedule.steps, clock=clock)
        for step, batch in zip(range(first, schedule.steps), batches, strict=True):
            rows = len(next(iter(batch.values())))
            _update(run, task, clock, step, batch, (progress, schedule.log_every))
            done, stop = step + 1, interrupts.requested()
            if stop or schedule.due(schedule.save_every, done):
                _save(run, task.parts, done)
            if stop:
                raise KeyboardInterrupt
            if schedule.due(schedule.measure_every, done):
                _measure(run, task, clock, done)
            progress(_what(run), done, schedule.steps)
    _gather(task.parts)
    if first < schedule.steps:
        cost = clock.speed(rows * process_group().size) | {"peak_memory_gb": peak_memory(), "preparing": preparing}
        cost |= {"measuring": clock.measuring, "measure_every": schedule.measure_every}
        cost |= {"steps": schedule.steps - first, "processes": process_group().size}
        with report_full_disk(run.folder):
            _finish(run, cost)
    process_group().barrier()


def _resume_or_start(run: RunFolder, parts: dict[str, Trainable], init: Path | None) -> int:
    """Bring the parts to where the run stands; return the step to continue with."""
    state = run.load()
    if state is None:
        run.drop_metrics_after(-1)
        if init is not None:
            _warm_start(parts, init)
        return 0
    for name, part in parts.items():
        part.restore(state[name])
    run.drop_metrics_after(int(state["step"]))
    return int(state["step"])


def _warm_start(parts: dict[str, Trainable], init: Path) -> None:
    path = init / CHECKPOINT
    if not path.exists():
        raise DataError(f"{init} has no {CHECKPOINT} to start from")
    state = read_checkpoint(path)
    for name, part in parts.items():
        try:
            part.warm_start(state[name])
        except (KeyError, RuntimeError) as error:
            reason = f"{path} does not fit this stage and preset ({mismatch(error)}); start from another run"
            raise ModelError(reason) from None


def _update(
    run: RunFolder, task: TrainingTask, clock: TrainingClock, step: int, batch: Batch,
    display: tuple[Progress, int],
) -> None:  # fmt: skip
    """Do one update; every few steps log its metrics and show the first three beside the bar."""
    progress, log_every = display
    start = time.perf_counter()
    metrics = process_group().means(task.update(step, batch))
    clock.add_update(time.perf_counter() - start)
    _require_finite(run, task, step, metrics)
    if step % log_every == 0:
        run.log(step=step + 1, **metrics)
        annotate(progress, " ".join(f"{key} {value:.4f}" for key, value in list(metrics.items())[:3]))


def _require_finite(run: RunFolder, task: TrainingTask, step: int, metrics: dict[str, float]) -> None:
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    if not wrong:
        return
    batch = ", ".join(task.describe_batch(step)) if task.describe_batch else "unnamed"
    raise DataError(
        f"{' and '.join(wrong)} not finite at step {step} of {run.folder}; the last good checkpoint is kept; "
        f"the batch was: {batch}"
    )


def _save(run: RunFolder, parts: dict[str, Trainable], step: int) -> None:
    state = {"step": step, **{name: part.state() for name, part in parts.items()}}
    if process_group().is_main:
        run.save(state)
    process_group().barrier()


def _measure(run: RunFolder, task: TrainingTask, clock: TrainingClock, step: int) -> None:
    start = time.perf_counter()
    _gather(task.parts)
    if process_group().is_main:
        task.measure(step)
        for sheet in (run.folder / "samples").glob(f"{step:07d}*.png"):
            run.loggers.log_image(sheet, step)
    process_group().barrier()
    clock.measuring += time.perf_counter() - start


def _gather(parts: dict[str, Trainable]) -> None:
    for part in parts.values():
        part.gather()


def _finish(run: RunFolder, cost: dict[str, float]) -> None:
    """Write ``cost.json`` and the report. All of the cost but ``seconds`` is of this start of the run only."""
    if process_group().is_main:
        (run.folder / "cost.json").write_text(json.dumps({"seconds": round(run.seconds, 1), **cost}, indent=1) + "\n")
        write_report(run)
        run.loggers.close()


def peak_memory() -> float:
    """Return the most memory in use at once, in GB: the GPU's, or the process's where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _what(run: RunFolder) -> str:
    """What the progress calls this run."""
    return f"training {run.folder.name}"
