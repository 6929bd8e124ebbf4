"""Bundles a module with its moving average and optimiser: all that an update changes and a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dithead.train.loop.processes import process_group

Tensors = tuple[Tensor, ...] | list[Tensor]
WEIGHT_DECAY = 1e-3
"""Of AdamW, in every stage. Our choice."""


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Make the update rule of an exponential moving average whose memory grows to ``decay``.

    The memory is short at first, so that the random start is soon forgotten.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_([_local(t) for t in averaged], [_local(t) for t in current], 1 - keep)

    return update


@dataclass
class Trainable:
    """A module with its moving average and optimiser.

    Checkpoints hold whole tensors even where the module is sharded, so a run can resume in any number of processes.

    Attributes:
        module: The trained module.
        learning_rate: The peak learning rate.
        ema_decay: Decay of the moving average.
        betas: Of AdamW.
        may_shard: Each process keeps a shard of module, average and moments, where FSDP is asked for.
        slow: Parameters that learn at ``slow_rate`` times the learning rate (pretrained layers).
        slow_rate: See ``slow``.
        own_buffers: Names of buffers that keep this run's values in a warm start (the lips' calibration).
    """

    module: nn.Module
    learning_rate: float
    ema_decay: float
    betas: tuple[float, float] = (0.9, 0.99)
    may_shard: bool = False
    slow: Sequence[nn.Parameter] = ()
    slow_rate: float = 1.0
    own_buffers: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.average = AveragedModel(self.module, multi_avg_fn=moving_average(self.ema_decay))
        self.sharded = self.may_shard and process_group().shard(self.module, self.average.module)
        groups = self._parameter_groups()
        self.optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, betas=self.betas, weight_decay=WEIGHT_DECAY)
        self._gathered: dict[str, Any] | None = None

    def _parameter_groups(self) -> list[dict[str, Any]]:
        slow = {id(p) for p in self.slow}
        fast = {"params": [p for p in self.module.parameters() if id(p) not in slow], "share": 1.0}
        return [fast, {"params": list(self.slow), "share": self.slow_rate}] if slow else [fast]

    def step(self, learning_rate: float, max_norm: float) -> float:
        """Clip the gradients to ``max_norm``, update the weights and the average.

        Returns:
            The norm of the gradient before clipping.
        """
        if not self.sharded:
            process_group().average_gradients(self.module)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), max_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group.get("share", 1.0)  # absent in checkpoints of earlier versions
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.module)
        return float(_unsharded(norm))

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, in whole tensors. Every process must call this."""
        return {
            "module": _unsharded(self.module.state_dict()),
            "average": _unsharded(self.average.state_dict()),
            "optimizer": _unsharded(self.optimizer.state_dict()),
        }

    def gather(self) -> None:
        """Gather a sharded average for ``averaged_weights``. Every process must call this."""
        self._gathered = _unsharded(self.average.module.state_dict()) if self.sharded else None

    def averaged_weights(self) -> dict[str, Any]:
        """Return the average's weights; where it is sharded, as they were when last gathered."""
        return self._gathered or self.average.module.state_dict()

    def warm_start(self, state: dict[str, Any]) -> None:
        """Begin from another run's average with a fresh optimiser."""
        own, stored = self.average.state_dict(), state["average"]
        kept = {name: value for name, value in own.items() if name.rpartition(".")[2] in self.own_buffers}
        _load(self.average, {**stored, **kept})
        self.module.load_state_dict(self.average.module.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        _load(self.module, state["module"])
        _load(self.average, state["average"])
        stored, parameters = state["optimizer"], dict(self.module.named_parameters())
        before, now = self._optimizer_names(state["module"]), self._optimizer_names(parameters)
        moments = {
            now.index(before[i]): {k: _sharded_like(parameters[before[i]], v) for k, v in of.items()}
            for i, of in stored["state"].items()
        }
        self.optimizer.load_state_dict({**stored, "state": moments})

    def _optimizer_names(self, names: Iterable[str]) -> list[str]:
        """Return the parameters' names in the optimiser's order, in a module that registers ``names`` in this order.

        The optimiser knows its parameters by their numbers, but another version may have made them in another order.
        """
        parameters = dict(self.module.named_parameters())
        slow = {id(p) for p in self.slow}
        fast = [name for name in names if name in parameters and id(parameters[name]) not in slow]
        by_id = {id(p): name for name, p in parameters.items()}
        return fast + [by_id[id(p)] for p in self.slow]


def _load(module: nn.Module, state: dict[str, Any]) -> None:
    """Fill a module, sharded or not, from whole tensors."""
    own = module.state_dict()
    module.load_state_dict({name: _sharded_like(own.get(name), value) for name, value in state.items()})


def _sharded_like(parameter: Any, value: Any) -> Any:
    """Return ``value`` sharded as ``parameter`` is, when both have the same shape."""
    if hasattr(parameter, "device_mesh") and getattr(value, "shape", None) == parameter.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
    return value


def _unsharded(value: Any) -> Any:
    """Return a state in which every sharded tensor is gathered, on the CPU."""
    if isinstance(value, dict):
        return type(value)({key: _unsharded(part) for key, part in value.items()})
    if isinstance(value, list):
        return [_unsharded(part) for part in value]
    return value.full_tensor().cpu() if hasattr(value, "full_tensor") else value


def _local(value: Tensor) -> Tensor:
    """Return this process's shard of a tensor that may be sharded."""
    part: Tensor = value.to_local() if hasattr(value, "to_local") else value
    return part
