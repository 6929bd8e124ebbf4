"""How much of the lips can be heard linearly: features of speech against the measured opening, and how that scales.

    python runs/hearing.py --speech WHISPER --train PEOPLE --train S1 --test strangers=CLIPS [--test ...] -o out/hearing

WHISPER is a hub id or a folder (`runs/whisper_from_smart_turn.py`), the rest are prepared datasets. A ridge regression
from each feature within 0.12 s (log-mel and loudness: 0.2 s) to the opening above its resting value; people are
weighted by the root of their footage; of one folder's clips with one person every fourth is taken. Printed:
correlation over each test clip, mean over clips. Written: scaling.json and scaling.png, layer 2 from fewer clips.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from transformers import WhisperFeatureExtractor

from dithead.models.pretrained import load_whisper
from dithead.prepare.dataset import Clip, Dataset
from dithead.train.data.lip_basis import lip_shapes

mpl.use("Agg")
import matplotlib.pyplot as plt

Array = np.ndarray[Any, np.dtype[np.float32]]
RIDGE, SCALED = 0.3, "layer 2"


@dataclass(eq=False)
class Item:
    """A clip: whose, its opening (N,), and what was heard at each of its frames, by kind of feature."""

    who: str
    opening: Array
    heard: dict[str, Array]


def at_frames(features: Array, rate: float, count: int, around: Array) -> Array:
    """Features (T, F) at ``rate`` a second, at moments ``around`` (K,) of ``count`` frames of 25 a second: (N, K F)."""
    moments = np.clip((np.arange(count)[:, None] / 25 + around) * rate, 0, len(features) - 1)
    low = np.floor(moments).astype(int)
    part = (moments - low)[..., None]
    rows = features[low] * (1 - part) + features[np.minimum(low + 1, len(features) - 1)] * part
    return rows.reshape(count, -1).astype(np.float32)


@torch.no_grad()
def listen(clip: Clip, whisper: Any, extractor: Any) -> Item:
    """A clip of at most 8 s; silence stands before it, as Smart Turn has it."""
    seconds = 8
    wave = np.asarray(clip.audio(), np.float32)[: seconds * 16000]
    full = np.pad(wave, (seconds * 16000 - len(wave), 0))
    mel = extractor(full, sampling_rate=16000, return_tensors="pt", padding=False, do_normalize=True).input_features
    states = whisper(mel, output_hidden_states=True)
    layers = [*states.hidden_states[:-1], states.last_hidden_state]
    opening = lip_shapes(clip.track().landmarks)[: seconds * 25, -1]
    near, wide, tokens = np.arange(-2, 3) * 0.06, np.arange(-10, 11) * 0.02, -(-len(wave) // 320)
    log_mel = mel[0].T.numpy()[-2 * tokens :]
    heard = {"loudness": at_frames(log_mel.mean(1, keepdims=True), 100, len(opening), wide),
             "log-mel": at_frames(log_mel, 100, len(opening), wide)}  # fmt: skip
    for number, layer in enumerate(layers):
        name = f"layer {number}" if number else "convolutions"
        heard[name] = at_frames(layer[0].numpy()[-tokens:], 50, len(opening), near)
    return Item(clip.identity, opening, heard)


def fitted(items: list[Item], tests: dict[str, list[Item]], kind: str) -> dict[str, float]:
    """Mean correlation over the clips of each test set."""
    footage = Counter(item.who for item in items)
    x = np.concatenate([item.heard[kind] for item in items]).astype(np.float64)
    y = np.concatenate([item.opening - np.quantile(item.opening, 0.25) for item in items])
    w = np.concatenate([np.full(len(item.opening), footage[item.who] ** -0.5) for item in items])
    mean, spread = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / spread
    gram = (x * w[:, None]).T @ x + RIDGE * w.sum() * np.eye(x.shape[1])
    solved = np.linalg.solve(gram, (x * w[:, None]).T @ (y - np.average(y, weights=w)))

    def right(item: Item) -> float:
        return float(np.corrcoef((item.heard[kind] - mean) / spread @ solved, item.opening)[0, 1])

    return {name: float(np.mean([right(item) for item in clips])) for name, clips in tests.items()}


def scaling(items: list[Item], tests: dict[str, list[Item]]) -> list[tuple[int, int, dict[str, float]]]:
    """(people, clips, scores) of layer 2 from random parts of the training clips, three of each size."""
    draw, made = random.Random(0), []
    for count in (3, 6, 12, 24, 48, 96):
        for part in (draw.sample(items, min(count, len(items))) for _ in range(3)):
            made.append((len({item.who for item in part}), len(part), fitted(part, tests, SCALED)))
    return made


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--speech", required=True)
    told.add_argument("--train", action="append", required=True)
    told.add_argument("--test", action="append", required=True, metavar="NAME=DATASET")
    told.add_argument("-o", type=Path, required=True)
    options = told.parse_args()
    whisper, extractor = load_whisper(options.speech), WhisperFeatureExtractor(feature_size=80, chunk_length=8)
    folders = [Dataset(folder).clips("train") for folder in options.train]
    train = [clip for clips in folders for clip in clips[:: 4 if len({c.identity for c in clips}) == 1 else 1]]
    items = [listen(clip, whisper, extractor) for clip in train]
    named = (test.split("=", 1) for test in options.test)
    tests = {name: [listen(clip, whisper, extractor) for clip in Dataset(folder).clips()] for name, folder in named}
    print("| features |", *(f"{name} |" for name in tests))
    for kind in items[0].heard:
        print(f"| {kind} |", *(f"{score:.2f} |" for score in fitted(items, tests, kind).values()), flush=True)
    options.o.mkdir(parents=True, exist_ok=True)
    made = scaling(items, tests)
    (options.o / "scaling.json").write_text(json.dumps(made, indent=1))
    figure, axes = plt.subplots(1, len(tests), figsize=(3.6 * len(tests), 3.2), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], tests, strict=True):
        axis.semilogx([clips for _, clips, _ in made], [scores[name] for *_, scores in made], "o")
        axis.set(title=name, xlabel="training clips")
    figure.savefig(options.o / "scaling.png", bbox_inches="tight")
    print(f"look at {options.o / 'scaling.png'}")


if __name__ == "__main__":
    main()
