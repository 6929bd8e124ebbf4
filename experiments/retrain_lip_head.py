"""Retrain the small network that predicts the lips from the audio encoder's tokens, and calibrate the model anew.

It answers no question: it is a step by which the shipped model was made (docs/log/2026-11.md). The tokens stay, because
the transformer was trained on them; so their means over time are computed once, and 400 steps take seconds.

    python experiments/retrain_lip_head.py out/model out/audio out/better --version 0.7 \\
        --train hdtf=DATASET:train --train grid=DATASET:train --held-out DATASET:val

out/audio is the run of `dithead train audio` whose lip predictor the model has: its basis says what the coefficients
mean. Coefficients that speech tells little of keep what the model predicts of them. Printed: correlation of the opening
on held-out people with the model's old and new prediction.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.models.audio.context_encoder import ContextEncoder
from dithead.models.audio.mel import windows
from dithead.prepare.dataset import Clip
from dithead.train.data.lip_basis import LipBasis
from dithead.train.data.speech_dataset import features_of, lip_shapes_of
from dithead.train.metrics.held_out_lips import measured_and_predicted
from dithead.train.stages.audio_encoder import BASIS
from shared import load_clips, make_version_parser, parse_named, save_next_version

STEPS, BATCH, RATE, DECAY = 400, 256, 3e-4, 0.99  # DECAY: of the moving average of the weights
NOISE, DROPOUT = 0.1, 0.3  # noise on the tokens, relative to their spread
LEARNED = (0, 1, 8)  # coefficients that speech tells: the first two shapes and the opening

Pairs = Sequence[tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]]


@torch.inference_mode()
def pooled_tokens(encoder: ContextEncoder, clip: Clip) -> Tensor:
    """Compute what the head reads at every frame (N, moments * width)."""
    features = torch.from_numpy(features_of(encoder, clip.audio())).float()
    centres = torch.arange(clip.length) / clip.fps * encoder.rate
    cut = windows(features, centres, encoder.config.window, encoder.pad, 0)
    group = encoder.config.tokens * encoder.config.width // cast("torch.nn.Linear", encoder.lips[0]).in_features
    return torch.cat([encoder(part).unflatten(1, (-1, group)).mean(2).flatten(1) for part in cut.split(64)])


def targets(clip: Clip, basis: LipBasis, predicted: Tensor) -> Tensor:
    """The true coefficients (N, 9) where speech tells them, else those that the model predicts."""
    wanted = predicted.clone()
    wanted[:, list(LEARNED)] = torch.from_numpy(basis.coefficients(lip_shapes_of(clip)))[:, list(LEARNED)]
    return wanted


def retrained(head: torch.nn.Sequential, data: Sequence[tuple[Tensor, Tensor]]) -> torch.nn.Sequential:
    """Train a copy of the head on equal shares of the datasets, each tokens (N, ...) and coefficients (N, 9)."""
    torch.manual_seed(0)
    learning, average = copy.deepcopy(head).train().requires_grad_(True), copy.deepcopy(head)
    optimiser = torch.optim.AdamW(learning.parameters(), RATE, weight_decay=0.1)
    for _ in range(STEPS):
        chosen = [torch.randint(len(x), (BATCH // len(data),)) for x, _ in data]
        x = torch.cat([tokens[i] for (tokens, _), i in zip(data, chosen, strict=True)])
        y = torch.cat([lips[i] for (_, lips), i in zip(data, chosen, strict=True)])
        error = F.smooth_l1_loss(
            learning(F.dropout(x + NOISE * x.std() * torch.randn_like(x), DROPOUT)), y, reduction="none"
        )
        optimiser.zero_grad()
        (error.mean() + error[:, -1].mean()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), learning.parameters(), strict=True):
                kept.lerp_(new, 1 - DECAY)
    return average


def mean_correlation(pairs: Pairs) -> float:
    return float(np.mean([np.corrcoef(truth[:, -1], predicted[:, -1])[0, 1] for truth, predicted in pairs]))


def main() -> None:
    parser = make_version_parser(__doc__, "run folder of the model's audio encoder")
    parser.add_argument("--train", action="append", required=True, metavar="NAME=DATASET")
    parser.add_argument("--held-out", required=True, metavar="DATASET")
    options = parser.parse_args()
    talker, basis = load_model(options.model), LipBasis.load(options.run / BASIS)
    encoder, held_out = talker.audio, load_clips(options.held_out)
    assert isinstance(encoder, ContextEncoder)
    before = measured_and_predicted(encoder, basis, held_out)
    data = []
    for folder in parse_named(options.train).values():
        clips = load_clips(folder)
        tokens = [pooled_tokens(encoder, clip) for clip in clips]
        with torch.inference_mode():
            wanted = [targets(clip, basis, encoder.lips(x)) for clip, x in zip(clips, tokens, strict=True)]
        data.append((torch.cat(tokens).clone(), torch.cat(wanted).clone()))
    encoder.lips = retrained(encoder.lips, data).eval().requires_grad_(False)
    after = measured_and_predicted(encoder, basis, held_out)
    print(f"held out: {mean_correlation(before):.4f} before, {mean_correlation(after):.4f} after")
    truth, predicted = (np.concatenate(part) for part in zip(*after, strict=True))
    calibrated = basis.calibrated_to(truth, predicted)
    save_next_version(talker, calibrated, options.model, options.output, options.version)


if __name__ == "__main__":
    main()
