"""How well can closed lips be told from sound, and does a model that is told so keep more closures?

It trains a closure head (`models.audio.lip_predictor`) and writes a model that has it. All else stays as it is, so what
the head reads is computed once, and its training takes seconds.

    python experiments/learn_closures.py MODEL OUTPUT --version 0.7 --data HDTF:0.7 --data GRID:0.3

The data are prepared datasets with their weights in the mixture, as of `dithead train audio`: the head learns from the
split train, and val is the test. As sound and lips may be apart, they are moved to where the model's opening follows
the truth best. Printed for each dataset's val, of the opening by MODEL's lip predictor and by the new model's: the mean
precision over all recalls with which single tokens are told to be closed (below 0.02, as in the reports), pooled; and
the correlation with the truth, mean over clips. Letters: T tokens of 20 ms, W width of what is read, N frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.evaluate.lip_series import CLOSED
from dithead.models.audio.context_encoder import ContextEncoder
from dithead.models.audio.lip_predictor import AVERAGED, LipPredictor, averaged, mean_lips
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.prepare.dataset import Clip
from dithead.train.data.clips import DataSource, choose_clips
from dithead.train.data.lip_basis import lip_shapes
from dithead.train.losses.closure_loss import closure_loss
from shared import extended_encoder, make_version_parser, print_table, save_next_version, set_audio_encoder

TOKEN = 320  # samples
PAST, AHEAD = 100, 25  # tokens of silence before and after a clip, about as many as a model receives of either
LAGS = range(-20, 21)  # tokens that sound and lips may be apart
STEPS, BATCH, TOKENS = 400, 16, 60  # TOKENS: of a sample
RATE, DECAY = 2e-3, 0.05  # RATE: of learning; DECAY: of the weights
HIDDEN = 48
ALL_FRAMES = 10**9  # of a person: no limit

Numbers = NDArray[np.float64]


class HeardClip(NamedTuple):
    """One clip: what is read off its sound, and the true opening at each token."""

    person: str
    heard: Tensor  # (T + 6, W)
    predicted: Numbers  # (T,) opening by the model's lip predictor, in the model's unit
    truth: Numbers  # (T,) in eye distances
    known: Tensor  # (T,) 1 where there is a frame


@torch.inference_mode()
def hear(clip: Clip, predictor: LipPredictor) -> HeardClip:
    """Compute what the head reads off a clip's sound, and measure its lips."""
    wave = torch.from_numpy(np.asarray(clip.audio(), np.float32))
    count, padded = len(wave) // TOKEN, F.pad(wave, (PAST * TOKEN, AHEAD * TOKEN))
    states = predictor.normed(predictor.layers(padded[None]))
    heard = predictor.heard_along(states, PAST, count)
    predicted = averaged(predictor.lips(heard))[0, :, -1].double().numpy()
    opening = lip_shapes(clip.track().landmarks)[:, -1].astype(np.float64)
    truth, known = aligned(predicted, opening, clip.fps * TOKEN / SAMPLE_RATE)
    return HeardClip(clip.identity, heard[0].clone(), predicted, truth, known)


def aligned(predicted: Numbers, opening: Numbers, step: float) -> tuple[Numbers, Tensor]:
    """Read the true ``opening`` (N,) at each token (T,), ``step`` frames apart, where it follows ``predicted`` best."""
    numbers, frames = np.arange(len(opening)), np.arange(len(predicted)) * step
    shifted = [np.interp(frames + lag * step, numbers, opening) for lag in LAGS]
    best = int(np.argmax([correlation(truth, predicted) for truth in shifted]))
    moments = frames + LAGS[best] * step
    return shifted[best], torch.from_numpy((moments >= 0) & (moments < len(opening))).float()


