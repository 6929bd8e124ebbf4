"""How well a model hears the lips: the opening that it is told, against the measured one.

    python runs/told.py small out/model --test grid=DATASET --test talkvid=DATASET

DATASETs are prepared with `--no-correct-offset --min-confidence 0`, so that every clip is as it came. Printed for each
model and set: correlation at lag 0, at each clip's best lag within 3 frames, and the spread told over the true one
before a person's own sound corrects it; means over clips. Then every clip's correlation.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from dithead.checkpoint import load_model
from dithead.models.talking_head import TalkingHead
from dithead.prepare.dataset import Clip, Dataset
from dithead.train.data.lip_basis import lip_shapes

LAGS = range(-3, 4)
_AT_ONCE = 64
Array = np.ndarray[Any, np.dtype[np.float64]]


@torch.inference_mode()
def told(talker: TalkingHead, clip: Clip) -> Array:
    """The opening (N,) that ``talker`` hears at each frame, in distances between the outer eye corners."""
    features = talker.audio.features(torch.from_numpy(np.asarray(clip.audio(), np.float32)))
    parts = (torch.arange(clip.length) / clip.fps).split(_AT_ONCE)
    lips = [talker.tokens_and_lips(features, times)[1] for times in parts]
    opening = torch.cat([part[:, -1] for part in lips if part is not None])
    return opening.double().numpy() * talker.config.opening_unit


def correlation(heard: Array, seen: Array, lag: int = 0) -> float:
    """Of what is heard with what is seen ``lag`` frames later."""
    n = len(seen)
    return float(np.corrcoef(heard[max(0, -lag) : n - max(0, lag)], seen[max(0, lag) : n - max(0, -lag)])[0, 1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("models", nargs="+")
    options.add_argument("--test", action="append", required=True, metavar="NAME=DATASET")
    given = options.parse_args()
    print("| model | clips of | r at lag 0 | at the best lag | gain |\n| --- | --- | ---: | ---: | ---: |")
    every = []
    for name in given.models:
        talker = load_model(name)
        for test in given.test:
            label, folder = test.split("=", 1)
            clips = Dataset(folder).clips()
            pairs = [(told(talker, clip), lip_shapes(clip.track().landmarks)[:, -1].astype(float)) for clip in clips]
            r = [correlation(*pair) for pair in pairs]
            best = [max(correlation(*pair, lag) for lag in LAGS) for pair in pairs]
            gain = [heard.std() / seen.std() for heard, seen in pairs]
            print(f"| {name} | {label} | {np.mean(r):.3f} | {np.mean(best):.3f} | {np.mean(gain):.2f} |", flush=True)
            every.append(f"{name}, {label}: " + ", ".join(f"{c.id} {x:.2f}" for c, x in zip(clips, r, strict=True)))
    print("\n" + "\n".join(every))


if __name__ == "__main__":
    main()
