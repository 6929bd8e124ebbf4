"""What do voices with known lips add to hearing the lips of people? The same question to many voices, in seconds.

It makes the table of Kokoro and the old voices in docs/log/2026-11.md.

    python experiments/voices_by_regression.py MOONSHINE --train hdtf=DATASET:train --test grid=DATASET --test ...
                                               --voices old=FOLDER --voices kokoro=FOLDER:kokoro ...

MOONSHINE and the datasets are those of `lip_predictor_scaling.py`. Instead of training its network, a ridge regression
reads the opening and the width of the lips off the same frozen states (160 principal components at five moments, 160 ms
before to 160 ms after), and is averaged over as many moments as the network's predictions are. It is solved for
exactly, so there are no seeds; people and voices count as much as the network draws them. After a folder of
`dithead voices` a colon and the beginning of the names of those voices that are wanted may stand. The first table has
the correlations with the measured lips, at each clip's best lag within 4 frames, mean over clips. The second has what
voices add to them, or to those with other voices (`--against`): mean and standard deviation over 20 resamples of the
training people, the voices and the test clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from dithead.models.audio.lip_predictor import AVERAGED, at_tokens
from dithead.train.data.lip_basis import LipBasis
from lip_predictor_scaling import (
    VOICE_SHARE,
    HeardClip,
    best_lag,
    frozen_predictor,
    heard_clips,
    heard_voices,
    minutes,
)
from shared import make_parser, parse_named, print_table

Floats = NDArray[np.floating[Any]]

MOMENTS, COMPONENTS = (-8, -4, 0, 4, 8), 160  # tokens of 20 ms; of the states
RIDGES = (0.3, 1.0, 3.0, 10.0)  # relative to the mean square of a feature
RESAMPLES = 20


class Moments(NamedTuple):
    """Of one speaker: mean products of features with themselves (D, D), and with opening and width (D, 2)."""

    features: Floats
    lips: Floats

    def mixed(self, other: Moments, share: float) -> Moments:
        """Mix in a share of ``other``."""
        return Moments(*((1 - share) * a + share * b for a, b in zip(self, other, strict=True)))


class TestClip(NamedTuple):
    """Features of each frame (N, D), and the measured opening and width (N, 2)."""

    features: Floats
    lips: Floats


def states_of(clip: HeardClip) -> Floats:
    """Return normed states (T, H) at the clip's tokens of 20 ms."""
    normed = F.layer_norm(clip.states, clip.states.shape[-1:]).flatten(1)[None]
    count = min(int((len(clip.shapes) - 1) / clip.fps / 0.02) + 1, len(clip.states) * 6 // 5 - 8)
    return np.asarray(at_tokens(normed, 0, count)[0].numpy())


@dataclass(frozen=True)
class Features:
    """Turns states into features: mean (H,) and weighted principal components (H, K) of people's states."""

    mean: Floats
    components: Floats
    basis: LipBasis

    @classmethod
    def fit(cls, states: Floats, basis: LipBasis) -> Features:
        """Find the components of states (T, H), each weighted so that its spread is the square root of what it was."""
        mean = states.mean(0)
        variances, directions = np.linalg.eigh((states - mean).T @ (states - mean) / len(states))
        return cls(mean, directions[:, -COMPONENTS:] * variances[-COMPONENTS:] ** -0.25, basis)

    def of(self, states: Floats) -> Floats:
        """Compute the features (T, D) of states (T, H), the last of which is 1."""
        read, tokens = (states - self.mean) @ self.components, np.arange(len(states))
        around = [read[(tokens + moment).clip(0, len(read) - 1)] for moment in MOMENTS]
        return np.concatenate([*around, np.ones((len(read), 1), np.float32)], 1)

    def lips(self, clip: HeardClip) -> Floats:
        """Return opening and width (N, 2)."""
        found = self.basis.coefficients(clip.shapes)
        return np.stack([found[:, -1], found @ self.basis.width_units], 1)

    def moments(self, clips: Sequence[HeardClip]) -> list[Moments]:
        """Compute the moments of each speaker."""
        found = []
        for person in sorted({clip.person for clip in clips}):
            own = [clip for clip in clips if clip.person == person]
            features = [self.of(states_of(clip)) for clip in own]
            lips = [clip.at_tokens(self.lips(clip), 0, len(f)) for clip, f in zip(own, features, strict=True)]
            x, y = np.concatenate(features), np.concatenate(lips)
            found.append(Moments(x.T @ x / len(x), x.T @ y / len(x)))
        return found

    def test_clip(self, clip: HeardClip) -> TestClip:
        """Average features over moments and interpolate them at frames, which is as good as doing so with lips."""
        features = np.pad(self.of(states_of(clip)), ((AVERAGED, AVERAGED), (0, 0)), mode="edge")
        sums = np.cumsum(np.pad(features, ((1, 0), (0, 0))), 0, dtype=np.float64)
        means = (sums[2 * AVERAGED + 1 :] - sums[: -2 * AVERAGED - 1]) / (2 * AVERAGED + 1)
        place = (np.arange(len(clip.shapes)) / clip.fps / 0.02).clip(0, len(means) - 1.001)
        low, part = place.astype(int), (place % 1)[:, None]
        return TestClip(means[low] * (1 - part) + means[low + 1] * part, self.lips(clip))


def mean_moments(speakers: Sequence[Moments], rng: np.random.Generator | None) -> Moments:
    """Average over speakers, or over as many that are drawn of them."""
    drawn = speakers if rng is None else [speakers[i] for i in rng.integers(len(speakers), size=len(speakers))]
    return Moments(sum(s.features for s in drawn) / len(drawn), sum(s.lips for s in drawn) / len(drawn))


def solved(moments: Moments, ridge: float) -> Floats:
    """Solve for the weights (D, 2) of the features; that of 1 is free."""
    penalty = np.full(len(moments.features), ridge * np.diag(moments.features)[:-1].mean())
    penalty[-1] = 0
    return np.linalg.solve(moments.features.astype(np.float64) + np.diag(penalty), moments.lips)


def scores(weights: Floats, clips: Sequence[TestClip]) -> Floats:
    """Return the correlations of opening and width (clips, 2)."""
    read = [(clip.features @ weights, clip.lips) for clip in clips]
    return np.array([[best_lag(found[:, k], truth[:, k]) for k in (0, 1)] for found, truth in read])


@dataclass(frozen=True)
class Question:
    """People's moments, voices' moments by name (none: no voices), test clips by name, and the voices' share."""

    people: Sequence[Moments]
    voices: Mapping[str, Sequence[Moments]]
    tests: Mapping[str, Sequence[TestClip]]
    share: float

    def weights(self, name: str, ridge: float, seed: int | None = None) -> Floats:
        """Solve with the voices of one name; with a seed, people and voices are drawn anew, people first."""
        rng = None if seed is None else np.random.default_rng(seed)
        moments, voices = mean_moments(self.people, rng), self.voices[name]
        return solved(moments.mixed(mean_moments(voices, rng), self.share) if voices else moments, ridge)

    def scores(self, name: str, ridge: float, seed: int | None = None) -> list[Floats]:
        """Score with the voices of one name, for each test and clip."""
        weights = self.weights(name, ridge, seed)
        return [scores(weights, clips) for clips in self.tests.values()]

    def best_ridge(self, name: str) -> float:
        """Return the ridge that is best for the first test, which is for validation."""
        first = next(iter(self.tests.values()))
        return max(RIDGES, key=lambda ridge: float(scores(self.weights(name, ridge), first).mean()))

    def added(self, ridges: Mapping[str, float], against: str) -> dict[str, Floats]:
        """Return what the voices of each name add (resamples, tests, 2) to what those of one name do."""
        added: dict[str, list[Floats]] = {name: [] for name in self.voices if name != against}
        for seed in range(RESAMPLES):
            rng = np.random.default_rng(seed)
            drawn = [rng.integers(len(clips), size=len(clips)) for clips in self.tests.values()]
            without = self.scores(against, ridges[against], seed)
            for name, rows in added.items():
                pairs = zip(self.scores(name, ridges[name], seed), without, drawn, strict=True)
                rows.append(np.array([(a - b)[clips].mean(0) for a, b, clips in pairs]))
        return {name: np.array(rows) for name, rows in added.items()}


def answer(question: Question, lengths: Mapping[str, float], against: str) -> None:
    """Print both tables."""
    ridges = {name: question.best_ridge(name) for name in question.voices}
    heading, lines = [f"{name}: opening, width" for name in question.tests], []
    for name, ridge in ridges.items():
        cells = [f"{o:.3f}, {w:.3f}" for o, w in (found.mean(0) for found in question.scores(name, ridge))]
        lines.append([name, f"{lengths[name]:.1f}", f"{ridge:g}", *cells])
    print_table(["voices", "minutes", "ridge", *heading], lines)
    lines = []
    for name, rows in question.added(ridges, against).items():
        values = zip(rows.mean(0), rows.std(0, ddof=1), strict=True)
        lines.append([name, *[", ".join(f"{m:+.3f} ± {s:.3f}" for m, s in zip(*cell, strict=True)) for cell in values]])
    print_table([f"more than {against}", *heading], lines)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("moonshine", metavar="MOONSHINE")
    parser.add_argument("--train", action="append", required=True, metavar="NAME=DATASET")
    parser.add_argument("--test", action="append", required=True, metavar="NAME=DATASET", help="first: for validation")
    parser.add_argument("--voices", action="append", required=True, metavar="NAME=FOLDER[:SPOKEN_BY]")
    parser.add_argument("--voice-share", type=float, default=VOICE_SHARE, help="of what is learned from")
    parser.add_argument("--against", default="none", metavar="NAME", help="voices that the second table compares with")
    options = parser.parse_args()
    frozen = frozen_predictor(options.moonshine)
    learn = [clip for folder in parse_named(options.train).values() for clip in heard_clips(folder, frozen)]
    voices: dict[str, list[HeardClip]] = {"none": []}
    for name, value in parse_named(options.voices).items():
        folder, _, spoken_by = value.partition(":")
        voices[name] = heard_voices(Path(folder), frozen, spoken_by)
    tests = {name: heard_clips(folder, frozen) for name, folder in parse_named(options.test).items()}
    answer(*asked(learn, voices, tests, options.voice_share), options.against)


def asked(
    learn: Sequence[HeardClip],
    voices: Mapping[str, Sequence[HeardClip]],
    tests: Mapping[str, Sequence[HeardClip]],
    share: float,
) -> tuple[Question, dict[str, float]]:
    """Compute the moments and features of all clips, and how many minutes the voices speak."""
    states = np.concatenate([states_of(clip)[::3] for clip in learn])
    features = Features.fit(states, LipBasis.fit([clip.shapes for clip in learn]))
    question = Question(
        features.moments(learn),
        {name: features.moments(clips) for name, clips in voices.items()},
        {name: [features.test_clip(clip) for clip in clips] for name, clips in tests.items()},
        share,
    )
    return question, {name: minutes(clips) for name, clips in voices.items()}


if __name__ == "__main__":
    main()
