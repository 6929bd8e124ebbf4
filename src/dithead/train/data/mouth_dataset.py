"""Caches mouth pictures and speech for the sync experts once per clip, so that a large batch needs no decoding.

Letters: N frames of a clip, B segments, T frames of each, K side of the network's mouth picture, K' side of the cached
one, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dithead.critics.sync_expert import FPS, MEL_PER_FRAME, SyncConfig
from dithead.critics.sync_offset import MOUTH_REGION, crop_mouths, mouth_centre, mouths_to_tensor, speech_mel
from dithead.errors import DataError
from dithead.media.files import save_arrays
from dithead.prepare.dataset import Clip
from dithead.progress import shown
from dithead.train.data.clips import Mixture, WeightedClip
from dithead.train.data.damaged_clips import DamagedClips
from dithead.train.data.speech_augmentation import augment_mel
from dithead.train.loop.batches import Batch
from dithead.train.loop.randomness import step_generator, step_rng

MARGIN = 1.3
"""Side of the cached picture over that of the network's: room for augmentation. Our choice."""
_LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True)
class MouthClip:
    """The inputs of a sync expert for one clip: pictures (N, K', K', 3), and log-mel (4 N, 80)."""

    mouths: NDArray[np.uint8]
    mel: NDArray[np.float16]


def cached_side(config: SyncConfig) -> int:
    """Return the side K' in pixels of the pictures cached for an expert."""
    return round(config.side * MARGIN / 2) * 2


def mouth_clip(clip: Clip, config: SyncConfig) -> MouthClip:
    """Compute the mouth pictures and the speech of one clip.

    Raises:
        DataError: The clip has another frame rate than the experts.
    """
    if clip.fps != FPS:
        raise DataError(f"{clip.folder}: has {clip.fps} frames a second; prepare it at {FPS}")
    side = cached_side(config)
    centre = mouth_centre(clip.track().landmarks)
    mouths = crop_mouths(clip.frames(), centre, side, MOUTH_REGION * side / config.side)
    return MouthClip(mouths, speech_mel(clip.audio(), len(mouths)).numpy().astype(np.float16))


def cache_mouth_clips(folder: Path, clips: Sequence[Clip], config: SyncConfig) -> list[MouthClip | None]:
    """Compute the mouth clips, or read what an earlier run left in ``folder``; None for a clip in a damaged shard."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[MouthClip | None] = []
    damaged = DamagedClips(len(clips))
    for clip in shown(clips, "reading mouths", len(clips)):
        path = folder / f"{clip.cache_name}.npz"
        if not path.exists():
            made = damaged.read(clip, partial(mouth_clip, clip, config))
            if made is None:
                found.append(None)
                continue
            save_arrays(path, mouths=made.mouths, mel=made.mel)
        with np.load(path, allow_pickle=False) as stored:
            found.append(MouthClip(stored["mouths"], stored["mel"]))
    return found


def inner_pictures(mouths: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Cut the middle (N, K, K, 3) out of cached pictures (N, K', K', 3)."""
    edge = (mouths.shape[1] - side) // 2
    return mouths[:, edge : edge + side, edge : edge + side]


@dataclass(frozen=True)
class SegmentBatches:
    """The shape of a sync expert's batches.

    Attributes:
        segments: Clips in a batch, B.
        frames: Neighbouring frames of each, T.
        mel_augmentation: Share of the segments whose speech is augmented.
        steps: Of the whole training, over which the weights of the datasets change.
    """

    segments: int
    frames: int
    mel_augmentation: float
    steps: int


