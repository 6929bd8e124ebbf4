"""How well are lips heard after learning from 2, 4, 8, ... people? What would more hours of video bring?

It makes the curve of people, and the table of what voices add, in docs/log/2026-11.md.

    python experiments/lip_predictor_scaling.py MOONSHINE --train hdtf=DATASET:train --test grid=DATASET --test ...
    python experiments/lip_predictor_scaling.py MOONSHINE --train ... --test ... --people all --voices FOLDER
                                                [--spoken-by kokoro] [--opening-only] [--voice-share 0.1]

MOONSHINE is the folder of `experiments/moonshine_from_wheel.py`, or a hub id. Its layers stay as they are, so that
their states are computed once for each clip; what reads them (the rest of the lip predictor) learns from random
weights, for every number of people anew. The people of a smaller group are among those of each larger group, in a
random order for each seed. With `--voices` (a folder of `dithead voices` or of
`experiments/voices_from_blendshapes.py`) a quarter of the samples are speech without a face, with the lips of a head
that its phonemes or blendshapes move (or their opening alone); as many samples fewer are of people. Columns: people,
minutes of people's speech and of voices', and for each test the correlation of the predicted opening and of the
predicted width of the lips with the measured ones, at each clip's best lag within 4 frames: mean over clips and seeds,
and the standard deviation over seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.models.audio.lip_predictor import DROPOUT, LipPredictor
from dithead.models.pretrained import load_moonshine
from dithead.prepare.dataset import Clip
from dithead.train.data.lip_basis import COEFFICIENTS, LipBasis, lip_shapes, shapes_of_lips
from dithead.train.stages.audio_encoder import correlation_loss
from shared import RATE, load_clips, make_parser, parse_named, print_table

Floats = NDArray[np.floating[Any]]

GROUPS, SEEDS, STEPS, BATCH = ("2", "4", "8", "16", "all"), 4, 400, 24
STATES, SKIPPED, TOKENS = 125, 6, 100  # a sample: 3 s of states, and its tokens of 20 ms that count
WHOLE = 5  # states, which are six tokens: a sample starts at a multiple
LAGS = range(-4, 5)  # frames
VOICE_SHARE, VOICE_RATE, PIECE = 0.25, 100, 10  # of the samples; lips a second of `dithead voices`; seconds


@dataclass(frozen=True)
class HeardClip:
    """A clip: states (S, layers, H) of the frozen layers, lip shapes (N, 81), frames a second."""

    person: str
    states: Tensor
    shapes: Floats
    fps: float
    voice: bool = False

    def at_tokens(self, values: Floats, first: int, count: int) -> Floats:
        """Interpolate ``values`` (N, K) at ``count`` tokens from ``first`` on."""
        place = (np.arange(first, first + count) * 0.02 * self.fps).clip(0, len(values) - 1.001)
        low, part = place.astype(int), (place % 1)[:, None]
        return np.asarray(values[low] * (1 - part) + values[low + 1] * part, np.float32)


@torch.inference_mode()
def heard(clip: Clip, predictor: LipPredictor) -> HeardClip:
    """Compute the states of a prepared clip's speech, and measure its lips."""
    states = predictor.layers(torch.from_numpy(np.asarray(clip.audio(), np.float32))[None])
    read = torch.stack(list(states)[-predictor.read_from :], 2)[0]
    return HeardClip(clip.identity, read, lip_shapes(clip.track().landmarks), clip.fps)


def heard_clips(dataset: str, predictor: LipPredictor) -> list[HeardClip]:
    """Do as ``heard`` with the clips of a dataset that have sound."""
    return [heard(clip, predictor) for clip in load_clips(dataset) if clip.has_speech]


def heard_voices(folder: Path, predictor: LipPredictor, spoken_by: str) -> list[HeardClip]:
    """Do as ``heard_voice`` with all clips of a folder."""
    return [piece for path in sorted(folder.glob("*.npz")) for piece in heard_voice(path, predictor, spoken_by)]


