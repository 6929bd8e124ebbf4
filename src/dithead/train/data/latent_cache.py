"""Cached latents for the denoiser: each clip encoded once per augmentation, with its speech features and lip shapes.

Letters: N frames of a clip, C latent channels, G latent side, S0 side of the stored crop, S side of the model's, T
feature frames of the track, F numbers in each.
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
from torch import Tensor

from dithead.face.masks import box_polygon, frame_polygon
from dithead.media.files import save_arrays
from dithead.models.audio.mel import N_MELS
from dithead.models.autoencoder.face import FACTOR
from dithead.models.denoiser.token_window import Window, window_of
from dithead.models.talking_head import TalkingHead
from dithead.prepare.conditions import apply_mask, to_tensor
from dithead.prepare.dataset import Clip, Track
from dithead.progress import shown
from dithead.train.data.clips import WeightedClip, lip_boxes, region_image
from dithead.train.data.damaged_clips import DamagedClips
from dithead.train.data.lip_basis import lip_shapes
from dithead.train.data.opened_references import closed_frame, opened_reference
from dithead.train.data.picture_augmentation import PictureAugmentation, draw_augmentation, no_augmentation
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_rng
from dithead.types import MaskKind

_ENCODED_AT_ONCE = 25  # frames
_OPENED_STREAM = 11  # of random numbers, see ``step_rng``


@dataclass(frozen=True)
class ClipLatents:
    """What the denoiser's stage needs of one clip under one augmentation; arrays are float16 but for frame numbers."""

    latents: NDArray[np.float16]  # (N, C, G, G)
    masked: NDArray[np.float16]  # (N, C, G, G)
    mask: NDArray[np.float16]  # (1, G, G) share of each cell under the mask; (N, 1, G, G) where the mask moves
    mouth: NDArray[np.float16]  # (N, 1, G, G) share of each cell under the lips' box
    lips: NDArray[np.float16]  # (N, 81) lip shapes, see ``lip_basis``
    mel: NDArray[np.float16]  # (T, F) speech features of the whole clip that become tokens
    first: NDArray[np.int64]  # () number of the clip's frame in row 0
    fps: NDArray[np.int64]  # () frames a second
    opened: NDArray[np.float16] | None = None  # (N, C, G, G) of closed lips opened like each frame's, where asked for

    def mask_of(self, frame: int) -> NDArray[np.float16]:
        """Return the mask (1, G, G) of one frame."""
        return self.mask if self.mask.ndim == 3 else self.mask[frame]

    def seconds(self, frame: int) -> float:
        """Return the time of row ``frame`` in seconds from the start of the clip's speech."""
        return (int(self.first) + frame) / int(self.fps)


@dataclass(frozen=True)
class CachedClip:
    """A clip under one augmentation.

    Attributes:
        latents: What the denoiser's stage needs of it.
        probability: Of drawing it at the start of the training.
        final: Of drawing it at the end.
        name: For people: ``person: clip (variant)``.
        item: The clip and the frames of it that are used.
        variant: Number of the augmentation; 0 is none.
    """

    latents: ClipLatents
    probability: float
    final: float
    name: str
    item: WeightedClip
    variant: int


def variants_of(chosen: Sequence[WeightedClip], most: int, cap: int) -> list[int]:
    """Choose in how many augmentations each clip is encoded.

    Args:
        chosen: The clips.
        most: Augmentations for the clips of people with little footage; the others are encoded once.
        cap: Frames per person that all augmentations together may have.
    """
    people: dict[str, int] = defaultdict(int)
    for item in chosen:
        people[item.clip.identity] += item.clip.length
    return [most if people[item.clip.identity] * most <= cap else 1 for item in chosen]