class MouthDataset:
    """Cached mouth clips of the training people; batches are a function of (seed, step) alone."""

    def __init__(self, folder: Path, chosen: Sequence[WeightedClip], config: SyncConfig) -> None:
        """Cache the clips in ``folder``, or read them from there."""
        read = cache_mouth_clips(folder, [c.clip for c in chosen], config)
        usable = [(clip, c) for clip, c in zip(read, chosen, strict=True) if clip is not None]
        self.config, self.clips = config, [clip for clip, _ in usable]
        self._mixture = Mixture([c.probability for _, c in usable], [c.final for _, c in usable])

    def batch(self, shape: SegmentBatches, seed: int, step: int) -> Batch:
        """Draw segments of different clips: mouths (B, T, C, K, K) and mel (B, 4 T, 80).

        There are fewer segments where there are fewer clips, and fewer frames where a drawn clip is shorter.
        """
        rng, probabilities = step_rng(seed, step), self._mixture.probabilities(step / shape.steps)
        count = min(shape.segments, int(np.count_nonzero(probabilities)))
        picks = rng.choice(len(self.clips), count, replace=False, p=probabilities)
        t = min(shape.frames, *(len(self.clips[i].mouths) for i in picks))
        mouths, mels = [], []
        for clip in (self.clips[i] for i in picks):
            first = int(rng.integers(0, len(clip.mouths) - t + 1))
            mel = clip.mel[first * MEL_PER_FRAME : (first + t) * MEL_PER_FRAME].astype(np.float32)
            mels.append(augment_mel(rng, mel) if rng.random() < shape.mel_augmentation else mel)
            mouths.append(clip.mouths[first : first + t])
        pictures = augment_mouth_images(mouths_to_tensor(np.stack(mouths)), self.config, step_generator(seed, step))
        return {"mouths": pictures, "mel": torch.from_numpy(np.stack(mels))}


def augment_mouth_images(mouths: Tensor, config: SyncConfig, generator: torch.Generator) -> Tensor:
    """Place, light and blur the pictures of each segment at random.

    Every frame also moves a little by itself, as the landmarks of unsmoothed videos do. All strengths are our choice.

    Args:
        mouths: Pictures (B, T, 3, K', K') in [-1, 1].
        config: The expert's side K, and whether it sees colour.
        generator: Decides the changes.

    Returns:
        Pictures (B, T, C, K, K).
    """
    b = len(mouths)

    def normal(*shape: int, std: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=generator) * std

    def chance(share: float) -> Tensor:
        return torch.rand(b, 1, 1, 1, 1, generator=generator) < share

    if not config.colour:
        mouths = (mouths * torch.tensor(_LUMA).view(1, 1, 3, 1, 1)).sum(2, keepdim=True)
    x = _place_at_random(mouths, config.side, normal)
    x = torch.where(chance(0.5), x, x.flip(-1))
    soft = F.interpolate(F.avg_pool2d(x.flatten(0, 1), 2), size=x.shape[-2:], mode="bilinear").view_as(x)
    x = torch.where(chance(0.3), soft, x)
    lit = ((x + 1) / 2).clamp(0.002, 1) ** normal(b, 1, 1, 1, 1, std=0.25).exp()
    gain, shift = normal(b, 1, x.shape[2], 1, 1, std=0.12).exp(), normal(b, 1, x.shape[2], 1, 1, std=0.12)
    x = (lit * 2 - 1) * gain + shift
    return x + normal(*x.shape, std=1.0) * 0.03 * torch.rand(b, 1, 1, 1, 1, generator=generator)


def _place_at_random(mouths: Tensor, side: int, normal: Any) -> Tensor:
    """Apply a similarity to each segment (B) and a small shift to each frame (T): to (B, T, C, side, side)."""
    b, t, c, wide = *mouths.shape[:3], mouths.shape[-1]
    scale = side / wide * normal(b, 1, std=0.08).exp()
    turn = normal(b, 1, std=0.06)
    x0 = normal(b, 1, std=0.05) + normal(b, t, std=0.012)
    y0 = normal(b, 1, std=0.06) + normal(b, t, std=0.012)
    cos, sin = (scale * turn.cos()).expand(b, t), (scale * turn.sin()).expand(b, t)
    theta = torch.stack([cos, -sin, x0, sin, cos, y0], -1).view(b * t, 2, 3)
    grid = F.affine_grid(theta, [b * t, c, side, side], align_corners=False)
    return F.grid_sample(mouths.flatten(0, 1), grid, padding_mode="border", align_corners=False).view(
        b, t, c, side, side
    )
