"""A module with its moving average and its optimiser: what an update changes and a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dithead.train.processes import team

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
        team().average_gradients(self.module)
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
