"""One training over one process or many: who does which rows, and what they tell each other.

Several processes are started by ``accelerate launch`` or ``torchrun``, on one machine or many. Each makes its own rows
of every batch and gradients are averaged before every update, so N processes train as one would with the same global
batch. Every process holds the whole model, or, where accelerate is told to use FSDP, its part of the transformer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from dithead.errors import ConfigError, MissingExtraError


class Team:
    """One process alone: everything is local."""

    rank, size = 0, 1

    @property
    def leads(self) -> bool:
        """True in the one process that writes files and draws."""
        return self.rank == 0

    def rows(self, batch: int) -> range:
        """The rows of a global batch that are this process's. ConfigError when they cannot be shared out evenly."""
        if batch % self.size:
            raise ConfigError(f"batch {batch} cannot be shared by {self.size} processes; choose a multiple of it")
        share = batch // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes, without gradient."""
        return value.detach()

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by its mean over the processes."""

    def split(self, *modules: nn.Module) -> bool:
        """Where FSDP is asked for, leave each process a part of the modules' weights; True when that was done.

        A split module averages its gradients by itself, and only its ``forward`` may be called.
        """
        del modules
        return False

    def wait(self) -> None:
        """Until all processes are here."""

    def means(self, values: dict[str, float]) -> dict[str, float]:
        """Each value's mean over the processes; one that is not finite anywhere is not finite everywhere."""
        told = self.mean(torch.tensor(list(values.values()), dtype=torch.float64))
        return dict(zip(values, told.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """True in all processes when true in one."""
        return self.means({"flag": float(flag)})["flag"] > 0


class Crowd(Team):
    """Several processes, through accelerate."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.rank, self.size = accelerator.process_index, accelerator.num_processes

    def mean(self, value: Tensor) -> Tensor:
        moved = value.detach().to(self._accelerator.device).clone()
        told: Tensor = self._accelerator.reduce(moved, "mean")
        return told.to(value.device)

    def average_gradients(self, module: nn.Module) -> None:
        """All gradients of one type travel as one vector: few messages instead of one a parameter."""
        for group in _by_type(p.grad for p in module.parameters() if p.grad is not None):
            mean = self.mean(torch.cat([gradient.flatten() for gradient in group]))
            for gradient, part in zip(group, mean.split([g.numel() for g in group]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def split(self, *modules: nn.Module) -> bool:
        if not _fsdp_wanted():
            return False
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self._accelerator.device.type, (self.size,))
        for module in modules:
            for block in getattr(module, "blocks", ()):  # gathered one at a time, in forward and in backward
                fully_shard(block, mesh=mesh)
            fully_shard(module, mesh=mesh)
        return True

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()


def _by_type(gradients: Iterable[Tensor]) -> list[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for gradient in gradients:
        groups.setdefault(gradient.dtype, []).append(gradient)
    return list(groups.values())


@lru_cache(maxsize=1)
def team() -> Team:
    """The processes this one trains with, as the launcher's environment says. MissingExtraError without accelerate."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Team()
    try:
        from accelerate import Accelerator
    except ImportError:
        raise MissingExtraError("train", "accelerate") from None
    return Crowd(Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no"))


def _fsdp_wanted() -> bool:
    """What ``accelerate launch --use_fsdp`` tells its processes. accelerate itself would only split on GPUs."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")


def local_device() -> int:
    """Which of this machine's devices is this process's."""
    return int(os.environ.get("LOCAL_RANK", "0"))
