"""Stage two measured on people it does not train on, in the latent: does the mouth follow the speech, and move as much?

Letters: K frames, N others of the clip, R references, C latent channels, G latent side. All numbers are under the lips'
box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dithead.models.denoiser.base import LatentConditions
from dithead.models.denoiser.token_window import tokens_per_sample
from dithead.models.talking_head import TalkingHead
from dithead.train.data.latent_dataset import LatentBank
from dithead.train.loop.runtime import autocast

Shown = Literal["near", "nearest", "fixed", "previous"]
"""References: those of the clip's other frames whose mouth is about as open as is heard, as `generate` shows them (from
pictures in between, too); of these the nearest, standing for all that the model takes; the same for all frames; or the
frame made before, as the paper does."""


@dataclass(frozen=True)
class HeldOutClip:
    """Frames in a row of one clip, as the model needs them."""

    latent: Tensor  # (K, C, G, G)
    masked: Tensor  # (K, C, G, G)
    mask: Tensor  # (K, 1, G, G)
    mouth: Tensor  # (K, 1, G, G)
    reference: Tensor  # (1, R * C, G, G), R at least 1
    others: Tensor  # (N, C, G, G)
    openings: Tensor  # (N,) of the lips in the others, in distances between the outer eye corners
    usual: float  # mean opening of the whole clip
    mel: Tensor  # (K, W, 80)
    name: str = ""


HELD_OUT_MEASURED = 12  # clips


def held_out_clips(bank: LatentBank, count: int = HELD_OUT_MEASURED, frames: int = 16) -> list[HeldOutClip]:
    """The first ``frames`` frames of up to ``count`` clips; references from their ends."""
    return [_clip(bank, index, frames) for index in range(min(count, len(bank.clips)))]


def _clip(bank: LatentBank, index: int, frames: int) -> HeldOutClip:
    clip = bank.clips[index]
    rows, fixed = range(min(frames, len(clip.latents))), max(bank.references, 1)
    spare = len(clip.latents) - len(rows) >= fixed
    others = slice(len(rows) if spare else 0, None)  # not those to be drawn, if possible
    last = [len(clip.latents) - 1 - k * len(clip.latents) // (2 * fixed) for k in range(fixed)]
    return HeldOutClip(
        latent=torch.from_numpy(clip.latents[: len(rows)]).float(),
        masked=torch.from_numpy(clip.masked[: len(rows)]).float(),
        mask=torch.stack([torch.from_numpy(clip.mask_of(row)) for row in rows]).float(),
        mouth=torch.from_numpy(clip.mouth[: len(rows)]).float(),
        reference=torch.from_numpy(clip.latents[last].reshape(1, -1, *clip.latents.shape[2:])).float(),
        others=torch.from_numpy(clip.latents[others]).float(),
        openings=torch.from_numpy(clip.lips[others, -1]).float(),
        usual=float(clip.lips[:, -1].astype(np.float32).mean()),
        mel=torch.stack([torch.from_numpy(bank.mel(clip, row, None)) for row in rows]),
        name=bank.names_of[index],
    )


@torch.no_grad()
def held_out_numbers(head: TalkingHead, clips: Sequence[HeldOutClip], shown: Shown = "near") -> dict[str, float]:
    """What the sampled mouths of held-out people are like.

    ``held_out_error``: mean square error under the clip's own speech. ``held_out_listening``: by how much of itself
    another clip's speech makes that error larger (0: the model does not listen). ``held_out_gain``: the spread over
    time over the truth's. ``held_out_jitter``: the change from frame to frame over the truth's.
    ``held_out_fixed``: the error with one reference for all frames. ``held_out_copied``: that of the references
    themselves, put where the mouth is to be drawn, which a model worth its name is below.
    """
    own = [sample(head, clip, clip.mel, shown) for clip in clips]
    other = [sample(head, clip, clips[i - 1].mel, shown) for i, clip in enumerate(clips)]
    fixed = [sample(head, clip, clip.mel, "fixed") for clip in clips]
    error, wrong, unmoved = (mouth_error(made, clips) for made in (own, other, fixed))
    truth = [clip.latent for clip in clips]
    return {
        "held_out_error": error,
        "held_out_listening": wrong / max(error, 1e-9) - 1,
        "held_out_gain": mouth_spread(own, clips) / max(mouth_spread(truth, clips), 1e-9),
        "held_out_jitter": mouth_change(own, clips) / max(mouth_change(truth, clips), 1e-9),
        "held_out_fixed": unmoved,
        "held_out_copied": mouth_error([copied(head, clip) for clip in clips], clips),
    }


@torch.no_grad()
def held_out_by_clip(head: TalkingHead, clips: Sequence[HeldOutClip]) -> dict[str, float]:
    """The error of each clip by its name, the worst first: which people suffer."""
    errors = {clip.name: mouth_error([sample(head, clip, clip.mel)], [clip]) for clip in clips}
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def sample(head: TalkingHead, clip: HeldOutClip, mel: Tensor, shown: Shown = "near") -> Tensor:
    """Latents (K, C, G, G) under speech (K, W, 80), with the known cells in place."""
    count = min(len(mel), len(clip.latent))
    with autocast(head.device):
        tokens = head.audio(mel[:count].to(head.device))
        reference = clip.reference.expand(count, -1, -1, -1)
        if shown in ("near", "nearest"):
            reference = _near(head, clip, tokens, head.config.dit.references if shown == "near" else 1)
        if shown != "previous":
            return _denoise(head, clip, slice(0, count), reference, tokens)
        made = [_denoise(head, clip, slice(0, 1), reference[:1], tokens[:1])]
        for k in range(1, count):
            made.append(_denoise(head, clip, slice(k, k + 1), made[-1], tokens[k : k + 1]))
        return torch.cat(made)


def copied(head: TalkingHead, clip: HeldOutClip) -> Tensor:
    """Latents (K, C, G, G) in which the nearest references stand for drawn mouths."""
    with autocast(head.device):
        tokens = head.audio(clip.mel.to(head.device))
    reference = _near(head, clip, tokens, 1)
    return torch.where(clip.mask > 0, reference, clip.masked)


def _near(head: TalkingHead, clip: HeldOutClip, tokens: Tensor, count: int) -> Tensor:
    """``count`` references (K, count * C, G, G); the same for all frames where the model is not told of the lips."""
    moved = head.predict_opening(tokens)
    if moved is None:
        return clip.reference[:, : count * clip.latent.shape[1]].expand(len(tokens), -1, -1, -1)
    wanted = clip.usual + moved.float().cpu()  # (K,)
    nearest = (clip.openings[None] - wanted[:, None]).abs().argsort(1)  # (K, N)
    return clip.others[nearest[:, :count]].flatten(1, 2)


def _denoise(head: TalkingHead, clip: HeldOutClip, rows: slice, reference: Tensor, tokens: Tensor) -> Tensor:
    """Latents (K, C, G, G) of the frames ``rows``."""
    masked, mask = (x[rows].to(head.device) for x in (clip.masked, clip.mask))
    conditions = LatentConditions(
        masked, mask, reference.to(head.device), tokens, head.predict_lips(tokens), tokens_per_sample(mask)
    )

    def predict(z: Tensor, t: Tensor) -> Tensor:
        return head.dit(z, t, conditions).float()

    noise = head.initial_noise(0).to(head.device).expand(len(masked), -1, -1, -1)
    made = head.objective.sample(predict, noise, head.config.steps)
    return torch.where(mask > 0, made, masked).float().cpu()


def mouth_error(made: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    each = [((z - c.latent[: len(z)]).square() * c.mouth[: len(z)]).sum() for z, c in zip(made, clips, strict=True)]
    weight = [c.mouth[: len(z)].sum() * z.shape[1] for z, c in zip(made, clips, strict=True)]
    return float(sum(each) / sum(weight))


def mouth_spread(latents: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    each = [(z.std(0) * c.mouth.mean(0)).mean() for z, c in zip(latents, clips, strict=True) if len(z) > 1]
    return float(torch.stack(each).mean()) if each else 0.0


def mouth_change(latents: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    each = [(z.diff(dim=0).abs() * c.mouth[1 : len(z)]).mean() for z, c in zip(latents, clips, strict=True)]
    return float(torch.stack(each).mean()) if each else 0.0
