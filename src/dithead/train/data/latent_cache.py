"""Cached latents for stage two: each clip encoded once per augmentation, with its speech features and lip shapes.

Letters: N frames of a clip, C latent channels, G latent side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from dithead.face.masks import box_polygon, frame_polygon
from dithead.media.files import save_arrays
from dithead.models.audio.mel import N_MELS
from dithead.models.autoencoder.face import FACTOR
from dithead.models.denoiser.token_window import Window, window_of
from dithead.models.talking_head import TalkingHead
from dithead.prepare.conditions import apply_mask, to_tensor
from dithead.prepare.dataset import Clip, Track
from dithead.train.data.clips import WeightedClip, lip_boxes, region_picture
from dithead.train.data.damaged_clips import Damaged
from dithead.train.data.lip_basis import lip_shapes
from dithead.train.data.picture_augmentation import Augmentation, draw, identity
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import autocast, step_rng
from dithead.types import MaskKind


@dataclass(frozen=True)
class ClipLatents:
    """What stage two needs of one clip under one augmentation; all arrays float16 but ``first``."""

    latents: NDArray[np.float16]  # (N, C, G, G)
    masked: NDArray[np.float16]  # (N, C, G, G)
    mask: NDArray[np.float16]  # (1, G, G) share of each cell under the mask; (N, 1, G, G) where it moves
    mouth: NDArray[np.float16]  # (N, 1, G, G) share of each cell under the lips' box
    lips: NDArray[np.float16]  # (N, 81) lip shapes, see ``lipshape``
    mel: NDArray[np.float16]  # (T, 80) level-normalised, or a speech encoder's features (T, H), of the whole clip
    first: NDArray[np.int64]  # () frame of the clip that row 0 shows

    def mask_of(self, frame: int) -> NDArray[np.float16]:
        """The mask (1, G, G) of one frame."""
        return self.mask if self.mask.ndim == 3 else self.mask[frame]


@dataclass(frozen=True)
class CachedClip:
    """A clip under one augmentation, with its probability in the mixture, at the end too, and its name for people."""

    latents: ClipLatents
    probability: float
    final: float
    name: str
    item: WeightedClip
    variant: int


def variants_of(chosen: Sequence[WeightedClip], most: int, cap: int) -> list[int]:
    """In how many augmentations each clip is encoded: ``most`` for people with so little footage that ``cap`` frames
    hold them all.
    """
    people: dict[str, int] = defaultdict(int)
    for item in chosen:
        people[item.clip.identity] += item.clip.length
    return [most if people[item.clip.identity] * most <= cap else 1 for item in chosen]


@torch.no_grad()
def encode_clip(
    item: WeightedClip, head: TalkingHead, variant: int, seed: int, kind: MaskKind = "stable-polygon"
) -> ClipLatents:
    """Encode the clip's frames under augmentation ``variant`` (0 is none) and a mask of ``kind``."""
    model, size, device = head.autoencoder, head.size, head.device
    crops, path = item.clip.frames()[item.frames], item.clip.track()
    landmarks, side = path.landmarks[item.frames], crops.shape[1]
    change = augmentation_of(item, variant, seed, side, size)
    boxes = lip_boxes(landmarks)
    polygons = mask_polygons(kind, path, landmarks, side)
    regions = np.stack([change.geometry(region_picture(side, p, box)) for p, box in zip(polygons, boxes, strict=True)])
    mask, mouth = (torch.from_numpy(regions[:, None, ..., i] > 127).float() for i in range(2))
    images = to_tensor(np.stack([change.picture(crop) for crop in crops]))
    window = window_of(F.avg_pool2d(mask, FACTOR))
    return ClipLatents(
        latents=_encode(model.encode, images, window, device),
        masked=_encode(model.encode_masked, apply_mask(images, mask), window, device),
        mask=_cells(mask) if kind == "polygon" else _cells(mask[:1])[0],
        mouth=_cells(mouth * mask),
        lips=lip_shapes(path.landmarks)[item.frames].astype(np.float16),
        mel=_for_tokens(head, item.clip).numpy().astype(np.float16),
        first=np.asarray(item.frames.start, np.int64),
    )


def _for_tokens(head: TalkingHead, clip: Clip) -> Tensor:
    """Speech features (T, F) without the samples that only a lip predictor needs: stage two asks for tokens."""
    features = head.audio.features(torch.from_numpy(clip.audio()))
    return features[:, :N_MELS] if head.audio.has_samples else features


def augmentation_of(item: WeightedClip, variant: int, seed: int, side: int, size: int) -> Augmentation:
    """How a clip's crops of ``side`` become pictures of ``size`` in augmentation ``variant``; 0 is none."""
    rng = step_rng(seed, variant, int.from_bytes(item.clip.id.encode()[-7:], "big"))
    return draw(rng, side, size) if variant > 0 else identity(side, size)


def mask_polygons(
    kind: MaskKind, path: Track, landmarks: NDArray[np.float32], side: int
) -> Iterator[NDArray[np.float32]]:
    """The mask's polygon for each frame of crop landmarks (N, 478, 2)."""
    for frame in landmarks:
        if kind == "polygon":
            yield frame_polygon(frame, side)
        else:
            yield path.polygon if kind == "stable-polygon" else box_polygon(side)


def _cells(region: Tensor) -> NDArray[np.float16]:
    return F.avg_pool2d(region, FACTOR).numpy().astype(np.float16)


def _encode(
    encode: Callable[[Tensor], Tensor], images: Tensor, window: Window, device: torch.device
) -> NDArray[np.float16]:
    """Latents as ``TalkingHead.encode_window`` makes them."""
    parts = []
    for chunk in window.pixels(images).split(25):
        with autocast(device):
            z = encode(chunk.to(device, memory_format=torch.channels_last))
        parts.append(window.place(z).half().cpu())
    return np.asarray(torch.cat(parts).numpy(), np.float16)


def cache_clips(
    folder: Path, chosen: Sequence[WeightedClip], variants: Sequence[int], head: TalkingHead, seed: int,
    kind: MaskKind = "stable-polygon",
) -> list[CachedClip]:  # fmt: skip
    """Encode every clip in its variants, or read what an earlier run left. Several processes share the work."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(item, variant, count) for item, count in zip(chosen, variants, strict=True) for variant in range(count)]
    paths = [folder / f"{item.clip.dataset}-{item.clip.id}-{variant}.npz" for item, variant, _ in jobs]
    mine = range(team().rank, len(jobs), team().size)
    damaged = Damaged(len(jobs))
    for index in track(mine, description="latents", disable=not team().leads):
        item, variant, _ = jobs[index]
        if not paths[index].exists():
            made = damaged.read(item.clip, lambda: encode_clip(item, head, variant, seed, kind))  # noqa: B023 - at once
            if made is not None:
                _write(paths[index], made)
    team().wait()
    return [
        CachedClip(_read(path), item.probability / count, item.final / count, _name(item, variant), item, variant)
        for path, (item, variant, count) in zip(paths, jobs, strict=True)
        if path.exists()
    ]


def _name(item: WeightedClip, variant: int) -> str:
    return f"{item.clip.identity}: {item.clip.id} ({variant})"


def _write(path: Path, clip: ClipLatents) -> None:
    save_arrays(path, **{f.name: getattr(clip, f.name) for f in fields(clip)})


def _read(path: Path) -> ClipLatents:
    with np.load(path, allow_pickle=False) as stored:
        return ClipLatents(**{f.name: stored[f.name] for f in fields(ClipLatents)})
