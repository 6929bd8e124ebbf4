"""Logs a run while it trains, to TensorBoard and Weights & Biases where they are installed.

TensorBoard's files go to the run folder. Weights & Biases is used only when ``WANDB_PROJECT`` is set, because it sends
numbers to a server (``WANDB_MODE=offline`` keeps them in the run folder). A logger that cannot start is named in a
warning and left out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dithead.train.loop.processes import process_group

_log = logging.getLogger(__name__)


class Loggers:
    """The installed loggers of one run, of which there may be none; each starts when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log_metrics(self, values: dict[str, float]) -> None:
        """Log ``values`` at their step, ``values["step"]``."""
        step = int(values.get("step", 0))
        metrics = {key: value for key, value in values.items() if key != "step"}
        if self._tensorboard:
            for key, value in metrics.items():
                self._tensorboard.add_scalar(key, value, step)
        if self._wandb:
            self._wandb.log(metrics, step=max(step, 0))

    def log_image(self, path: Path, step: int) -> None:
        """Log the sample sheet in the file ``path``."""
        if self._tensorboard:
            import cv2

            self._tensorboard.add_image("samples", cv2.imread(str(path))[..., ::-1].copy(), step, dataformats="HWC")
        if self._wandb:
            import wandb

            self._wandb.log({"samples": wandb.Image(str(path))}, step=step)

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._tensorboard:
            self._tensorboard.close()
        if self._wandb:
            self._wandb.finish()

    @cached_property
    def _tensorboard(self) -> Any:
        return _start("tensorboard", self._open_tensorboard)

    @cached_property
    def _wandb(self) -> Any:
        return _start("wandb", self._open_wandb) if "WANDB_PROJECT" in os.environ else None

    def _open_tensorboard(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"))  # type: ignore[no-untyped-call]

    def _open_wandb(self) -> Any:
        import wandb

        return wandb.init(dir=self.folder, name=self.folder.name, resume="allow")


def _start(package: str, open_logger: Callable[[], Any]) -> Any:
    """Return the opened logger in the main process; None where the package is missing or does not work."""
    if not process_group().is_main or find_spec(package) is None:
        return None
    try:
        return open_logger()
    except Exception as error:  # noqa: BLE001 - whatever a logger raises, the training matters more
        _log.warning("%s is installed but does not start (%s); the run goes on without it", package, error)
        return None
