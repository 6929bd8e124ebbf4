"""A module with its moving average and its optimiser: what an update changes and a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dithead.train.loop.processes import team

Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential average whose memory grows to ``decay``: the random start is soon forgotten."""

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_([_here(t) for t in averaged], [_here(t) for t in current], 1 - keep)

    return update


@dataclass
class Trainable:
    """A module with its moving average and optimiser.

    ``may_split``: where FSDP is asked for, each process keeps a part of all three. Checkpoints are whole in any case,
    so a run goes on in any number of processes. ``slow`` parameters learn at ``slow_rate`` of the rate. ``kept`` are
    buffers that belong to this run, whatever it starts from.
    """

    module: nn.Module
    rate: float
    ema_decay: float
    betas: tuple[float, float] = (0.9, 0.99)
    may_split: bool = False
    slow: Sequence[nn.Parameter] = ()
    slow_rate: float = 1.0
    kept: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.average = AveragedModel(self.module, multi_avg_fn=moving_average(self.ema_decay))
        self.split = self.may_split and team().split(self.module, self.average.module)
        self.optimizer = torch.optim.AdamW(self._groups(), lr=self.rate, betas=self.betas, weight_decay=1e-3)
        self._gathered: dict[str, Any] | None = None

    def _groups(self) -> list[dict[str, Any]]:
        slow = {id(p) for p in self.slow}
        fast = {"params": [p for p in self.module.parameters() if id(p) not in slow], "share": 1.0}
        return [fast, {"params": list(self.slow), "share": self.slow_rate}] if slow else [fast]

    def step(self, rate: float, clip: float) -> float:
        """Clip, update, average. Returns the gradient norm before clipping."""
        if not self.split:
            team().average_gradients(self.module)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)  # absent in checkpoints of earlier versions
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.module)
        return float(_whole(norm))

    def state(self) -> dict[str, Any]:
        """Whole tensors; every process must ask."""
        return {
            "module": _whole(self.module.state_dict()),
            "average": _whole(self.average.state_dict()),
            "optimizer": _whole(self.optimizer.state_dict()),
        }

    def gather(self) -> None:
        """Bring a split average together for ``averaged``; every process must ask."""
        self._gathered = _whole(self.average.module.state_dict()) if self.split else None

    def averaged(self) -> dict[str, Any]:
        """The average's weights; where it is split, as they were when last gathered."""
        return self._gathered or self.average.module.state_dict()

    def warm_start(self, state: dict[str, Any]) -> None:
        """Begin from another run's average with a fresh optimiser."""
        own, stored = self.average.state_dict(), state["average"]
        kept = {name: value for name, value in own.items() if name.rpartition(".")[2] in self.kept}
        _load(self.average, {**stored, **kept})
        self.module.load_state_dict(self.average.module.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        _load(self.module, state["module"])
        _load(self.average, state["average"])
        stored = state["optimizer"]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        moments = {i: {k: _as(parameters[i], v) for k, v in of.items()} for i, of in stored["state"].items()}
        self.optimizer.load_state_dict({**stored, "state": moments})


def _load(module: nn.Module, state: dict[str, Any]) -> None:
    """Fill a module, split or not, from whole tensors."""
    own = module.state_dict()
    module.load_state_dict({name: _as(own.get(name), value) for name, value in state.items()})


def _as(like: Any, value: Any) -> Any:
    """``value`` split as the parameter ``like`` is, when both have one shape."""
    if hasattr(like, "device_mesh") and getattr(value, "shape", None) == like.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value


def _whole(value: Any) -> Any:
    """A state with every split tensor in it brought together, on the CPU."""
    if isinstance(value, dict):
        return type(value)({key: _whole(part) for key, part in value.items()})
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return value.full_tensor().cpu() if hasattr(value, "full_tensor") else value


def _here(value: Tensor) -> Tensor:
    """This process's part of a tensor that may be split."""
    part: Tensor = value.to_local() if hasattr(value, "to_local") else value
    return part
