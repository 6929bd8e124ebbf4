"""How small can the modulation layers of a model's transformer be made without changing what they compute?

It wrote the shipped model's transformer (docs/log/2026-11.md), and prints the error of each block.

    python experiments/compress_modulation.py out/model out/smaller --rank 112 --version 0.6 CLIP...

The condition vectors that modulate the blocks (time, speech and lips) span few directions. They are gathered while each
CLIP is driven by the speech of the next, at one sampling step and at four; the modulation layer of each block is then
replaced by two narrow ones that keep the main directions. Printed for each block: the error of its modulation, relative
to the spread of the modulation over the gathered conditions. Letters: N conditions, D width, R rank.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

import dithead
from dithead.checkpoint import build_model, load_model, save_model
from dithead.config import ModelConfig
from dithead.hub import resolve_model
from dithead.model_folder import CARD
from dithead.models.talking_head import TalkingHead
from shared import make_version_parser, print_table

STEPS = (1, 4)  # sampling steps, in turn


def gather_conditions(talker: TalkingHead, clips: list[Path]) -> Tensor:
    """Return the inputs of the first block's modulation (N, D) while the clips are generated."""
    gathered: list[Tensor] = []
    first = talker.dit.get_submodule("blocks.0.modulation")
    hook = first.register_forward_pre_hook(lambda _, inputs: gathered.append(inputs[0].detach().double()))
    with TemporaryDirectory() as folder:
        for number, clip in enumerate(clips):
            speech, steps = clips[(number + 1) % len(clips)], STEPS[number % len(STEPS)]
            dithead.generate(clip, speech, Path(folder) / f"{number}.mp4", model=talker, steps=steps, fit="silence")
    hook.remove()
    return torch.cat(gathered)


def factorise(weight: Tensor, bias: Tensor, conditions: Tensor, rank: int) -> tuple[dict[str, Tensor], float]:
    """Return the two layers that replace one, and the relative error of their output.

    Args:
        weight: Weights (M, D) of the modulation layer.
        bias: Its bias (M,).
        conditions: The inputs (N, D) on which the two layers must agree with the one.
        rank: Width R between the two layers.
    """
    mean = conditions.mean(0)
    directions = torch.linalg.eigh((conditions - mean).T @ (conditions - mean)).eigenvectors[:, -rank:]
    weight, bias = weight.double(), bias.double()
    narrow = weight @ directions
    shift = bias + weight @ mean - narrow @ (directions.T @ mean)
    exact, approximate = conditions @ weight.T + bias, conditions @ directions @ narrow.T + shift
    error = float((exact - approximate).norm() / (exact - exact.mean(0)).norm())
    return {"0.weight": directions.T, "1.weight": narrow, "1.bias": shift}, error


def main() -> None:
    parser = make_version_parser(__doc__)
    parser.add_argument("--rank", type=int, required=True, help="numbers between the two layers of each modulation")
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="videos with speech")
    options = parser.parse_args()
    talker = load_model(options.model)
    conditions = gather_conditions(talker, options.clips)
    config = ModelConfig.model_validate(talker.config)
    smaller = build_model(config.model_copy(update={"dit": replace(config.dit, modulation_rank=options.rank)}))
    weights, lines = talker.state_dict(), []
    for number in range(config.dit.depth):
        layer = f"dit.blocks.{number}.modulation"
        weight, bias = weights.pop(f"{layer}.weight"), weights.pop(f"{layer}.bias")
        layers, error = factorise(weight, bias, conditions, options.rank)
        weights |= {f"{layer}.{name}": value for name, value in layers.items()}
        lines.append([str(number), f"{error:.4f}"])
    print_table(["block", "relative error"], lines)
    smaller.load_state_dict(weights)
    save_model(options.output, smaller, version=options.version)
    (options.output / CARD).write_text((resolve_model(options.model) / CARD).read_text("utf-8"), "utf-8")


if __name__ == "__main__":
    main()
