"""Metrics of the denoiser on held-out people, in the latent: does the mouth follow the speech, and move as much?

Frames are sampled as `dithead generate` samples them: with the guidance of the configuration, with the lips that the
audio encoder predicts from the speech and its past, and with reference frames chosen by these lips. What generation
adds for one person's video (calibration, limits on the lips) is left out. All metrics are under the lips' box.
Letters: K frames, N others of the clip, R references, C latent channels, G latent side, T feature frames, F numbers in
each, L audio tokens, A their width.
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
from dithead.train.data.latent_dataset import LatentDataset
from dithead.train.data.speech_dataset import features_of
from dithead.train.loop.precision import autocast

HELD_OUT_MEASURED = 12
"""Clips on which the denoiser is measured. Our choice."""
_FRAMES = 16  # neighbouring frames of a clip that are sampled; our choice
ReferenceChoice = Literal["near", "nearest", "fixed", "previous"]
"""``near``: for each frame, of the clip's other frames, those whose mouth is about as open as predicted, as `generate`
chooses them. ``nearest``: the first of these stands for all references. ``fixed``: the same for all frames.
``previous``: the previous output frame, as in the paper."""


@dataclass(frozen=True)
class HeldOutClip:
    """Neighbouring frames of one clip, as the model needs them, with their speech.

    Attributes:
        latent: True latents (K, C, G, G).
        masked: Latents of the masked frames (K, C, G, G).
        mask: Share of each cell under the mask (K, 1, G, G).
        mouth: Share of each cell under the lips' box (K, 1, G, G).
        reference: The fixed references (1, R * C, G, G), R at least 1.
        others: Latents of other frames of the clip (N, C, G, G).
        openings: Lip openings in the others (N,), in distances between the outer eye corners.
        mean_opening: Of the whole clip.
        features: Speech features of the whole clip (T, F), with the samples that a lip predictor needs.
        times: Times of the frames (K,), in seconds.
        name: For people: ``person: clip (variant)``.
    """

    latent: Tensor
    masked: Tensor
    mask: Tensor
    mouth: Tensor
    reference: Tensor
    others: Tensor
    openings: Tensor
    mean_opening: float
    features: Tensor
    times: Tensor
    name: str = ""


def held_out_clips(dataset: LatentDataset, count: int = HELD_OUT_MEASURED, frames: int = _FRAMES) -> list[HeldOutClip]:
    """Take the first ``frames`` frames of up to ``count`` clips; their references come from the clips' ends."""
    return [_held_out_clip(dataset, index, frames) for index in range(min(count, len(dataset.clips)))]


