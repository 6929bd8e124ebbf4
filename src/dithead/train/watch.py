"""Watching a run while it trains: TensorBoard and Weights & Biases, where they are installed.

TensorBoard's files go to the run folder; W&B is told only when ``WANDB_PROJECT`` is set, for it sends numbers away.
"""

from __future__ import annotations

import os
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dithead.train.processes import team


class Watchers:
    """Whoever is told the numbers and pictures of a run; nobody when nothing is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def numbers(self, values: dict[str, float]) -> None:
        """Tell the numbers of ``values["step"]``."""
        step = int(values.get("step", 0))
        told = {key: value for key, value in values.items() if key != "step"}
        if self._board:
            for key, value in told.items():
                self._board.add_scalar(key, value, step)
        if self._wandb:
            self._wandb.log(told, step=max(step, 0))

    def picture(self, path: Path, step: int) -> None:
        """Show a sample sheet."""
        if self._board:
            import cv2

            self._board.add_image("samples", cv2.imread(str(path))[..., ::-1].copy(), step, dataformats="HWC")
        if self._wandb:
            import wandb

            self._wandb.log({"samples": wandb.Image(str(path))}, step=step)

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._board:
            self._board.close()
        if self._wandb:
            self._wandb.finish()

    @cached_property
    def _board(self) -> Any:
        if not team().leads or find_spec("tensorboard") is None:
            return None
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"))  # type: ignore[no-untyped-call]

    @cached_property
    def _wandb(self) -> Any:
        if not team().leads or "WANDB_PROJECT" not in os.environ or find_spec("wandb") is None:
            return None
        import wandb

        return wandb.init(dir=self.folder, name=self.folder.name, resume="allow")