def heard_voice(path: Path, predictor: LipPredictor, spoken_by: str) -> list[HeardClip]:
    """Do as ``heard`` with a clip of `dithead voices`, in pieces of ten seconds; none of another voice."""
    with np.load(path) as stored:
        if not str(stored["voice"]).startswith(spoken_by):
            return []
        wave, lips = stored["wave"] / np.float32(32768), stored["lips"].astype(np.float32)
    shapes, pieces = shapes_of_lips(lips), []
    for start in range(0, len(lips) - 3 * VOICE_RATE, PIECE * VOICE_RATE):
        spoken = torch.from_numpy(wave[start * RATE // VOICE_RATE :][: PIECE * RATE])[None]
        with torch.inference_mode():
            states = torch.stack(list(predictor.layers(spoken))[-predictor.read_from :], 2)[0]
        pieces.append(HeardClip(path.stem, states, shapes[start:][: PIECE * VOICE_RATE], VOICE_RATE, voice=True))
    return pieces


class Learner(LipPredictor):
    """A lip predictor whose dropout is drawn in a third of the time, which on a CPU was a third of all time."""

    def _dropout(self, x: Tensor) -> Tensor:
        return x * ((torch.rand_like(x) >= DROPOUT) / (1 - DROPOUT)) if self.training else x


class VoiceUse(NamedTuple):
    """How voices are learned from: the share of samples, and whether only the opening of their lips counts."""

    share: float = VOICE_SHARE
    opening_only: bool = False


class Batch(NamedTuple):
    """Samples: states (B, 125, layers, H), true lips (B, 100, 9), and how much each coefficient counts (B, 1, 9)."""

    states: Tensor
    lips: Tensor
    weight: Tensor


def batch_of(clips: Sequence[HeardClip], lips: Sequence[Floats], rng: np.random.Generator, use: VoiceUse) -> Batch:
    """Cut samples of random people, and of random voices where there are any."""
    groups = [sorted({clip.person for clip in clips if clip.voice == voice}) for voice in (False, True)]
    states, truth, weights = [], [], []
    while len(states) < BATCH:
        group = groups[int(bool(groups[1]) and rng.random() < use.share)]
        person = group[int(rng.integers(len(group)))]
        i = int(rng.choice([i for i, clip in enumerate(clips) if clip.person == person]))
        starts = (len(clips[i].states) - STATES) // WHOLE
        if starts > 0:
            start = int(rng.integers(starts)) * WHOLE
            states.append(clips[i].states[start : start + STATES])
            first = start * 6 // WHOLE + SKIPPED
            truth.append(torch.from_numpy(clips[i].at_tokens(lips[i], first, TOKENS)))
            outline = 0.0 if clips[i].voice and use.opening_only else 1.0
            weights.append(torch.tensor([[outline] * (COEFFICIENTS - 1) + [1.0]]))
    return Batch(torch.stack(states).clone(), torch.stack(truth), torch.stack(weights))


def read(predictor: LipPredictor, states: Tensor, first: int, count: int) -> Tensor:
    """Predict the lips (B, count, 9) from states (B, S, layers, H)."""
    return predictor.read_along(predictor.normed(states.unbind(2)), first, count)


def trained(clips: Sequence[HeardClip], basis: LipBasis, seed: int, use: VoiceUse) -> LipPredictor:
    """Train what reads the states, from random weights, on some people's clips."""
    sizes = sizes_of_small()
    torch.manual_seed(seed)
    rng, predictor = np.random.default_rng(seed), Learner(*sizes, COEFFICIENTS)
    lips = [basis.coefficients(clip.shapes) for clip in clips]
    parameters = [p for name, p in predictor.named_parameters() if not name.startswith("layers.")]
    optimiser = torch.optim.AdamW(parameters, 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, STEPS)
    everywhere = torch.ones(BATCH, TOKENS)
    for _ in range(STEPS):
        states, truth, weight = batch_of(clips, lips, rng, use)
        found = read(predictor, states, SKIPPED, TOKENS)
        moves = correlation_loss(found[..., -1], truth[..., -1], everywhere)
        shape = (F.smooth_l1_loss(found, truth, reduction="none") * weight).mean()
        loss = shape + F.smooth_l1_loss(found[..., -1], truth[..., -1]) + 0.5 * moves
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return predictor.eval()


def best_lag(predicted: Floats, measured: Floats) -> float:
    """Correlate at the lag, in frames, where this is highest."""
    n = len(measured)
    pairs = [(predicted[max(0, -k) : n - max(0, k)], measured[max(0, k) : n - max(0, -k)]) for k in LAGS]
    return max(float(np.corrcoef(a, b)[0, 1]) for a, b in pairs)


@torch.inference_mode()
def scores(predictor: LipPredictor, clips: Sequence[HeardClip], basis: LipBasis) -> tuple[float, float]:
    """Return the mean correlation of the opening and of the width over clips."""
    found = []
    for clip in clips:
        n = len(clip.shapes)
        tokens = read(predictor, clip.states[None], 0, int(n / clip.fps / 0.02) + 1)[0].numpy()
        place = (np.arange(n) / clip.fps / 0.02).clip(0, len(tokens) - 1.001)
        low, part = place.astype(int), (place % 1)[:, None]
        lips = tokens[low] * (1 - part) + tokens[np.minimum(low + 1, len(tokens) - 1)] * part
        truth = basis.coefficients(clip.shapes)
        pairs = [(lips[:, -1], truth[:, -1]), (lips @ basis.width_units, truth @ basis.width_units)]
        found.append([best_lag(*pair) for pair in pairs])
    opening, width = np.mean(found, 0)
    return float(opening), float(width)


def make_options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("moonshine", metavar="MOONSHINE")
    parser.add_argument("--train", action="append", required=True, metavar="NAME=DATASET")
    parser.add_argument("--test", action="append", required=True, metavar="NAME=DATASET")
    parser.add_argument("--people", nargs="+", default=GROUPS, metavar="N", help="sizes of the groups; all: everybody")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--voices", metavar="FOLDER", type=Path)
    parser.add_argument("--spoken-by", default="", metavar="NAME", help="only voices whose names start so")
    parser.add_argument("--voice-share", type=float, default=VOICE_SHARE, help="of the samples")
    parser.add_argument("--opening-only", action="store_true", help="of the voices' lips, learn nothing else")
    return parser


@cache
def sizes_of_small() -> tuple[int, int, int]:
    """Return width, heads and number of the layers that the shipped model's lip predictor has."""
    config = load_model("small").audio.config
    return config.lip_predictor_hidden, config.lip_predictor_heads, config.lip_predictor_layers


def frozen_predictor(moonshine: str) -> LipPredictor:
    """Build a lip predictor with Moonshine's layers as they were published."""
    frozen = LipPredictor(*sizes_of_small(), COEFFICIENTS)
    frozen.layers.load_pretrained(load_moonshine(moonshine))
    return frozen


def minutes(clips: Sequence[HeardClip]) -> float:
    """Add up how long clips last."""
    return sum(len(clip.shapes) / clip.fps for clip in clips) / 60


def spread(values: Floats) -> str:
    """Write mean and standard deviation over seeds."""
    return f"{values.mean():.3f} ± {values.std(ddof=min(1, len(values) - 1)):.3f}"


def main() -> None:
    options = make_options().parse_args()
    frozen = frozen_predictor(options.moonshine)
    learn = [clip for folder in parse_named(options.train).values() for clip in heard_clips(folder, frozen)]
    voices = heard_voices(options.voices, frozen, options.spoken_by) if options.voices else []
    tests = {name: heard_clips(folder, frozen) for name, folder in parse_named(options.test).items()}
    basis, people = LipBasis.fit([clip.shapes for clip in learn]), sorted({clip.person for clip in learn})
    use, lines = VoiceUse(options.voice_share, options.opening_only), []
    sizes_of_groups = [len(people) if size == "all" else int(size) for size in options.people]
    for size in [n for n in sizes_of_groups if n <= len(people)]:
        rows, lengths = [], []
        for seed in range(options.seeds):
            chosen = set(np.random.default_rng(seed).permutation(people)[:size])
            clips = [clip for clip in learn if clip.person in chosen]
            lengths.append(minutes(clips))
            predictor = trained([*clips, *voices], basis, seed, use)
            rows.append([scores(predictor, test, basis) for test in tests.values()])
        cells = [", ".join(map(spread, found)) for found in np.array(rows).transpose(1, 2, 0)]
        lines.append([str(size), f"{np.mean(lengths):.1f}", f"{minutes(voices):.1f}", *cells])
    print_table(["people", "minutes", "of voices", *[f"{name}: opening, width" for name in tests]], lines)


if __name__ == "__main__":
    main()
