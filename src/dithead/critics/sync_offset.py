"""Does the picture speak what is heard, and by how many frames is it off? The shipped expert on clips and crops.

Letters: N frames, S side of the aligned crop, K side of the mouth picture.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dithead.critics.sync_expert import FPS, MEL_PER_FRAME, Offset, SyncConfig, SyncExpert, find_offset
from dithead.errors import ConfigError, ModelError
from dithead.face.mesh_indices import OUTER_LIPS
from dithead.models.audio.mel import FLOOR, log_mel, normalise_level
from dithead.types import Wave

REGION = 0.46  # side of the mouth picture, as a fraction of the crop's
SHIPPED = "score"

Crops = NDArray[np.uint8]  # (N, S, S, 3) or (N, K, K, 3)


class SpeakingClip(Protocol):
    """What ``av_offset`` needs: the clip of a prepared dataset has it."""

    @property
    def fps(self) -> int: ...
    def frames(self) -> NDArray[np.uint8]: ...
    def audio(self) -> Wave: ...
    def track(self) -> Any: ...


def av_offset(clip: SpeakingClip, expert: SyncExpert | None = None) -> tuple[int, float]:
    """By how many frames the sound of a prepared clip runs late (negative: early), and the confidence in that.

    To correct it, move the sound ``frames / fps`` seconds earlier.  Raises ConfigError for another rate than 25 fps
    or fewer than five frames.
    """
    if clip.fps != FPS:
        raise ConfigError(f"offsets are found at {FPS} frames a second, not {clip.fps}; prepare the clip at {FPS}")
    found = offset_of(clip.frames(), lip_centre(clip.track().landmarks), clip.audio(), expert)
    return found.frames, found.confidence


def offset_of(crops: Crops, centre: tuple[float, float], wave: Wave, expert: SyncExpert | None = None) -> Offset:
    """What the expert (the shipped one when absent) says of crops (N, S, S, 3) at 25 fps and samples at 16 kHz."""
    expert = expert or shipped_expert()
    return offset_of_mouths(mouth_pictures(crops, centre, expert.config.side), wave, expert)


def offset_of_mouths(mouths: Crops, wave: Wave, expert: SyncExpert) -> Offset:
    """The same of ``mouth_pictures`` (N, K, K, 3) of the expert's own side."""
    with torch.inference_mode():
        return find_offset(expert.see(as_input(mouths[None]))[0], expert.hear(speech_of(wave, len(mouths))[None])[0])


def lip_centre(landmarks: NDArray[Any]) -> tuple[float, float]:
    """Where the mouth of a clip is: the median over time of the lips' centre, from crop landmarks (N, 478, 2)."""
    x, y = np.nanmedian(np.asarray(landmarks)[:, list(OUTER_LIPS), :2].mean(axis=1), axis=0)
    return float(x), float(y)


def mouth_pictures(crops: Crops, centre: tuple[float, float], side: int, region: float = REGION) -> Crops:
    """The square of ``region`` S around ``centre`` (crop pixels) of every crop, as (N, side, side, 3)."""
    size = crops.shape[1]
    box = round(region * size)
    x, y = (round(c - box / 2) for c in centre)
    edge = max(0, -x, -y, x + box - size, y + box - size)
    made = np.empty((len(crops), side, side, 3), np.uint8)
    for i, crop in enumerate(crops):
        wide = cv2.copyMakeBorder(crop, edge, edge, edge, edge, cv2.BORDER_REPLICATE) if edge else crop
        patch = wide[y + edge : y + edge + box, x + edge : x + edge + box]
        made[i] = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA)
    return made


def as_input(mouths: NDArray[np.uint8]) -> Tensor:
    """Mouths (B, N, K, K, 3) to (B, N, 3, K, K) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(mouths)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def speech_of(wave: Wave, frames: int) -> Tensor:
    """Samples at 16 kHz to level-normalised log-mel (4 N, 80); silence beyond the sound's end."""
    mel = normalise_level(log_mel(torch.from_numpy(np.ascontiguousarray(wave, np.float32))))
    wanted = frames * MEL_PER_FRAME
    return torch.nn.functional.pad(mel[:wanted], (0, 0, 0, max(0, wanted - len(mel))), value=FLOOR)


@lru_cache(maxsize=2)
def shipped_expert(name: str = SHIPPED) -> SyncExpert:
    """An expert that comes with the package, its SHA-256 checked. Raises ModelError when it is missing or damaged."""
    folder = Path(str(files("dithead"))) / "weights" / "sync"
    path, hashes = folder / f"{name}.safetensors", folder / "hashes.json"
    if not path.is_file() or not hashes.is_file():
        raise ModelError(f"the shipped sync expert {name!r} is missing from {folder}; reinstall dithead")
    if json.loads(hashes.read_text("utf-8")).get(path.name) != hashlib.sha256(path.read_bytes()).hexdigest():
        raise ModelError(f"{path} does not match its SHA-256 in hashes.json; reinstall dithead")
    return load_expert(path)


def load_expert(path: Path | str) -> SyncExpert:
    """An expert as ``train sync`` writes it, ready to measure. Raises ModelError for what is none."""
    try:
        with safe_open(str(path), "pt") as stored:
            config = SyncConfig(**json.loads((stored.metadata() or {})["config"]))
            weights = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118 - no mapping
        expert = SyncExpert(config)
        expert.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: no sync expert ({str(error).splitlines()[0]})") from None
    return expert.eval().requires_grad_(False)