def correlation(a: Numbers, b: Numbers) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def batch_of(clips: Sequence[HeardClip], shares: Numbers, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Cut samples of random clips: what is heard (B, 66, W), the true openings and how much they count (B, 60)."""
    heard, truth, known = [], [], []
    for number in rng.choice(len(clips), BATCH, p=shares):
        clip = clips[int(number)]
        first = int(rng.integers(max(1, len(clip.truth) - TOKENS + 1)))
        part, missing = slice(first, first + TOKENS), max(0, TOKENS - len(clip.truth))
        heard.append(F.pad(clip.heard[first : first + TOKENS + 2 * AVERAGED], (0, 0, 0, missing)))
        truth.append(F.pad(torch.from_numpy(clip.truth[part]).float(), (0, missing)))
        known.append(F.pad(clip.known[part], (0, missing)))
    return torch.stack(heard), torch.stack(truth), torch.stack(known)


def train(predictor: LipPredictor, clips: Sequence[HeardClip], shares: Numbers) -> None:
    """Train the closure head, and nothing else."""
    assert predictor.closure is not None
    rng, head = np.random.default_rng(0), predictor.train().closure.requires_grad_(True)
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS)
    for _ in range(STEPS):
        heard, truth, known = batch_of(clips, shares, rng)
        optimiser.zero_grad()
        closure_loss(predictor.log_odds(heard), truth, known).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    predictor.eval().requires_grad_(False)


def mean_precision(opening: Numbers, closed: NDArray[np.bool_]) -> float:
    """Return the mean, over the closed tokens, of the precision with which all that are as closed are told."""
    found = closed[np.argsort(opening)]
    return float((np.cumsum(found) / np.arange(1, len(found) + 1))[found].mean())


def with_told(predictor: LipPredictor, clip: HeardClip) -> Numbers:
    """Return the predicted opening (T,) with the share that the head says."""
    lips = torch.from_numpy(clip.predicted)[None, :, None]
    return mean_lips(lips, predictor.with_closures(lips, clip.heard[None]))[0, :, 0].numpy()


@torch.inference_mode()
def test(predictor: LipPredictor, clips: Sequence[HeardClip]) -> list[str]:
    """Return the table's columns: mean precision and correlation before, and with the head."""
    after = [with_told(predictor, clip) for clip in clips]
    counts = [clip.known.numpy() > 0 for clip in clips]
    closed = np.concatenate([clip.truth[known] < CLOSED for clip, known in zip(clips, counts, strict=True)])
    columns = []
    for openings in ([clip.predicted for clip in clips], after):
        seen = [opening[known] for opening, known in zip(openings, counts, strict=True)]
        r = [correlation(x, clip.truth[known]) for x, clip, known in zip(seen, clips, counts, strict=True)]
        columns += [f"{mean_precision(np.concatenate(seen), closed):.3f}", f"{np.mean(r):.3f}"]
    return columns


def main() -> None:
    parser = make_version_parser(__doc__)
    parser.add_argument("--data", action="append", required=True, metavar="DATASET:WEIGHT")
    options = parser.parse_args()
    torch.set_num_threads(1)
    talker = load_model(options.model)
    assert isinstance(talker.audio, ContextEncoder)
    encoder = extended_encoder(talker.audio, closure_hidden=HIDDEN)
    predictor = encoder.lip_predictor
    assert predictor is not None
    sources = [replace(DataSource.parse(text), speech_only=True) for text in options.data]
    chosen = choose_clips(sources, "train", ALL_FRAMES)
    train(predictor, [hear(item.clip, predictor) for item in chosen], np.array([item.probability for item in chosen]))
    lines = []
    for source in sources:
        if clips := [hear(clip, predictor) for clip in source.clips("val")]:
            lines.append([Path(str(source.path)).name, *test(predictor, clips)])
    print_table(["people held out", "precision before", "r before", "precision", "r"], lines)
    set_audio_encoder(talker, encoder)
    save_next_version(talker, None, options.model, options.output, options.version)


if __name__ == "__main__":
    main()
