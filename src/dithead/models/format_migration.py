"""Reads what earlier versions wrote: configurations and tensor names of model format 1 as those of format 2.

Format 1 (small 0.1 to 0.6) called the lip predictor "ear", kept the Whisper layers' tensors at the audio encoder's top
level, and had a setting for attention over time. Nothing on disk is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from dithead.errors import ModelError

_WHISPER = ("conv1", "conv2", "place", "blocks")
_OLD_LIP_PREDICTOR = "the lip predictor made of Whisper's layers (small 0.5), which dithead reads up to commit 47dd76f"


def migrate_config(model: Any, path: Path) -> Any:
    """Turn a ``model`` configuration of format 1 into one of format 2; anything else is left to validation.

    Raises:
        ModelError: The model needs a part that this version no longer has.
    """
    if not isinstance(model, dict):
        return model
    changed = dict(model)
    if isinstance(dit := model.get("dit"), dict):
        if dit.get("temporal"):
            raise ModelError(f"{path}: attention over time is gone (dit.temporal); use dithead 0.1 for this model")
        changed["dit"] = {key: value for key, value in dit.items() if key != "temporal"}
    if isinstance(audio := model.get("audio"), dict):
        if audio.get("past") and "ear_hidden" not in audio:
            raise ModelError(f"{path}: this model has {_OLD_LIP_PREDICTOR}; use that version, or the shipped small")
        changed["audio"] = {key.replace("ear_", "lip_predictor_", 1) if key.startswith("ear_") else key: value
                            for key, value in audio.items()}  # fmt: skip
    return changed


def migrate_tensors(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Rename the tensors of one part to their present names; those of format 2 and of other parts stay as they are.

    Raises:
        ModelError: The file holds a lip predictor of small 0.5.
    """
    if "ear.place" in tensors:
        raise ModelError(
            f"{path}: this file has {_OLD_LIP_PREDICTOR}; use that version, or train the audio encoder anew"
        )
    if "conv1.weight" not in tensors or "place" not in tensors:
        return tensors
    return {_present_name(name): tensor for name, tensor in tensors.items()}


def _present_name(name: str) -> str:
    part, _, rest = name.partition(".")
    if part in _WHISPER:
        return f"whisper.{name}"
    return f"lip_predictor.{rest}" if part == "ear" else name
