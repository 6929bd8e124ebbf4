"""A toy training on the real runtime, for tests that need processes of their own: ``python toy.py FOLDER STEPS [HOW]``.

HOW is one of: ``die`` (killed in the middle of the second save), ``full`` (the disk fills up at the second save),
``cramped`` (there is no room for the numbers of more than a few steps), ``slow`` (a step takes 50 ms, a line is printed
after each).
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dithead.train.loop.batches import Batch
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_rng
from dithead.train.loop.run_folder import RunFolder
from dithead.train.loop.runtime import TrainingTask, train_loop
from dithead.train.loop.schedule import Schedule
from dithead.train.loop.trainable import Trainable

BATCH, SAVE_EVERY = 8, 5


def make_batch(step: int) -> Batch:
    rows = [torch.from_numpy(step_rng(0, step, 0, row).standard_normal(6)) for row in process_group().rows(BATCH)]
    x = torch.stack(rows)
    return {"x": x, "y": x.sin().sum(1, keepdim=True)}


def train(folder: Path, steps: int, how: str = "") -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    part = Trainable(module, 1e-2, 0.9, may_shard=True)
    if part.sharded:
        held = sum(p.to_local().numel() for p in module.parameters())  # type: ignore[attr-defined]
        whole = sum(p.numel() for p in module.parameters())
        print(f"holds {held} of {whole}", file=sys.stderr, flush=True)

    def update(step: int, batch: Batch) -> dict[str, float]:
        loss = (module(batch["x"]) - batch["y"]).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        if how == "slow":
            time.sleep(0.05)
            print(step, flush=True)
        return {"loss": float(loss.detach()), "norm": part.step(1e-2, 1.0)}

    run = RunFolder(folder, {"stage": "toy"})
    _prepare(how, run)
    task = TrainingTask({"toy": part}, make_batch, update, measure=lambda step: None)
    train_loop(run, task, Schedule(steps, SAVE_EVERY, log_every=1))


def _no_room_beyond(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _prepare(how: str, run: RunFolder) -> None:
    save, saves = torch.save, 0
    if how == "cramped":
        run.loggers.log_metrics = lambda values: None  # type: ignore[method-assign]
        _no_room_beyond(350)

    def dying(state: Any, file: Any) -> None:
        nonlocal saves
        saves += 1
        if saves < 2:
            save(state, file)
            return
        if how == "full":
            _no_room_beyond(1000)
            save(state, file)
            return
        file.write(b"half a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    if how in ("die", "full"):
        torch.save = dying


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
