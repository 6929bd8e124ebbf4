"""Trains the denoiser against a sync expert: short windows are sampled, decoded and compared with their speech.

Expert and autoencoder are frozen; the gradient passes through both to the denoiser.
Letters: M windows, T frames each, S0 side of the stored crop, S crop side, K side of the mouth picture, C latent
channels, G latent side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dithead.config import DiTTraining
from dithead.critics.sync_expert import FPS, MEL_PER_FRAME, SyncExpert
from dithead.critics.sync_offset import MOUTH_REGION, load_shipped_expert, load_sync_expert, mouth_centre, speech_mel
from dithead.errors import ConfigError, DataError, ModelError
from dithead.models.denoiser.token_window import window_of
from dithead.models.talking_head import TalkingHead
from dithead.prepare.conditions import apply_mask, to_tensor
from dithead.train.data.clips import region_image
from dithead.train.data.latent_cache import CachedClip, augmentation_of, mask_polygons
from dithead.train.data.latent_dataset import LatentDataset, Stretch
from dithead.train.loop.batches import Batch
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_generator, step_rng

PREFIX = "sync."
"""Of the names of the windows' tensors in a batch."""
_AROUND = 4  # frames of speech on either side of a window that the expert also gets; our choice
_STREAM = 11  # of random numbers, see ``step_rng``
_NO_BOX = np.zeros(4, np.float32)  # the mouth's box is not needed


def load_loss_expert(settings: DiTTraining, file: Path | None) -> SyncExpert | None:
    """Load the expert to train against: that in ``file``, or the shipped one; None where the loss has no weight.

    Raises:
        ConfigError: An expert is given but the loss has no weight, or the expert is the one that scores.
        ModelError: There is no expert.
    """
    if not settings.sync_weight:
        if file is not None:
            raise ConfigError("a sync expert is given, but dit.sync_weight is 0; set it to 0.1 or so")
        return None
    try:
        expert = load_sync_expert(file) if file is not None else load_shipped_expert("loss")
    except ModelError as error:
        reason = f"{error}; train one with: dithead train sync --expert loss, and give it as --sync-expert"
        raise ModelError(reason) from None
    if expert.config.centred:
        raise ConfigError(f"{file or 'loss'}: this expert measures; train against one of --expert loss")
    return expert


