"""The sync expert as a loss of stage two: a few short windows a step are drawn, decoded, and held against their speech.

Expert and autoencoder are frozen; the gradient goes through both to the transformer.
Letters: M windows, T frames each, S crop side, K side of the mouth picture, C latent channels, G latent side.
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
from dithead.critics.sync_expert import MEL_PER_FRAME, SyncExpert
from dithead.critics.sync_offset import MOUTH_REGION, load_shipped_expert, load_sync_expert, mouth_centre, speech_mel
from dithead.errors import ConfigError, ModelError
from dithead.models.denoiser.token_window import window_of
from dithead.models.talking_head import TalkingHead
from dithead.prepare.conditions import apply_mask, to_tensor
from dithead.train.data.clips import region_picture
from dithead.train.data.latent_cache import CachedClip, augmentation_of, mask_polygons
from dithead.train.data.latent_dataset import LatentBank
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import Batch, autocast, step_generator, step_rng

PREFIX = "spoken."
"""What the loader's batch calls the numbers of the windows."""
_AROUND = 4  # frames of speech to either side that the expert hears besides the window's
_STREAM = 11  # of random numbers


def loss_expert(settings: DiTTraining, file: Path | None) -> SyncExpert | None:
    """The expert to train against: of ``file``, or the shipped one; None where the loss has no weight.

    Raises ConfigError for an expert without a weight, and for one that measures; ModelError where there is none.
    """
    if not settings.sync_weight:
        if file is not None:
            raise ConfigError("a sync expert is given, but dit.sync_weight is 0; set it to 0.1 or so")
        return None
    try:
        expert = load_sync_expert(file) if file is not None else load_shipped_expert("loss")
    except ModelError as error:
        why = f"{error}; train one with: dithead train sync --expert loss, and give it as --sync-expert"
        raise ModelError(why) from None
    if expert.config.centred:
        raise ConfigError(f"{file or 'loss'}: this expert measures; train against one of --expert loss")
    return expert


