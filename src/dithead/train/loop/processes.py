"""Connects the processes that train together: which rows of a batch each makes, and averages over all of them.

Several processes are started by ``accelerate launch`` or ``torchrun``, on one machine or many. Each makes its own rows
of every batch, and gradients are averaged before every update, so N processes train as one would with the same global
batch. Every process holds the whole model, or, where accelerate is asked for FSDP, its shard of the denoiser.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from dithead.errors import ConfigError, MissingExtraError


class ProcessGroup:
    """A single process: every operation is local."""

    rank, size = 0, 1

    @property
    def is_main(self) -> bool:
        """True in the one process that writes files and measures held-out people."""
        return self.rank == 0

    def rows(self, batch: int) -> range:
        """Return the rows of a global batch that this process makes.

        Raises:
            ConfigError: The batch cannot be divided evenly among the processes.
        """
        if batch % self.size:
            raise ConfigError(f"batch {batch} cannot be shared by {self.size} processes; choose a multiple of it")
        share = batch // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean over the processes, without gradient."""
        return value.detach()

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by its mean over the processes."""

    def shard(self, *modules: nn.Module) -> bool:
        """Keep only a shard of the modules' weights in each process, where FSDP is asked for.

        A sharded module averages its gradients by itself, and only its ``forward`` may be called.

        Returns:
            True when the modules were sharded.
        """
        del modules
        return False

    def barrier(self) -> None:
        """Wait until all processes have arrived here."""

    def means(self, values: dict[str, float]) -> dict[str, float]:
        """Return each value's mean over the processes; a value that is not finite anywhere is not finite everywhere."""
        averaged = self.mean(torch.tensor(list(values.values()), dtype=torch.float64))
        return dict(zip(values, averaged.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Return True in all processes when ``flag`` is true in one."""
        return self.means({"flag": float(flag)})["flag"] > 0


class AccelerateGroup(ProcessGroup):
    """Several processes that communicate through accelerate."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.rank, self.size = accelerator.process_index, accelerator.num_processes

    def mean(self, value: Tensor) -> Tensor:
        """See ``ProcessGroup``."""
        moved = value.detach().to(self._accelerator.device).clone()
        averaged: Tensor = self._accelerator.reduce(moved, "mean")
        return averaged.to(value.device)

    def average_gradients(self, module: nn.Module) -> None:
        """See ``ProcessGroup``. All gradients of one type travel as one vector: few messages instead of many."""
        for group in _by_type(p.grad for p in module.parameters() if p.grad is not None):
            mean = self.mean(torch.cat([gradient.flatten() for gradient in group]))
            for gradient, part in zip(group, mean.split([g.numel() for g in group]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def shard(self, *modules: nn.Module) -> bool:
        """See ``ProcessGroup``."""
        if not _fsdp_requested():
            return False
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self._accelerator.device.type, (self.size,))
        for module in modules:
            for block in getattr(module, "blocks", ()):  # gathered one at a time, in forward and in backward
                fully_shard(block, mesh=mesh)
            fully_shard(module, mesh=mesh)
        return True

    def barrier(self) -> None:
        """See ``ProcessGroup``."""
        self._accelerator.wait_for_everyone()


def _by_type(gradients: Iterable[Tensor]) -> list[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for gradient in gradients:
        groups.setdefault(gradient.dtype, []).append(gradient)
    return list(groups.values())


@lru_cache(maxsize=1)
def process_group() -> ProcessGroup:
    """Return the processes this one trains with, as the launcher's environment variables say.

    Raises:
        MissingExtraError: There are several processes, but accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return ProcessGroup()
    try:
        from accelerate import Accelerator
    except ImportError:
        raise MissingExtraError("train", "accelerate") from None
    return AccelerateGroup(Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no"))


def _fsdp_requested() -> bool:
    """Whether ``accelerate launch --use_fsdp`` started this process; accelerate itself would shard only on GPUs."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")


def local_device() -> int:
    """Return the number of this machine's device that belongs to this process."""
    return int(os.environ.get("LOCAL_RANK", "0"))