@dataclass(frozen=True)
class SyncWindows:
    """Windows of training clips with what the decoder sees around the mouth, and with where the lips are.

    Attributes:
        dataset: The cached clips.
        talker: The model.
        frames: Frames T of a window.
        seed: Of the run.

    Raises:
        DataError: A clip has another frame rate than the experts.
    """

    dataset: LatentDataset
    talker: TalkingHead
    frames: int
    seed: int

    def __post_init__(self) -> None:
        for cached in self.dataset.cached:
            if (clip := cached.item.clip).fps != FPS:
                raise DataError(
                    f"{clip.folder}: has {clip.fps} frames a second; the sync loss needs {FPS}: prepare it at {FPS}, "
                    "or leave dit.sync_weight at 0"
                )

    def batch(self, step: int) -> Batch:
        """Make this process's windows.

        Returns:
            The denoiser's conditions (M * T, ...), pictures (M * T, ..., S, S), the lips' centres (M, 2) and speech
            (M, 4 (T + 8), 80), each name after ``PREFIX``.
        """
        settings, size = self.dataset.settings, process_group().size
        share = max(1, settings.sync_windows // size)
        own = range(process_group().rank * share, (process_group().rank + 1) * share)
        windows = [self._window(step_rng(self.seed, step, _STREAM, w), step / settings.steps) for w in own]
        out = {key: torch.cat([window[key] for window in windows]) for key in windows[0]}
        generator = step_generator(self.seed + _STREAM, step)
        noise = torch.randn(share * size, *out["latent"].shape[1:], generator=generator)
        uniform = torch.rand(share * size, generator=generator)
        mine = slice(own.start, own.stop)
        out["noise"], out["uniform"] = (x[mine].repeat_interleave(self.frames, 0) for x in (noise, uniform))
        return {PREFIX + key: value for key, value in out.items()}

    def _window(self, rng: np.random.Generator, progress: float) -> Batch:
        stretch = self.dataset.stretch(rng, progress, self.frames)
        made = {key: torch.from_numpy(np.stack([row[key] for row in stretch.rows])).float() for key in stretch.rows[0]}
        return made | self._pixels(self.dataset.cached[stretch.index], stretch)

    def _pixels(self, cached: CachedClip, stretch: Stretch) -> Batch:
        """Masked frames and references (T, 3, S, S), masks (T, 1, S, S), centre (1, 2), speech (1, 4 (T + 8), 80)."""
        clip, offset, size = cached.item.clip, cached.item.frames.start, self.talker.size
        at = [min(offset + stretch.first + k, clip.length - 1) for k in range(self.frames)]
        crops, path = clip.frames(), clip.track()
        side = crops.shape[1]
        augmentation = augmentation_of(cached.item, cached.variant, self.seed, side, size)
        images = to_tensor(np.stack([augmentation.apply(crops[i]) for i in (*at, offset + stretch.reference)]))
        polygons = mask_polygons(self.talker.config.mask, path, path.landmarks[at], side)
        regions = [augmentation.warp(region_image(side, polygon, _NO_BOX)) for polygon in polygons]
        mask = torch.from_numpy(np.stack(regions)[:, None, ..., 0] > 127).float()
        return {
            "image_masked": apply_mask(images[:-1], mask),
            "image_mask": mask,
            "image_reference": images[-1:].expand(self.frames, -1, -1, -1),
            "centre": torch.tensor([augmentation.map_point(mouth_centre(path.landmarks))], dtype=torch.float32),
            "speech": _speech(clip.audio(), clip.length, at[0], self.frames),
        }


def _speech(wave: NDArray[Any], length: int, first: int, frames: int) -> Tensor:
    """Compute log-mel (1, 4 (T + 8), 80) of a window and the frames around it; silence lies beyond the clip's ends."""
    mel = speech_mel(np.asarray(wave, np.float32), length)
    edge = _AROUND * MEL_PER_FRAME
    padded = F.pad(mel, (0, 0, edge, edge + frames * MEL_PER_FRAME), value=float(mel.min()))
    start = first * MEL_PER_FRAME
    return padded[None, start : start + frames * MEL_PER_FRAME + 2 * edge]


@dataclass(frozen=True)
class SyncLoss:
    """1 less the expert's similarity of generated mouths and their speech, 0 to 2.

    Attributes:
        expert: The frozen sync expert.
        talker: The model, whose decoder makes pictures of latents.
        frames: Frames T of a window.
    """

    expert: SyncExpert
    talker: TalkingHead
    frames: int

    def __call__(self, estimate: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        """Compute the mean loss of the windows in ``batch``.

        Args:
            estimate: Estimates clean latents (M * T, C, G, G) from the windows' conditions.
            batch: From ``SyncWindows.batch``.
        """
        own = {key.removeprefix(PREFIX): value for key, value in batch.items() if key.startswith(PREFIX)}
        latent = torch.where(own["mask"] > 0, estimate(own), own["masked"])
        with autocast(self.talker.device):
            pictures = self._mouths(latent, own).unflatten(0, (-1, self.frames))  # (M, T, 3, K, K)
            mouths = self.expert.embed_mouths(pictures)
            with torch.no_grad():
                speech = self.expert.embed_speech(own["speech"])[:, _AROUND : _AROUND + self.frames]
        return 1 - (mouths * speech).sum(-1).mean()

    def _mouths(self, latent: Tensor, own: Batch) -> Tensor:
        """Decode latents (M * T, C, G, G) and cut out the mouths (M * T, 3, K, K)."""
        window = window_of(own["mask"])
        masked, mask, reference = (own[f"image_{name}"] for name in ("masked", "mask", "reference"))
        pictures = (window.pixels(x) for x in (masked, mask, reference))
        patch = self.talker.autoencoder.decode(window.cells(latent), *pictures).to(masked.dtype)
        images = window.place_pixels(patch, masked)
        centres = own["centre"].repeat_interleave(self.frames, 0).tolist()
        side = self.expert.config.side
        return torch.stack([cut_mouth(image, (x, y), side) for image, (x, y) in zip(images, centres, strict=True)])


def cut_mouth(image: Tensor, centre: tuple[float, float], side: int, region: float = MOUTH_REGION) -> Tensor:
    """Cut the mouth (3, side, side) out of an image (3, S, S), as ``mouth_pictures`` does, but with a gradient.

    Args:
        image: The crop.
        centre: Of the lips, x and y in pixels.
        side: Of the result.
        region: Side of the mouth's square over that of the image.
    """
    size = image.shape[-1]
    box = round(region * size)
    x, y = (round(c - box / 2) for c in centre)
    edge = max(0, -x, -y, x + box - size, y + box - size)
    wide = F.pad(image[None], (edge,) * 4, mode="replicate") if edge else image[None]
    patch = wide[..., y + edge : y + edge + box, x + edge : x + edge + box]
    return F.interpolate(patch.float(), (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
