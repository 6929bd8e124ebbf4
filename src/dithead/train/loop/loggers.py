"""Watching a run while it trains: TensorBoard and Weights & Biases, where they are installed.

TensorBoard's files go to the run folder; W&B is told only when ``WANDB_PROJECT`` is set, for it sends numbers away
(``WANDB_MODE=offline`` keeps them in the run folder). One that cannot start is told about and left out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dithead.train.loop.processes import team

_log = logging.getLogger(__name__)


class Loggers:
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
        return _started("tensorboard", self._open_board)

    @cached_property
    def _wandb(self) -> Any:
        return _started("wandb", self._open_wandb) if "WANDB_PROJECT" in os.environ else None

    def _open_board(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"))  # type: ignore[no-untyped-call]

    def _open_wandb(self) -> Any:
        import wandb

        return wandb.init(dir=self.folder, name=self.folder.name, resume="allow")


def _started(package: str, start: Callable[[], Any]) -> Any:
    """What ``start`` gives, in the leading process; None where the package is missing or does not work."""
    if not team().leads or find_spec(package) is None:
        return None
    try:
        return start()
    except Exception as error:  # noqa: BLE001 - whatever it trips over, the training matters more
        _log.warning("%s is installed but does not start (%s); the run goes on without it", package, error)
        return None
