"""Measures by how many frames speech and mouth of a clip are offset, with the sync expert that is shipped.

Letters: N frames, S side of the aligned crop, K side of the mouth image, B batch.
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
from dithead.limits import parse_json, require_settings
from dithead.models.audio.mel import FLOOR, log_mel, normalise_level
from dithead.types import Wave

MOUTH_REGION = 0.46
"""Side of the mouth image as a fraction of the crop's (our choice; experts are trained on it)."""
DEFAULT_EXPERT = "score"
"""The shipped expert that measures; the other one, ``loss``, is for training."""

Images = NDArray[np.uint8]
"""Crops (N, S, S, 3) or mouth images (N, K, K, 3)."""


class SpeakingClip(Protocol):
    """What ``av_offset`` needs of a clip; ``prepare.dataset.Clip`` has it."""

    @property
    def fps(self) -> int:
        """Frame rate in Hz."""
        ...

    def frames(self) -> NDArray[np.uint8]:
        """Return the aligned crops (N, S, S, 3)."""
        ...

    def audio(self) -> Wave:
        """Return the samples (n,) at 16 kHz."""
        ...

    def track(self) -> Any:
        """Return an object whose ``landmarks`` are those of the crops (N, 478, 2)."""
        ...


def av_offset(clip: SpeakingClip, expert: SyncExpert | None = None) -> tuple[int, float]:
    """Measure by how many frames the sound of a prepared clip runs late.

    To correct it, move the sound ``frames / fps`` seconds earlier.

    Args:
        clip: A clip at 25 frames a second.
        expert: The network that measures; None: the shipped one.

    Returns:
        The offset in frames (negative: the sound is early) and the confidence in it (``Offset``).

    Raises:
        ConfigError: The clip has another frame rate, or fewer than five frames.
    """
    if clip.fps != FPS:
        raise ConfigError(f"offsets are found at {FPS} frames a second, not {clip.fps}; prepare the clip at {FPS}")
    offset = find_crops_offset(clip.frames(), mouth_centre(clip.track().landmarks), clip.audio(), expert)
    return offset.frames, offset.confidence


def find_crops_offset(
    crops: Images, centre: tuple[float, float], wave: Wave, expert: SyncExpert | None = None
) -> Offset:
    """Find the offset between aligned crops and their speech.

    Args:
        crops: (N, S, S, 3) at 25 frames a second.
        centre: Centre of the mouth in crop pixels (``mouth_centre``).
        wave: Samples (n,) at 16 kHz.
        expert: The network that measures; None: the shipped one.

    Raises:
        ConfigError: There are fewer than five frames.
    """
    expert = expert or load_shipped_expert()
    return find_mouths_offset(crop_mouths(crops, centre, expert.config.side), wave, expert)


def find_mouths_offset(mouths: Images, wave: Wave, expert: SyncExpert) -> Offset:
    """Find the offset between mouth images and their speech.

    Args:
        mouths: (N, K, K, 3) of the expert's own side K, as ``crop_mouths`` cuts them, at 25 frames a second.
        wave: Samples (n,) at 16 kHz.
        expert: The network that measures.

    Raises:
        ConfigError: There are fewer than five frames.
    """
    with torch.inference_mode():
        mouth_embeddings = expert.embed_mouths(mouths_to_tensor(mouths[None]))[0]
        return find_offset(mouth_embeddings, expert.embed_speech(speech_mel(wave, len(mouths))[None])[0])


def mouth_centre(landmarks: NDArray[Any]) -> tuple[float, float]:
    """Return the median over time of the lips' centre (x, y), from crop landmarks (N, 478, 2)."""
    x, y = np.nanmedian(np.asarray(landmarks)[:, list(OUTER_LIPS), :2].mean(axis=1), axis=0)
    return float(x), float(y)


def crop_mouths(crops: Images, centre: tuple[float, float], side: int, region: float = MOUTH_REGION) -> Images:
    """Cut the mouth out of every crop; pixels beyond its edge repeat the last ones.

    Args:
        crops: (N, S, S, 3).
        centre: Centre of the square in crop pixels.
        side: Side K of the result in pixels.
        region: Side of the square as a fraction of S.

    Returns:
        Mouth images (N, K, K, 3).
    """
    size = crops.shape[1]
    box = round(region * size)
    x, y = (round(c - box / 2) for c in centre)
    edge = max(0, -x, -y, x + box - size, y + box - size)
    mouths = np.empty((len(crops), side, side, 3), np.uint8)
    for i, crop in enumerate(crops):
        wide = cv2.copyMakeBorder(crop, edge, edge, edge, edge, cv2.BORDER_REPLICATE) if edge else crop
        patch = wide[y + edge : y + edge + box, x + edge : x + edge + box]
        mouths[i] = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA)
    return mouths


def mouths_to_tensor(mouths: NDArray[np.uint8]) -> Tensor:
    """Turn mouth images (B, N, K, K, 3) of 8 bits into (B, N, 3, K, K) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(mouths)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def speech_mel(wave: Wave, frames: int) -> Tensor:
    """Compute level-normalised log-mel of speech.

    Args:
        wave: Samples (n,) at 16 kHz.
        frames: Number N of video frames at 25 a second; silence follows the end of the speech.

    Returns:
        (4 N, 80).
    """
    mel = normalise_level(log_mel(torch.from_numpy(np.ascontiguousarray(wave, np.float32))))
    wanted = frames * MEL_PER_FRAME
    return torch.nn.functional.pad(mel[:wanted], (0, 0, 0, max(0, wanted - len(mel))), value=FLOOR)


@lru_cache(maxsize=2)
def load_shipped_expert(name: str = DEFAULT_EXPERT) -> SyncExpert:
    """Load an expert that comes with the package, ``score`` or ``loss``, after checking its SHA-256.

    Raises:
        ModelError: It is missing or damaged.
    """
    folder = Path(str(files("dithead"))) / "weights" / "sync"
    path, hashes = folder / f"{name}.safetensors", folder / "hashes.json"
    if not path.is_file() or not hashes.is_file():
        raise ModelError(f"the shipped sync expert {name!r} is missing from {folder}; reinstall dithead")
    if json.loads(hashes.read_text("utf-8")).get(path.name) != hashlib.sha256(path.read_bytes()).hexdigest():
        raise ModelError(f"{path} does not match its SHA-256 in hashes.json; reinstall dithead")
    return load_sync_expert(path)


def load_sync_expert(path: Path | str) -> SyncExpert:
    """Load an expert as ``dithead train sync`` writes it, in evaluation mode.

    Raises:
        ModelError: The file is missing or holds no sync expert.
    """
    try:
        with safe_open(str(path), "pt") as stored:
            settings = parse_json((stored.metadata() or {})["config"])
            require_settings(str(path), settings, ModelError)
            config = SyncConfig(**settings)
            weights = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118 - no mapping
        expert = SyncExpert(config)
        expert.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise ModelError(f"{path} is no sync expert ({why}); give a file that dithead train sync wrote") from None
    return expert.eval().requires_grad_(False)
