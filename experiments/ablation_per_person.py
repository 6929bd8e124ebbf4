"""What one run of recipes/ablations.sh is like person by person, with other references, and interpolated.

Usage: python experiments/ablation_per_person.py OUT RUN DATA, where OUT/RUN is a finished run of seed 0 with the mask of base and
DATA the dataset it was made of.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.config import get_preset
from dithead.train.data.clips import Source, WeightedClip, choose_clips, held_out_people
from dithead.train.data.latent_cache import cache_clips
from dithead.train.data.latent_dataset import LatentBank
from dithead.train.data.lip_basis import LipBasis
from dithead.train.metrics import held_out_latents as held_out
from dithead.train.stages.parts import cache_key

CLIPS = 3  # of each person trained on


def between(made: Tensor) -> Tensor:
    """Latents (K, C, G, G) of which every second one is the mean of its neighbours."""
    mixed = made.clone()
    mixed[1:-1:2] = (made[0:-2:2] + made[2::2]) / 2
    return mixed


def few(clip: held_out.HeldOutClip, count: int = 6) -> held_out.HeldOutClip:
    """The clip with only those of its other frames that show its mouth evenly from closed to open."""
    wanted = torch.linspace(*clip.openings.aminmax(), count)
    index = (clip.openings[None] - wanted[:, None]).abs().argmin(1).unique()
    return replace(clip, others=clip.others[index], openings=clip.openings[index])


def told(name: str, made: list[Tensor], clips: list[held_out.HeldOutClip]) -> None:
    truth = [clip.latent for clip in clips]
    gain = held_out._spread(made, clips) / held_out._spread(truth, clips)
    jitter = held_out._change(made, clips) / held_out._change(truth, clips)
    print(f"{name}: error {held_out._error(made, clips):.3f}, gain {gain:.3f}, jitter {jitter:.3f}")


def main(out: Path, run: str, data: Path) -> None:
    sources, head = [Source(data)], load_model(out / run / "model")
    basis, settings = LipBasis.load(out / "audio" / "lips.npz"), get_preset("tiny").dit
    cache = out / "latents" / cache_key(head, 0)

    def clips_of(folder: Path, chosen: list[WeightedClip]) -> list[held_out.HeldOutClip]:
        cached = cache_clips(folder, chosen, [1] * len(chosen), head, 0)
        return held_out.held_out_clips(LatentBank(cached, basis, settings, head.audio), len(chosen))

    clips = clips_of(cache / "held_out", held_out_people(sources, 18))[:12]
    with torch.no_grad():
        plain = [held_out.sample(head, clip, clip.mel) for clip in clips]
        told("plain", plain, clips)
        told("interpolated", [between(made) for made in plain], clips)
        told("nearest references themselves", [held_out.copied(head, clip) for clip in clips], clips)
        told("the nearest reference alone", [held_out.sample(head, c, c.mel, "nearest") for c in clips], clips)
        told("of six mouths, closed to open", [held_out.sample(head, few(c), c.mel) for c in clips], clips)
        told("one reference for all frames", [held_out.sample(head, c, c.mel, "fixed") for c in clips], clips)
        told("previous frame as reference", [held_out.sample(head, c, c.mel, "previous") for c in clips], clips)
    people: dict[str, list[WeightedClip]] = defaultdict(list)
    for item in choose_clips(sources, "train", 1000, 0.5):
        people[item.clip.identity].append(item)
    chosen = [item for items in people.values() for item in items[:CLIPS]]
    errors: dict[str, list[float]] = defaultdict(list)
    for name, error in held_out.held_out_by_clip(head, clips_of(cache, chosen)).items():
        errors[name.partition(":")[0]].append(error)
    for who, values in sorted(errors.items(), key=lambda item: -sum(item[1]) / len(item[1])):
        print(f"{who} ({len(people[who])} clips in training): {sum(values) / len(values):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