@dataclass(frozen=True)
class LatentEncoder:
    """Encodes clips with a model's autoencoder.

    Attributes:
        talker: The model.
        seed: Of the augmentations.
        mask: The kind of mask.
        opened: Other frames with closed lips are opened by geometry, too, to be references.
    """

    talker: TalkingHead
    seed: int
    mask: MaskKind = "stable-polygon"
    opened: bool = False

    @torch.no_grad()
    def encode(self, item: WeightedClip, variant: int) -> ClipLatents:
        """Encode the clip's frames under augmentation ``variant`` (0 is none)."""
        model, path = self.talker.autoencoder, item.clip.track()
        crops, landmarks = item.clip.frames()[item.frames], path.landmarks[item.frames]
        side = crops.shape[1]
        augmentation = augmentation_of(item, variant, self.seed, side, self.talker.size)
        polygons = mask_polygons(self.mask, path, landmarks, side)
        boxes = lip_boxes(landmarks)
        regions = [augmentation.warp(region_image(side, p, box)) for p, box in zip(polygons, boxes, strict=True)]
        mask, mouth = (torch.from_numpy(np.stack(regions)[:, None, ..., i] > 127).float() for i in range(2))
        images = to_tensor(np.stack([augmentation.apply(crop) for crop in crops]))
        window = window_of(F.avg_pool2d(mask, FACTOR))
        return ClipLatents(
            latents=self._encode(model.encode, images, window),
            masked=self._encode(model.encode_masked, apply_mask(images, mask), window),
            mask=_cells(mask) if self.mask == "polygon" else _cells(mask[:1])[0],
            mouth=_cells(mouth * mask),
            lips=lip_shapes(path.landmarks)[item.frames].astype(np.float16),
            mel=_token_features(self.talker, item.clip).numpy().astype(np.float16),
            first=np.asarray(item.frames.start, np.int64),
            fps=np.asarray(item.clip.fps, np.int64),
            opened=self._encode_opened(item, variant, crops, landmarks, window) if self.opened else None,
        )

    def _encode_opened(
        self, item: WeightedClip, variant: int, crops: NDArray[np.uint8], landmarks: NDArray[np.float32], window: Window
    ) -> NDArray[np.float16]:
        """Compute latents of closed lips that were opened like those of each frame."""
        augmentation = augmentation_of(item, variant, self.seed, crops.shape[1], self.talker.size)
        rng = step_rng(self.seed, variant, _OPENED_STREAM)
        closed = [closed_frame(landmarks, rng) for _ in crops]
        pairs = zip(closed, landmarks, strict=True)
        opened = (opened_reference(crops[k], landmarks[k], wanted) for k, wanted in pairs)
        images = to_tensor(np.stack([augmentation.apply(picture) for picture in opened]))
        return self._encode(self.talker.autoencoder.encode, images, window)

    def _encode(self, encode: Callable[[Tensor], Tensor], images: Tensor, window: Window) -> NDArray[np.float16]:
        """Compute latents as ``TalkingHead.encode_window`` does."""
        parts = []
        for chunk in window.pixels(images).split(_ENCODED_AT_ONCE):
            with autocast(self.talker.device):
                z = encode(chunk.to(self.talker.device, memory_format=torch.channels_last))
            parts.append(window.place(z).half().cpu())
        return np.asarray(torch.cat(parts).numpy(), np.float16)


def _token_features(talker: TalkingHead, clip: Clip) -> Tensor:
    """Compute the speech features (T, F) that become tokens: without the samples that only a lip predictor needs."""
    features = talker.audio.features(torch.from_numpy(clip.audio()))
    return features[:, :N_MELS] if talker.audio.has_samples else features


def augmentation_of(item: WeightedClip, variant: int, seed: int, side: int, size: int) -> PictureAugmentation:
    """Draw the augmentation ``variant`` of a clip, from crops of ``side`` to pictures of ``size``; 0 is none."""
    rng = step_rng(seed, variant, int.from_bytes(item.clip.id.encode()[-7:], "big"))
    return draw_augmentation(rng, side, size) if variant > 0 else no_augmentation(side, size)


def mask_polygons(
    kind: MaskKind, path: Track, landmarks: NDArray[np.float32], side: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the mask's polygon (K, 2) for each frame of crop landmarks (N, 478, 2)."""
    for frame in landmarks:
        if kind == "polygon":
            yield frame_polygon(frame, side)
        else:
            yield path.polygon if kind == "stable-polygon" else box_polygon(side)


def _cells(region: Tensor) -> NDArray[np.float16]:
    """Average a region (N, 1, S, S) over each latent cell."""
    return F.avg_pool2d(region, FACTOR).numpy().astype(np.float16)


def cache_clips(
    folder: Path, chosen: Sequence[WeightedClip], variants: Sequence[int], encoder: LatentEncoder
) -> list[CachedClip]:
    """Encode every clip in its variants, or read what an earlier run left. Several processes share the work.

    Args:
        folder: Where the latents are kept.
        chosen: The clips.
        variants: How many augmentations of each are encoded.
        encoder: Encodes them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(item, variant, count) for item, count in zip(chosen, variants, strict=True) for variant in range(count)]
    paths = [folder / _file_name(item, variant) for item, variant, _ in jobs]
    own = range(process_group().rank, len(jobs), process_group().size)
    damaged = DamagedClips(len(jobs))
    for index in shown(own, "encoding latents", len(own)) if process_group().is_main else own:
        item, variant, _ = jobs[index]
        if not paths[index].exists():
            made = damaged.read(item.clip, lambda: encoder.encode(item, variant))  # noqa: B023 - called at once
            if made is not None:
                arrays = {f.name: getattr(made, f.name) for f in fields(made)}
                save_arrays(paths[index], **{name: array for name, array in arrays.items() if array is not None})
    process_group().barrier()
    return [
        CachedClip(_read(path), item.probability / count, item.final / count, _name(item, variant), item, variant)
        for path, (item, variant, count) in zip(paths, jobs, strict=True)
        if path.exists()
    ]


def _file_name(item: WeightedClip, variant: int) -> str:
    return f"{item.clip.cache_name}-{item.frames.start}-{item.frames.stop}-{variant}.npz"


def _name(item: WeightedClip, variant: int) -> str:
    return f"{item.clip.identity}: {item.clip.id} ({variant})"


def _read(path: Path) -> ClipLatents:
    with np.load(path, allow_pickle=False) as stored:
        return ClipLatents(**{f.name: stored[f.name] for f in fields(ClipLatents) if f.name in stored})
