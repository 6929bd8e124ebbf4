"""Cached latents for stage two: each clip encoded once per augmentation, with its speech features and lip shapes.

Letters: N frames of a clip, C latent channels, G latent side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from dithead.models.autoencoder import FACTOR, FaceAutoencoder
from dithead.models.mel import log_mel
from dithead.models.talking_head import normalise_level
from dithead.models.window import Window, window_of
from dithead.prepare.conditions import apply_mask, to_tensor
from dithead.train.augment import draw, identity
from dithead.train.data import WeightedClip, lip_boxes, region_picture
from dithead.train.lipshape import lip_shapes
from dithead.train.runtime import autocast, step_rng


@dataclass(frozen=True)
class ClipLatents:
    """What stage two needs of one clip under one augmentation; all arrays float16 but ``first``."""

    latents: NDArray[np.float16]  # (N, C, G, G)
    masked: NDArray[np.float16]  # (N, C, G, G)
    mask: NDArray[np.float16]  # (1, G, G) share of each cell under the mask
    mouth: NDArray[np.float16]  # (N, 1, G, G) share of each cell under the lips' box
    lips: NDArray[np.float16]  # (N, 81) lip shapes, see ``lipshape``
    mel: NDArray[np.float16]  # (T, 80) level-normalised, of the whole clip
    first: NDArray[np.int64]  # () frame of the clip that row 0 shows


@torch.no_grad()
def encode_clip(
    item: WeightedClip, model: FaceAutoencoder, size: int, variant: int, seed: int, device: torch.device
) -> ClipLatents:
    """Encode the clip's frames under augmentation ``variant`` (0 is none; -1 for held-out clips likewise)."""
    crops, path = item.clip.frames()[item.frames], item.clip.track()
    landmarks, side = path.landmarks[item.frames], crops.shape[1]
    rng = step_rng(seed, variant, int.from_bytes(item.clip.id.encode()[-7:], "big"))
    change = draw(rng, side, size) if variant > 0 else identity(side, size)
    boxes = lip_boxes(landmarks)
    regions = np.stack([change.geometry(region_picture(side, path.polygon, box)) for box in boxes])
    mask, mouth = (torch.from_numpy(regions[:, None, ..., i] > 127).float() for i in range(2))
    images = to_tensor(np.stack([change.picture(crop) for crop in crops]))
    window = window_of(F.avg_pool2d(mask[:1], FACTOR))
    return ClipLatents(
        latents=_encode(model, images, window, device),
        masked=_encode(model, apply_mask(images, mask), window, device),
        mask=_cells(mask[:1])[0],
        mouth=_cells(mouth * mask),
        lips=lip_shapes(path.landmarks)[item.frames].astype(np.float16),
        mel=normalise_level(log_mel(torch.from_numpy(item.clip.audio()))).numpy().astype(np.float16),
        first=np.asarray(item.frames.start, np.int64),
    )


def _cells(region: Tensor) -> NDArray[np.float16]:
    return F.avg_pool2d(region, FACTOR).numpy().astype(np.float16)


def _encode(model: FaceAutoencoder, images: Tensor, window: Window, device: torch.device) -> NDArray[np.float16]:
    """Latents as ``TalkingHead.encode_window`` makes them."""
    parts = []
    for chunk in window.pixels(images).split(25):
        with autocast(device):
            z = model.encode(chunk.to(device, memory_format=torch.channels_last))
        parts.append(window.place(z).half().cpu())
    return np.asarray(torch.cat(parts).numpy(), np.float16)


def cache_clips(
    folder: Path, chosen: Sequence[WeightedClip], variants: Sequence[int], model: FaceAutoencoder, size: int,
    seed: int, device: torch.device,
) -> list[tuple[ClipLatents, float]]:  # fmt: skip
    """Encode every clip in its variants, or read what an earlier run left; with each array set its probability."""
    folder.mkdir(parents=True, exist_ok=True)
    cached = []
    for item, count in track(list(zip(chosen, variants, strict=True)), description="latents"):
        for variant in range(count):
            path = folder / f"{item.clip.folder.parents[1].name}-{item.clip.id}-{variant}.npz"
            if not path.exists():
                _write(path, encode_clip(item, model, size, variant, seed, device))
            cached.append((_read(path), item.probability / count))
    return cached


def _write(path: Path, clip: ClipLatents) -> None:
    part = path.with_suffix(".part")
    arrays: dict[str, Any] = {f.name: getattr(clip, f.name) for f in fields(clip)}
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.replace(path)


def _read(path: Path) -> ClipLatents:
    with np.load(path, allow_pickle=False) as stored:
        return ClipLatents(**{f.name: stored[f.name] for f in fields(ClipLatents)})