def _held_out_clip(dataset: LatentDataset, index: int, frames: int) -> HeldOutClip:
    clip, cached = dataset.clips[index], dataset.cached[index]
    rows, fixed = range(min(frames, len(clip.latents))), max(dataset.references, 1)
    spare = len(clip.latents) - len(rows) >= fixed
    others = slice(len(rows) if spare else 0, None)  # not those to be sampled, if possible
    last = [len(clip.latents) - 1 - k * len(clip.latents) // (2 * fixed) for k in range(fixed)]
    return HeldOutClip(
        latent=torch.from_numpy(clip.latents[: len(rows)]).float(),
        masked=torch.from_numpy(clip.masked[: len(rows)]).float(),
        mask=torch.stack([torch.from_numpy(clip.mask_of(row)) for row in rows]).float(),
        mouth=torch.from_numpy(clip.mouth[: len(rows)]).float(),
        reference=torch.from_numpy(clip.latents[last].reshape(1, -1, *clip.latents.shape[2:])).float(),
        others=torch.from_numpy(clip.latents[others]).float(),
        openings=torch.from_numpy(clip.lips[others, -1]).float(),
        mean_opening=float(clip.lips[:, -1].astype(np.float32).mean()),
        features=torch.from_numpy(features_of(dataset.audio, cached.item.clip.audio())).float(),
        times=torch.tensor([clip.seconds(row) for row in rows]),
        name=cached.name,
    )


@torch.no_grad()
def held_out_metrics(
    talker: TalkingHead, clips: Sequence[HeldOutClip], references: ReferenceChoice = "near"
) -> dict[str, float]:
    """Measure the sampled mouths of held-out people (``metrics.explanations`` says it for users).

    Returns:
        ``held_out_error``, the mean square error under the clip's own speech; ``held_out_listening``, by what share
        another clip's speech makes that error larger (0: the model ignores the speech), which one clip alone cannot
        tell; ``held_out_gain``, the spread over time relative to the truth's; ``held_out_jitter``, the change from
        frame to frame relative to the truth's; ``held_out_fixed``, the error with one reference for all frames;
        ``held_out_copied``, the error of the nearest references themselves, pasted where the mouth is to be sampled: a
        useful model stays below it.
    """
    own = [sample(talker, clip, references=references) for clip in clips]
    fixed = [sample(talker, clip, references="fixed") for clip in clips]
    error = mouth_error(own, clips)
    truth = [clip.latent for clip in clips]
    return {
        "held_out_error": error,
        **_listening(talker, clips, references, error),
        "held_out_gain": mouth_spread(own, clips) / max(mouth_spread(truth, clips), 1e-9),
        "held_out_jitter": mouth_change(own, clips) / max(mouth_change(truth, clips), 1e-9),
        "held_out_fixed": mouth_error(fixed, clips),
        "held_out_copied": mouth_error([paste_references(talker, clip) for clip in clips], clips),
    }


def _listening(
    talker: TalkingHead, clips: Sequence[HeldOutClip], references: ReferenceChoice, error: float
) -> dict[str, float]:
    """``held_out_listening``, given the error under the clips' own speech; nothing without another clip's speech."""
    if len(clips) < 2:
        return {}
    other = [sample(talker, clip, clips[i - 1], references) for i, clip in enumerate(clips)]
    return {"held_out_listening": mouth_error(other, clips) / max(error, 1e-9) - 1}


@torch.no_grad()
def held_out_by_clip(talker: TalkingHead, clips: Sequence[HeldOutClip]) -> dict[str, float]:
    """Measure the error of each clip by its name, the worst first."""
    errors = {clip.name: mouth_error([sample(talker, clip)], [clip]) for clip in clips}
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


@torch.no_grad()
def sample(
    talker: TalkingHead, clip: HeldOutClip, speaker: HeldOutClip | None = None, references: ReferenceChoice = "near"
) -> Tensor:
    """Sample a clip's mouths.

    Args:
        talker: The model.
        clip: The frames.
        speaker: The clip whose speech drives them; None: the clip itself.
        references: How the reference frames are chosen.

    Returns:
        Latents (K, C, G, G), the kept cells in place; fewer where the speaker's clip is shorter.
    """
    with autocast(talker.device):
        tokens, lips = _speech(talker, speaker or clip, len(clip.latent))
        count = len(tokens)
        reference = clip.reference.expand(count, -1, -1, -1)
        if references in ("near", "nearest"):
            reference = _near(talker, clip, lips, count, talker.config.dit.references if references == "near" else 1)
        conditions = LatentConditions(clip.masked[:count], clip.mask[:count], reference, tokens, lips)
        if references != "previous":
            return _denoise(talker, conditions)
        made = [_denoise(talker, _frame(conditions, 0))]
        for k in range(1, count):
            made.append(_denoise(talker, _frame(conditions, k)._replace(reference=made[-1])))
        return torch.cat(made)


@torch.no_grad()
def paste_references(talker: TalkingHead, clip: HeldOutClip) -> Tensor:
    """Return latents (K, C, G, G) in which the nearest references stand in place of sampled mouths."""
    with autocast(talker.device):
        tokens, lips = _speech(talker, clip, len(clip.latent))
    reference = _near(talker, clip, lips, len(tokens), 1)
    return torch.where(clip.mask > 0, reference, clip.masked)


def _speech(talker: TalkingHead, clip: HeldOutClip, count: int) -> tuple[Tensor, Tensor | None]:
    """Tokens (K, L, A) and predicted lips (K, 9) of at most ``count`` frames; None for a model without lips."""
    return talker.tokens_and_lips(clip.features, clip.times[:count])


def predicted_opening(talker: TalkingHead, lips: Tensor | None) -> Tensor | None:
    """Return how much wider than the mean the lips are predicted to open (K,), in distances between the eye corners.

    None for a model without lips, or whose unit of the opening is not known.
    """
    unit = talker.config.opening_unit
    return None if lips is None or not unit else (lips[:, -1] - talker.dit.lip_centre[-1]).float().cpu() * unit


def _near(talker: TalkingHead, clip: HeldOutClip, lips: Tensor | None, frames: int, count: int) -> Tensor:
    """Choose ``count`` references (K, count * C, G, G) by their opening; the fixed ones where none is predicted."""
    opening = predicted_opening(talker, lips)
    if opening is None:
        return clip.reference[:, : count * clip.latent.shape[1]].expand(frames, -1, -1, -1)
    wanted = clip.mean_opening + opening
    nearest = (clip.openings[None] - wanted[:, None]).abs().argsort(1)  # (K, N)
    return clip.others[nearest[:, :count]].flatten(1, 2)


def _frame(conditions: LatentConditions, k: int) -> LatentConditions:
    """Return the conditions of one frame."""
    return LatentConditions(*(None if part is None else part[k : k + 1] for part in conditions))  # type: ignore[arg-type]


def _denoise(talker: TalkingHead, conditions: LatentConditions) -> Tensor:
    """Sample latents (K, C, G, G), with the guidance of the configuration, as ``TalkingHead.generate`` does."""
    scale, tokens = talker.config.guidance, conditions.audio
    masked, mask, reference = (part.to(talker.device) for part in conditions[:3])
    conditional = LatentConditions(masked, mask, reference, tokens, conditions.lips, tokens_per_sample(mask))
    unconditional = conditional._replace(audio=talker.audio.unconditional(len(tokens)).to(tokens), lips=None)

    def predict(z: Tensor, t: Tensor) -> Tensor:
        predicted = talker.dit(z, t, conditional).float()
        return predicted if scale == 1.0 else torch.lerp(talker.dit(z, t, unconditional).float(), predicted, scale)

    noise = talker.initial_noise(0).to(talker.device).expand(len(masked), -1, -1, -1)
    made = talker.objective.sample(predict, noise, talker.config.steps)
    return torch.where(mask > 0, made, masked).float().cpu()


def mouth_error(made: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    """Compute the mean square error of sampled latents at the lips, over all clips."""
    each = [((z - c.latent[: len(z)]).square() * c.mouth[: len(z)]).sum() for z, c in zip(made, clips, strict=True)]
    weight = [c.mouth[: len(z)].sum() * z.shape[1] for z, c in zip(made, clips, strict=True)]
    return float(sum(each) / sum(weight))


def mouth_spread(latents: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    """Compute the standard deviation over time at the lips, as a mean over clips."""
    each = [(z.std(0) * c.mouth.mean(0)).mean() for z, c in zip(latents, clips, strict=True) if len(z) > 1]
    return float(torch.stack(each).mean()) if each else 0.0


def mouth_change(latents: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    """Compute the absolute change from frame to frame at the lips, as a mean over clips."""
    pairs = [(z, c.mouth[1 : len(z)]) for z, c in zip(latents, clips, strict=True) if len(z) > 1]
    each = [(z.diff(dim=0).abs() * mouth).mean() for z, mouth in pairs]
    return float(torch.stack(each).mean()) if each else 0.0
