"""Do runs of recipes/ablations.sh speak? Held-out people are drawn to their own speech, decoded, and judged by the sync
expert that scores, which nothing is trained against.

Usage: python experiments/ablation_sync.py OUT DATA RUN [RUN ...], where OUT/RUN are finished runs with the mask of base and
DATA the dataset they were made of. Printed for each, over clips: the expert's likeness (cosine) of mouth and speech at
offset 0, its confidence at its best offset, and how often that is 0 to one frame. Drawn are 40 frames of a clip,
the first ones, with references from the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.config import get_preset
from dithead.critics.sync_expert import find_offset
from dithead.critics.sync_offset import as_input, lip_centre, mouth_pictures, shipped_expert, speech_of
from dithead.face.masks import polygon_mask
from dithead.models.talking_head import TalkingHead
from dithead.prepare.conditions import frame_conditions, to_pixels, to_tensor
from dithead.train.data.clips import Source, WeightedClip, held_out_people
from dithead.train.data.latent_cache import cache_clips
from dithead.train.data.latent_dataset import LatentBank
from dithead.train.data.lip_basis import LipBasis
from dithead.train.data.picture_augmentation import identity
from dithead.train.metrics import held_out_latents as held_out
from dithead.train.stages.parts import cache_key

FRAMES, CLIPS = 40, 12


def shrunk(item: WeightedClip, side: int) -> NDArray[np.uint8]:
    """The first frames of a clip as the model sees them (K, S, S, 3)."""
    crops = item.clip.frames()[:FRAMES]
    change = identity(crops.shape[1], side)
    return np.stack([change.picture(crop) for crop in crops])


def decoded(head: TalkingHead, item: WeightedClip, latents: Tensor) -> NDArray[np.uint8]:
    """Pictures (K, S, S, 3) of latents (K, C, G, G); the decoder sees the clip's last frame."""
    path, truth = item.clip.track(), shrunk(item, head.size)
    ratio = head.size / item.clip.frames().shape[1]
    masked, mask = frame_conditions(truth, polygon_mask(path.polygon * ratio, head.size))
    last = identity(item.clip.frames().shape[1], head.size).picture(item.clip.frames()[-1])
    reference = to_tensor(last[None]).expand(len(latents), -1, -1, -1)
    return to_pixels(head.autoencoder.decode(latents, masked, mask, reference))


def judged(name: str, items: Sequence[WeightedClip], pictures: Sequence[NDArray[np.uint8]]) -> None:
    expert, likeness, found = shipped_expert("score"), [], []
    for item, crops in zip(items, pictures, strict=True):
        x, y = (c * crops.shape[1] / item.clip.frames().shape[1] for c in lip_centre(item.clip.track().landmarks))
        seen = expert.see(as_input(mouth_pictures(crops, (x, y), expert.config.side)[None]))[0]
        heard = expert.hear(speech_of(item.clip.audio(), item.clip.length)[None])[0][: len(crops)]
        likeness.append(float((seen * heard).sum(-1).mean()))
        found.append(find_offset(seen, heard, reach=10))
    right, confidence = sum(abs(o.frames) <= 1 for o in found), np.mean([o.confidence for o in found])
    print(f"{name}: likeness {np.mean(likeness):.3f}, confidence {confidence:.3f}, right {right} of {len(found)}")


@torch.inference_mode()
def main(out: Path, data: Path, runs: Sequence[str]) -> None:
    basis, settings = LipBasis.load(out / "audio" / "lips.npz"), get_preset("tiny").dit
    items = held_out_people([Source(data)], 18)[:CLIPS]
    for number, run in enumerate(runs):
        head = load_model(out / run / "model")
        cached = cache_clips(out / "latents" / cache_key(head, 0) / "held_out", items, [1] * CLIPS, head, 0)
        bank = LatentBank(cached, basis, settings, head.audio, head.config.dit.references)
        clips = held_out.held_out_clips(bank, CLIPS, FRAMES)
        if not number:
            judged("the truth", items, [shrunk(item, head.size) for item in items])
            rebuilt = [decoded(head, item, clip.latent) for item, clip in zip(items, clips, strict=True)]
            judged("the truth's latents, decoded", items, rebuilt)
            copies = [decoded(head, i, held_out.copied(head, c)) for i, c in zip(items, clips, strict=True)]
            judged("nearest references themselves", items, copies)
        made = [held_out.sample(head, clip, clip.mel) for clip in clips]
        judged(run, items, [decoded(head, item, z) for item, z in zip(items, made, strict=True)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
