"""How does one ablation run do for each person, with other reference frames, and with interpolated frames?

It makes the figures for persons, other references and interpolation in docs/results/ablations.md.

    python experiments/ablation_per_person.py out/ablations base-0 PREPARED_DATASET

The first argument is the output folder of recipes/ablations.sh, the second one of its finished runs with seed 0 and the
mask of the run `base`, the third the dataset that the run was trained on. Errors are mean squared errors of the latents
under the box of the lips; gain and jitter are ratios to the truth. Several minutes on one core.
Letters: K frames, C latent channels, G latent side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.config import get_preset
from dithead.train.data.clips import DataSource, WeightedClip, choose_clips, choose_held_out_clips
from dithead.train.data.latent_cache import LatentEncoder, cache_clips
from dithead.train.data.latent_dataset import LatentDataset
from dithead.train.data.lip_basis import LipBasis
from dithead.train.metrics import held_out_latents as held_out
from dithead.train.stages.assemble_model import cache_key
from shared import make_parser, print_table

HELD_OUT_CLIPS = 12  # as in the ablation table
CLIPS_PER_PERSON = 3  # of each person in the training data
FEW_REFERENCES = 6  # reference frames in the case "six mouths"


def interpolate(latents: Tensor) -> Tensor:
    """Replace every second of the latents (K, C, G, G) by the mean of its neighbours."""
    mixed = latents.clone()
    mixed[1:-1:2] = (latents[0:-2:2] + latents[2::2]) / 2
    return mixed


def with_few_references(clip: held_out.HeldOutClip) -> held_out.HeldOutClip:
    """Return the clip with only those of its other frames that show its mouth evenly from closed to open."""
    wanted = torch.linspace(*clip.openings.aminmax(), FEW_REFERENCES)
    index = (clip.openings[None] - wanted[:, None]).abs().argmin(1).unique()
    return replace(clip, others=clip.others[index], openings=clip.openings[index])


def measure(name: str, latents: list[Tensor], clips: list[held_out.HeldOutClip]) -> list[str]:
    """Return one line of the table: the name, error, gain and jitter of the latents of each clip."""
    truth = [clip.latent for clip in clips]
    gain = held_out.mouth_spread(latents, clips) / held_out.mouth_spread(truth, clips)
    jitter = held_out.mouth_change(latents, clips) / held_out.mouth_change(truth, clips)
    return [name, f"{held_out.mouth_error(latents, clips):.3f}", f"{gain:.3f}", f"{jitter:.3f}"]


@torch.no_grad()
def compare_references(talker: torch.nn.Module, clips: list[held_out.HeldOutClip]) -> Iterable[list[str]]:
    """Measure every choice of the reference frame, and interpolation, on clips of people held out."""
    plain = [held_out.sample(talker, clip) for clip in clips]
    yield measure("as in the ablation table", plain, clips)
    yield measure("every second frame interpolated", [interpolate(latents) for latents in plain], clips)
    yield measure("nearest references, copied", [held_out.paste_references(talker, clip) for clip in clips], clips)
    yield measure(
        "only the nearest reference", [held_out.sample(talker, c, references="nearest") for c in clips], clips
    )
    few = [with_few_references(clip) for clip in clips]
    yield measure("references of six mouths", [held_out.sample(talker, c) for c in few], clips)
    yield measure(
        "one reference for all frames", [held_out.sample(talker, c, references="fixed") for c in clips], clips
    )
    yield measure(
        "previous frame as reference", [held_out.sample(talker, c, references="previous") for c in clips], clips
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("ablations", type=Path, help="output folder of recipes/ablations.sh")
    parser.add_argument("run", help="name of a finished run in it, such as base-0")
    parser.add_argument("dataset", type=Path, help="the prepared dataset it was trained on")
    options = parser.parse_args()
    sources, talker = [DataSource(options.dataset)], load_model(options.ablations / options.run / "model")
    basis, settings = LipBasis.load(options.ablations / "audio" / "lips.npz"), get_preset("tiny").dit
    cache = options.ablations / "latents" / cache_key(talker, 0)

    def held_out_clips(folder: Path, chosen: list[WeightedClip]) -> list[held_out.HeldOutClip]:
        cached = cache_clips(folder, chosen, [1] * len(chosen), LatentEncoder(talker, 0))
        return held_out.held_out_clips(LatentDataset(cached, basis, settings, talker.audio), len(chosen))

    clips = held_out_clips(cache / "held_out", choose_held_out_clips(sources, 18))[:HELD_OUT_CLIPS]
    print_table(["people held out", "error", "gain", "jitter"], list(compare_references(talker, clips)))
    people: dict[str, list[WeightedClip]] = defaultdict(list)
    for item in choose_clips(sources, "train", 1000, 0.5):
        people[item.clip.identity].append(item)
    chosen = [item for items in people.values() for item in items[:CLIPS_PER_PERSON]]
    errors: dict[str, list[float]] = defaultdict(list)
    for name, error in held_out.held_out_by_clip(talker, held_out_clips(cache, chosen)).items():
        errors[name.partition(":")[0]].append(error)
    means = sorted(((sum(values) / len(values), person) for person, values in errors.items()), reverse=True)
    print()
    print_table(["person", "clips in training", "error"], [[p, str(len(people[p])), f"{e:.3f}"] for e, p in means])


if __name__ == "__main__":
    main()
