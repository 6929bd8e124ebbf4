"""Stage two measured on people it does not train on, in the latent: does the mouth follow the speech, and move as much?

Letters: K frames, C latent channels, G latent side. All numbers are under the lips' box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dithead.models.chunks import chunks, knowing
from dithead.models.dit import tokens_per_sample
from dithead.models.talking_head import TalkingHead
from dithead.train.bank import LatentBank
from dithead.train.runtime import autocast


@dataclass(frozen=True)
class HeldOutClip:
    """Frames in a row of one clip, as the model needs them."""

    latent: Tensor  # (K, C, G, G)
    masked: Tensor  # (K, C, G, G)
    mask: Tensor  # (K, 1, G, G)
    mouth: Tensor  # (K, 1, G, G)
    reference: Tensor  # (1, references * C, G, G)
    mel: Tensor  # (K, W, 80)
    name: str = ""


def held_out_clips(bank: LatentBank, count: int = 12, frames: int = 16) -> list[HeldOutClip]:
    """The first ``frames`` frames of up to ``count`` clips; references from their ends."""
    return [_clip(bank, index, frames) for index in range(min(count, len(bank.clips)))]


def _clip(bank: LatentBank, index: int, frames: int) -> HeldOutClip:
    clip = bank.clips[index]
    rows = range(min(frames, len(clip.latents)))
    last = [len(clip.latents) - 1 - k * len(clip.latents) // (2 * bank.references) for k in range(bank.references)]
    return HeldOutClip(
        latent=torch.from_numpy(clip.latents[: len(rows)]).float(),
        masked=torch.from_numpy(clip.masked[: len(rows)]).float(),
        mask=torch.stack([torch.from_numpy(clip.mask_of(row)) for row in rows]).float(),
        mouth=torch.from_numpy(clip.mouth[: len(rows)]).float(),
        reference=torch.cat([torch.from_numpy(clip.latents[row]) for row in last])[None].float(),
        mel=torch.stack([torch.from_numpy(bank.mel(clip, row, None)) for row in rows]),
        name=bank.names_of[index],
    )


@torch.no_grad()
def held_out_numbers(head: TalkingHead, clips: Sequence[HeldOutClip], previous: bool = False) -> dict[str, float]:
    """What the sampled mouths of held-out people are like.

    ``held_out_error``: mean square error under the clip's own speech. ``held_out_listening``: by how much of itself
    another clip's speech makes that error larger (0: the model does not listen). ``held_out_gain``: the spread over
    time over the truth's. ``held_out_jitter``: the change from frame to frame over the truth's. ``previous`` takes the
    frame made before as reference, as the paper does.
    """
    own = [_sample(head, clip, clip.mel, previous) for clip in clips]
    other = [_sample(head, clip, clips[i - 1].mel, previous) for i, clip in enumerate(clips)]
    error, wrong = (_error(made, clips) for made in (own, other))
    truth = [clip.latent for clip in clips]
    return {
        "held_out_error": error,
        "held_out_listening": wrong / max(error, 1e-9) - 1,
        "held_out_gain": _spread(own, clips) / max(_spread(truth, clips), 1e-9),
        "held_out_jitter": _change(own, clips) / max(_change(truth, clips), 1e-9),
    }


@torch.no_grad()
def held_out_by_clip(head: TalkingHead, clips: Sequence[HeldOutClip]) -> dict[str, float]:
    """The error of each clip by its name, the worst first: which people suffer."""
    errors = {clip.name: _error([_sample(head, clip, clip.mel, False)], [clip]) for clip in clips}
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _sample(head: TalkingHead, clip: HeldOutClip, mel: Tensor, previous: bool) -> Tensor:
    """Latents (K, C, G, G) with the known cells in place."""
    count = min(len(mel), len(clip.latent))
    with autocast(head.device):
        tokens = head.audio(mel[:count].to(head.device))
        if not previous:
            return _in_chunks(head, clip, tokens)
        made = [_denoise(head, clip, slice(0, 1), clip.reference, tokens[:1])]
        for k in range(1, count):
            made.append(_denoise(head, clip, slice(k, k + 1), made[-1], tokens[k : k + 1]))
        return torch.cat(made)


def _in_chunks(head: TalkingHead, clip: HeldOutClip, tokens: Tensor) -> Tensor:
    """All at once, or by a model with attention over time a chunk after the other."""
    together = head.config.dit.temporal
    if not together:
        return _denoise(head, clip, slice(0, len(tokens)), clip.reference, tokens)
    made = clip.latent[:0]
    for start, first, stop in chunks(len(tokens), together):
        rows = slice(start, stop)
        new = _denoise(head, clip, rows, clip.reference, tokens[rows], made[start:first], stop - start)
        made = torch.cat([made, new[first - start :]])
    return made


def _denoise(
    head: TalkingHead, clip: HeldOutClip, rows: slice, reference: Tensor, tokens: Tensor, known: Tensor | None = None,
    frames: int = 1,
) -> Tensor:  # fmt: skip
    masked, mask = (x[rows].to(head.device) for x in (clip.masked, clip.mask))
    reference = reference.to(head.device).expand(len(masked), -1, -1, -1)
    index, lips = tokens_per_sample(mask, frames), head.lips(tokens)

    def predict(z: Tensor, t: Tensor) -> Tensor:
        return head.dit(z, t, masked, mask, reference, tokens, index, lips, frames).float()

    noise = head.initial_noise(0).to(head.device).expand(len(masked), -1, -1, -1)
    told = predict if known is None else knowing(predict, known.to(head.device))
    made = head.objective.sample(told, noise, head.config.steps)
    return torch.where(mask > 0, made, masked).float().cpu()


def _error(made: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    each = [((z - c.latent[: len(z)]).square() * c.mouth[: len(z)]).sum() for z, c in zip(made, clips, strict=True)]
    weight = [c.mouth[: len(z)].sum() * z.shape[1] for z, c in zip(made, clips, strict=True)]
    return float(sum(each) / sum(weight))


def _spread(latents: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    each = [(z.std(0) * c.mouth.mean(0)).mean() for z, c in zip(latents, clips, strict=True) if len(z) > 1]
    return float(torch.stack(each).mean()) if each else 0.0


def _change(latents: Sequence[Tensor], clips: Sequence[HeldOutClip]) -> float:
    each = [(z.diff(dim=0).abs() * c.mouth[1 : len(z)]).mean() for z, c in zip(latents, clips, strict=True)]
    return float(torch.stack(each).mean()) if each else 0.0
