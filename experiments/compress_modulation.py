"""A model whose transformer makes its modulation by way of fewer numbers: as good, and smaller.

The conditions that a transformer meets (time, speech, lips) fill few of the directions they might. They are gathered
while each CLIP speaks the next one's speech, at one step and at four; each block's modulation keeps the main ones.

    python experiments/compress_modulation.py out/model out/smaller --rank 112 --version 0.6 CLIP...

Printed: for each block the error of what it is told, as a share of its spread over the conditions gathered.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

import dithead
from dithead.checkpoint import CARD, build_model, load_model, save_model
from dithead.config import ModelConfig
from dithead.hub import resolve_model
from dithead.models.talking_head import TalkingHead

STEPS = (1, 4)


def conditions(talker: TalkingHead, clips: list[Path]) -> Tensor:
    """What the blocks are told (N, D)."""
    met: list[Tensor] = []
    first = talker.dit.get_submodule("blocks.0.modulation")
    hook = first.register_forward_pre_hook(lambda _, given: met.append(given[0].detach().double()))
    with TemporaryDirectory() as folder:
        for number, clip in enumerate(clips):
            speech, steps = clips[(number + 1) % len(clips)], STEPS[number % len(STEPS)]
            dithead.generate(clip, speech, Path(folder) / f"{number}.mp4", model=talker, steps=steps)
    hook.remove()
    return torch.cat(met)


def factors(weight: Tensor, bias: Tensor, met: Tensor, rank: int) -> tuple[dict[str, Tensor], float]:
    """Weights of the two layers that stand for the one of ``weight`` and ``bias``, and their error."""
    mean = met.mean(0)
    directions = torch.linalg.eigh((met - mean).T @ (met - mean)).eigenvectors[:, -rank:]
    weight, bias = weight.double(), bias.double()
    narrow = weight @ directions
    shift = bias + weight @ mean - narrow @ (directions.T @ mean)
    wanted, found = met @ weight.T + bias, met @ directions @ narrow.T + shift
    error = float((wanted - found).norm() / (wanted - wanted.mean(0)).norm())
    return {"0.weight": directions.T, "1.weight": narrow, "1.bias": shift}, error


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("model")
    told.add_argument("output", type=Path)
    told.add_argument("--rank", type=int, required=True)
    told.add_argument("--version", required=True)
    told.add_argument("clips", nargs="+", type=Path)
    options = told.parse_args()
    talker = load_model(options.model)
    met = conditions(talker, options.clips)
    config = ModelConfig.model_validate(talker.config)
    smaller = build_model(config.model_copy(update={"dit": replace(config.dit, modulation_rank=options.rank)}))
    weights = talker.state_dict()
    for number in range(config.dit.depth):
        place = f"dit.blocks.{number}.modulation"
        found, error = factors(weights.pop(f"{place}.weight"), weights.pop(f"{place}.bias"), met, options.rank)
        weights |= {f"{place}.{name}": w for name, w in found.items()}
        print(f"block {number}: {error:.4f}")
    smaller.load_state_dict(weights)
    save_model(options.output, smaller, version=options.version)
    (options.output / CARD).write_text((resolve_model(options.model) / CARD).read_text("utf-8"), "utf-8")


if __name__ == "__main__":
    main()
