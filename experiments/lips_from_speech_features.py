"""How much of the lip opening can be predicted linearly from speech features, and how does that scale with data?

It makes the figures on log-mel and every layer of Whisper tiny in docs/log/2026-11.md.

    python experiments/lips_from_speech_features.py --speech WHISPER --train PEOPLE --train S1 \\
        --test strangers=CLIPS [--test ...] -o out/features

WHISPER is a hub id or a folder (see experiments/whisper_from_smart_turn.py), the others are prepared datasets. A ridge
regression goes from each feature within 0.12 s (log-mel and loudness: 0.2 s) of a frame to the opening above its
resting value; people are weighted by the root of their footage; where a dataset has only one person, every fourth clip
is taken. Printed: correlation over each test clip, mean over clips. Written: scaling.json and scaling.png, layer 2
from fewer clips. Letters: T feature steps, F features, N frames, K moments around a frame.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dithead.models.pretrained import load_whisper
from dithead.prepare.dataset import Clip
from dithead.train.data.lip_basis import lip_shapes
from shared import FPS, RATE, load_clips, make_parser, parse_named, print_table

Array = np.ndarray[Any, np.dtype[np.float32]]
RIDGE = 0.3
SCALED = "layer 2"  # the feature that is fitted from fewer clips
SECONDS = 8  # of a clip at most; Smart Turn's Whisper takes that much, and expects silence before shorter sound
TRAINING_CLIPS = (3, 6, 12, 24, 48, 96)


@dataclass(eq=False)
class Sample:
    """One clip: whose it is, its lip opening (N,), and its speech features by name, each (N, K F)."""

    person: str
    opening: Array
    features: dict[str, Array]


def at_frames(features: Array, rate: float, count: int, around: Array) -> Array:
    """Interpolate features at moments around each frame.

    Args:
        features: Features (T, F).
        rate: How many of them there are in a second.
        count: Number N of frames at 25 per second.
        around: Moments (K,) relative to the frame in seconds.

    Returns:
        (N, K F).
    """
    moments = np.clip((np.arange(count)[:, None] / FPS + around) * rate, 0, len(features) - 1)
    low = np.floor(moments).astype(int)
    part = (moments - low)[..., None]
    mixed = features[low] * (1 - part) + features[np.minimum(low + 1, len(features) - 1)] * part
    return mixed.reshape(count, -1).astype(np.float32)


@torch.no_grad()
def extract(clip: Clip, whisper: Any, extractor: Any) -> Sample:
    """Compute the speech features and the lip opening of a clip's first eight seconds."""
    wave = np.asarray(clip.audio(), np.float32)[: SECONDS * RATE]
    full = np.pad(wave, (SECONDS * RATE - len(wave), 0))
    mel = extractor(full, sampling_rate=RATE, return_tensors="pt", padding=False, do_normalize=True).input_features
    states = whisper(mel, output_hidden_states=True)
    layers = [*states.hidden_states[:-1], states.last_hidden_state]
    opening = lip_shapes(clip.track().landmarks)[: SECONDS * FPS, -1]
    near, wide, tokens = np.arange(-2, 3) * 0.06, np.arange(-10, 11) * 0.02, -(-len(wave) // 320)
    log_mel = mel[0].T.numpy()[-2 * tokens :]
    features = {"loudness": at_frames(log_mel.mean(1, keepdims=True), 100, len(opening), wide),
                "log-mel": at_frames(log_mel, 100, len(opening), wide)}  # fmt: skip
    for number, layer in enumerate(layers):
        name = f"layer {number}" if number else "convolutions"
        features[name] = at_frames(layer[0].numpy()[-tokens:], 50, len(opening), near)
    return Sample(clip.identity, opening, features)


def fit(samples: list[Sample], tests: dict[str, list[Sample]], name: str) -> dict[str, float]:
    """Fit a ridge regression from one feature; return the mean correlation over the clips of each test set."""
    footage = Counter(sample.person for sample in samples)
    x = np.concatenate([sample.features[name] for sample in samples]).astype(np.float64)
    y = np.concatenate([sample.opening - np.quantile(sample.opening, 0.25) for sample in samples])
    w = np.concatenate([np.full(len(sample.opening), footage[sample.person] ** -0.5) for sample in samples])
    mean, spread = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / spread
    gram = (x * w[:, None]).T @ x + RIDGE * w.sum() * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, (x * w[:, None]).T @ (y - np.average(y, weights=w)))

    def correlation(sample: Sample) -> float:
        return float(np.corrcoef((sample.features[name] - mean) / spread @ weights, sample.opening)[0, 1])

    return {test: float(np.mean([correlation(sample) for sample in samples])) for test, samples in tests.items()}


def fit_fewer(samples: list[Sample], tests: dict[str, list[Sample]]) -> list[tuple[int, int, dict[str, float]]]:
    """Return (people, clips, correlations) of fits to random parts of the training clips, three of each size."""
    draw, fits = random.Random(0), []
    for count in TRAINING_CLIPS:
        for part in (draw.sample(samples, min(count, len(samples))) for _ in range(3)):
            fits.append((len({sample.person for sample in part}), len(part), fit(part, tests, SCALED)))
    return fits


def plot(fits: list[tuple[int, int, dict[str, float]]], tests: list[str], path: Path) -> None:
    """Draw correlation over the number of training clips, one plot for each test set."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(tests), figsize=(3.6 * len(tests), 3.2), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], tests, strict=True):
        axis.semilogx([clips for _, clips, _ in fits], [scores[name] for *_, scores in fits], "o")
        axis.set(title=name, xlabel="training clips")
    figure.savefig(path, bbox_inches="tight")


def training_clips(dataset: str) -> list[Clip]:
    """List the training clips of a dataset, every fourth where they show only one person."""
    clips = load_clips(f"{dataset}:train")
    return clips[:: 4 if len({clip.identity for clip in clips}) == 1 else 1]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--speech", required=True, metavar="WHISPER", help="hub id or folder of a Whisper")
    parser.add_argument("--train", action="append", required=True, metavar="DATASET")
    parser.add_argument("--test", action="append", required=True, metavar="NAME=DATASET")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for scaling.json and scaling.png")
    options = parser.parse_args()
    from transformers import WhisperFeatureExtractor

    whisper, extractor = load_whisper(options.speech), WhisperFeatureExtractor(feature_size=80, chunk_length=SECONDS)
    samples = [extract(clip, whisper, extractor) for dataset in options.train for clip in training_clips(dataset)]
    tests = {name: [extract(clip, whisper, extractor) for clip in load_clips(folder)]
             for name, folder in parse_named(options.test).items()}  # fmt: skip
    lines = []
    for name in samples[0].features:
        lines.append([name, *(f"{score:.2f}" for score in fit(samples, tests, name).values())])
    print_table(["features", *tests], lines)
    options.output.mkdir(parents=True, exist_ok=True)
    fits = fit_fewer(samples, tests)
    (options.output / "scaling.json").write_text(json.dumps(fits, indent=1))
    plot(fits, list(tests), options.output / "scaling.png")
    print(options.output / "scaling.png")


if __name__ == "__main__":
    main()
