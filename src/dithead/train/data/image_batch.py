"""Makes batches of images for the autoencoder's stage: target, masked frame, reference and regions, augmented alike.

Letters: B batch, S0 side of the stored crop, S side that the model works at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dithead.prepare.conditions import apply_mask, to_tensor
from dithead.train.data.clips import ClipFrames, FrameDataset, augment_frames
from dithead.train.data.frame_stream import FrameStream
from dithead.train.data.opened_references import closed_frame, nearest_frame, opened_reference
from dithead.train.data.picture_augmentation import draw_augmentation, no_augmentation
from dithead.train.loop.batches import Batch
from dithead.types import RGB

PICTURES = ("image", "masked", "reference", "mask", "mouth")
"""The pictures of a batch, each (B, 3 or 1, S, S)."""
Frames = FrameDataset | FrameStream
"""Where the frames of the autoencoder's stage come from."""


def image_batch(
    frames: Frames, size: int, rngs: Sequence[np.random.Generator], augment: bool = True, place: int = 0,
    opened: float = 0.0, drawn: float = 0.0,
) -> Batch:  # fmt: skip
    """Make a batch of images: a row for each of ``rngs``.

    Args:
        frames: Where the frames come from.
        size: Crop side S.
        rngs: The randomness of each row.
        augment: Change pose, shape and light at random.
        place: Where the first row stands in the whole training.
        opened: Share of the rows whose reference has a mouth opened by geometry.
        drawn: Share of the rows with speech whose latents are to be drawn; their references are as ``generate``
            chooses them. Only for frames that were loaded with their speech.

    Returns:
        ``image``, ``masked`` and ``reference`` (B, 3, S, S) in [-1, 1]; ``mask`` and ``mouth`` (B, 1, S, S). Where
        the frames have their speech also ``tokens`` (B, L, A), ``lips`` (B, 9) and ``drawn`` (B, 1, 1, 1), 1 or 0.
    """
    samples, told = [], []
    for row, rng in enumerate(rngs):
        clip, target, reference = frames.pick(rng, place + row)
        speech = clip.speech
        if speech is not None:
            draws = speech.heard and rng.random() < drawn
            reference = nearest_frame(clip.landmarks, target, rng) if draws else reference
            tokens, flag = speech.tokens[target].astype(np.float32), np.full((1, 1, 1), draws, np.float32)
            told.append((tokens, speech.lips[target], flag))
        side = clip.crops.shape[1]
        augmentation = draw_augmentation(rng, side, size) if augment else no_augmentation(side, size)
        samples.append(augment_frames(clip, target, _reference(clip, target, reference, rng, opened), augmentation))
    targets, references, regions = (np.stack(part) for part in zip(*samples, strict=True))
    image = to_tensor(targets)
    mask, mouth = (torch.from_numpy(regions[..., None, i] > 127).permute(0, 3, 1, 2).float() for i in range(2))
    names = ("tokens", "lips", "drawn") if told else ()
    speech_rows = {name: torch.from_numpy(np.stack(rows)) for name, *rows in zip(names, *told, strict=True)}
    return {"image": image, "reference": to_tensor(references), "mask": mask, "mouth": mouth * mask,
            "masked": apply_mask(image, mask), **speech_rows}  # fmt: skip


def _reference(clip: ClipFrames, target: int, reference: int, rng: np.random.Generator, opened: float) -> RGB:
    """Return the reference frame (S0, S0, 3), in a share of the rows one whose mouth was opened by geometry."""
    if not opened or rng.random() >= opened:
        return clip.crops[reference]
    closed = closed_frame(clip.landmarks, rng)
    return opened_reference(clip.crops[closed], clip.landmarks[closed], clip.landmarks[target])