@dataclass(frozen=True)
class SpokenWindows:
    """Windows of training clips with the pixels around the mouth: what the decoder sees, and where the lips are."""

    bank: LatentBank
    head: TalkingHead
    frames: int
    seed: int

    def batch(self, step: int) -> Batch:
        """This process's windows: conditions (M * T, ...), pictures, lips' centres (M, 2) and speech (M, T + 8, 80)."""
        settings, size = self.bank.settings, team().size
        share = max(1, settings.sync_windows // size)
        own = range(team().rank * share, (team().rank + 1) * share)
        windows = [self._window(step_rng(self.seed, step, _STREAM, w), step / settings.steps) for w in own]
        out = {key: torch.cat([window[key] for window in windows]) for key in windows[0]}
        generator = step_generator(self.seed + _STREAM, step)
        noise = torch.randn(share * size, *out["latent"].shape[1:], generator=generator)
        uniform = torch.rand(share * size, generator=generator)
        mine = slice(own.start, own.stop)
        out["noise"], out["uniform"] = (x[mine].repeat_interleave(self.frames, 0) for x in (noise, uniform))
        return {PREFIX + key: value for key, value in out.items()}

    def _window(self, rng: np.random.Generator, progress: float) -> Batch:
        index, first, reference, rows = self.bank.stretch(rng, progress, self.frames)
        made = {key: torch.from_numpy(np.stack([row[key] for row in rows])).float() for key in rows[0]}
        return made | self._pixels(self.bank.cached[index], first, reference)

    def _pixels(self, cached: CachedClip, first: int, reference: int) -> Batch:
        """Masked frames and references (T, 3, S, S), masks (T, 1, S, S), centre (1, 2), speech (1, T + 8, 80)."""
        clip, offset, size = cached.item.clip, cached.item.frames.start, self.head.size
        at = [min(offset + first + k, clip.length - 1) for k in range(self.frames)]
        crops, path = clip.frames(), clip.track()
        change = augmentation_of(cached.item, cached.variant, self.seed, crops.shape[1], size)
        images = to_tensor(np.stack([change.picture(crops[i]) for i in (*at, offset + reference)]))
        polygons = mask_polygons(self.head.config.mask, path, path.landmarks[at], crops.shape[1])
        regions = [change.geometry(region_picture(crops.shape[1], polygon, _NO_BOX)) for polygon in polygons]
        mask = torch.from_numpy(np.stack(regions)[:, None, ..., 0] > 127).float()
        return {
            "image_masked": apply_mask(images[:-1], mask),
            "image_mask": mask,
            "image_reference": images[-1:].expand(self.frames, -1, -1, -1),
            "centre": torch.tensor([change.where(mouth_centre(path.landmarks))], dtype=torch.float32),
            "speech": _speech(clip.audio(), clip.length, at[0], self.frames),
        }


_NO_BOX = np.zeros(4, np.float32)


def _speech(wave: NDArray[Any], length: int, first: int, frames: int) -> Tensor:
    """Log-mel (1, 4 (T + 8), 80) of the window and the frames around it; silence beyond the clip's ends."""
    mel = speech_mel(np.asarray(wave, np.float32), length)
    edge = _AROUND * MEL_PER_FRAME
    padded = F.pad(mel, (0, 0, edge, edge + frames * MEL_PER_FRAME), value=float(mel.min()))
    start = first * MEL_PER_FRAME
    return padded[None, start : start + frames * MEL_PER_FRAME + 2 * edge]


@dataclass(frozen=True)
class SpokenLoss:
    """How little the drawn mouths speak their speech: 1 less the expert's likeness, 0 to 2."""

    expert: SyncExpert
    head: TalkingHead
    frames: int

    def __call__(self, estimate: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        """``estimate`` draws clean latents (M * T, C, G, G) for the windows' conditions in ``batch``."""
        own = {key.removeprefix(PREFIX): value for key, value in batch.items() if key.startswith(PREFIX)}
        latent = torch.where(own["mask"] > 0, estimate(own), own["masked"])
        with autocast(self.head.device):
            mouths = self._mouths(latent, own).unflatten(0, (-1, self.frames))  # (M, T, 3, K, K)
            seen = self.expert.embed_mouths(mouths)
            with torch.no_grad():
                heard = self.expert.embed_speech(own["speech"])[:, _AROUND : _AROUND + self.frames]
        return 1 - (seen * heard).sum(-1).mean()

    def _mouths(self, latent: Tensor, own: Batch) -> Tensor:
        """Latents (M * T, C, G, G) to mouth pictures (M * T, 3, K, K)."""
        window = window_of(own["mask"])
        masked, mask, reference = (own[f"image_{name}"] for name in ("masked", "mask", "reference"))
        pictures = (window.pixels(x) for x in (masked, mask, reference))
        patch = self.head.autoencoder.decode(window.cells(latent), *pictures).to(masked.dtype)
        images = window.place_pixels(patch, masked)
        centres = own["centre"].repeat_interleave(self.frames, 0).tolist()
        cut = [mouth_of(image, (x, y), self.expert.config.side) for image, (x, y) in zip(images, centres, strict=True)]
        return torch.stack(cut)


def mouth_of(image: Tensor, centre: tuple[float, float], side: int, region: float = MOUTH_REGION) -> Tensor:
    """``dithead.critics.sync_offset.crop_mouths`` for one image (3, S, S) to (3, side, side), with a gradient."""
    size = image.shape[-1]
    box = round(region * size)
    x, y = (round(c - box / 2) for c in centre)
    edge = max(0, -x, -y, x + box - size, y + box - size)
    wide = F.pad(image[None], (edge,) * 4, mode="replicate") if edge else image[None]
    patch = wide[..., y + edge : y + edge + box, x + edge : x + edge + box]
    return F.interpolate(patch.float(), (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
