"""Loads a model while other work goes on: the first pass needs two of its settings and none of its weights.

Importing torch and reading the weights take seconds, in which the first frames are decoded already.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from dithead.device import pick_device
from dithead.hub import resolve_model
from dithead.inference.threads import one_torch_thread
from dithead.model_folder import CONFIG, read_json, verify_folder
from dithead.options import StrPath
from dithead.process_settings import no_garbage_collection
from dithead.stages import stage
from dithead.types import MaskKind

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead


class CropSettings(NamedTuple):
    """What the first pass must know of the model."""

    size: int  # side of the crop in pixels
    mask: MaskKind


class BackgroundModel:
    """A model that is ready or will be loaded on a thread of its own; the folder of one to be loaded has been verified.

    Loading begins when it is first asked about, with the first decoded frame: importing torch would make that wait.
    """

    def __init__(self, model: StrPath | TalkingHead, device: str = "auto") -> None:
        """Verify the model's folder.

        Args:
            model: A shipped name, a model folder or a hub id; a loaded model is kept as it is.
            device: auto, cpu, cuda or mps.

        Raises:
            ModelError: There is no such model, or a file of it is missing or damaged.
        """
        self._folder: Path | None = None
        self._device = device
        self._begun: Future[TalkingHead] | None = None
        if not isinstance(model, str | PathLike):
            self._begun = Future()
            self._begun.set_result(model)
            return
        self._folder = resolve_model(str(model))
        verify_folder(self._folder)

    @property
    def _loading(self) -> Future[TalkingHead]:
        """What becomes the model; asked for the first time, it begins to."""
        if self._begun is None and self._folder is not None:
            worker = ThreadPoolExecutor(1, "dithead-model")
            self._begun = worker.submit(_load, self._folder, self._device)
            worker.shutdown(wait=False)
        assert self._begun is not None
        return self._begun

    def crop_settings(self) -> CropSettings:
        """Return what the first pass must know; where the folder does not say so plainly, wait for the model."""
        settings = None if self._folder is None else _stored_settings(read_json(self._folder / CONFIG).get("model"))
        if settings is None:
            talker = self.talker()
            settings = CropSettings(talker.size, talker.config.mask)
        return settings

    def check(self) -> None:
        """Begin to load, or raise the error with which loading has failed, if it has; this does not wait."""
        if self._loading.done():
            self._loading.result()

    def talker(self) -> TalkingHead:
        """Wait for the model.

        Raises:
            ModelError: The model does not fit the architecture that it names.
            ConfigError: The machine lacks the device.
        """
        return self._loading.result()


def load_talker(model: StrPath | TalkingHead, device: str = "auto") -> TalkingHead:
    """Load a model and wait for it; see ``BackgroundModel``."""
    return BackgroundModel(model, device).talker()


def _load(folder: Path, device: str) -> TalkingHead:
    with stage("load model"), no_garbage_collection(), one_torch_thread():
        # Several threads would wait in loops for the cores that the first pass uses.
        from dithead.checkpoint import read_model

        return read_model(folder, pick_device(device))


def _stored_settings(model: Any) -> CropSettings | None:
    """The settings as they are written in a configuration, or None where they are not, or not valid."""
    size, name = (model.get("size"), model.get("mask")) if isinstance(model, dict) else (None, None)
    masks: dict[Any, MaskKind] = {kind: kind for kind in get_args(MaskKind)}
    mask = masks.get(name) if isinstance(name, str) else None
    return CropSettings(size, mask) if isinstance(size, int) and mask is not None else None
