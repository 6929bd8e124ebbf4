"""Do rendered mouths move like real ones, and does a face tracker see what is true of them?

    python experiments/synth_mouth_motion.py --corpus RAW_SYNTH --dataset PREPARED_SYNTH --real PREPARED [--real ...] --plot PNG

RAW_SYNTH is a folder of `dithead synth`, PREPARED_SYNTH what `dithead prepare` made of it. Apertures only: no picture
is read. Apertures are relative to the distance of the outer eye corners, speeds per second.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_aperture
from dithead.prepare.dataset import Clip, Dataset

Curve = NDArray[np.float64]
QUANTILES = (0.5, 0.9, 0.99)
SHUT = 0.0075  # below, lips are called shut: the first column of the plot


def measured(clip: Clip) -> Curve:
    """The tracker's aperture (N,) of every frame."""
    return np.array([lip_aperture(frame) for frame in clip.track().landmarks], np.float64)


def by_person(dataset: str) -> dict[str, list[Curve]]:
    """Curves of each person of a dataset."""
    people: dict[str, list[Curve]] = defaultdict(list)
    for clip in Dataset(dataset).clips():
        people[f"{dataset}/{clip.identity}"].append(measured(clip))
    return people


def speeds(curves: list[Curve], fps: float = 25.0) -> Curve:
    """Absolute change per second between frames."""
    return np.concatenate([np.abs(np.diff(curve)) * fps for curve in curves])


def dynamics(people: dict[str, list[Curve]]) -> Curve:
    """Mean over people of the share of shut frames and the quantiles of aperture and speed: (7,)."""
    rows = []
    for curves in people.values():
        every = np.concatenate(curves)
        rows.append([(every < SHUT).mean(), *np.quantile(every, QUANTILES), *np.quantile(speeds(curves), QUANTILES)])
    return np.asarray(np.mean(rows, axis=0))


def agreement(corpus: Path, dataset: str) -> None:
    """Print how the tracker agrees with the truth."""
    found, total, rows = 0, 0, []
    for clip in Dataset(dataset).clips():
        with np.load(corpus / clip.identity / "truth.npz") as truth:
            exact = truth["aperture"].astype(np.float64)
        track, seen = clip.track(), measured(clip)
        n = min(len(seen), len(exact))
        found, total = found + int(track.valid[:n].sum()), total + n
        if exact[:n].std() > 0.01:  # a silent mouth has nothing to correlate
            rows.append([np.corrcoef(np.roll(exact[:n], k)[5:-5], seen[5 : n - 5])[0, 1] for k in range(-3, 4)])
    r = np.array(rows)
    print(f"face found: {found} of {total} frames, {100 * found / total:.2f} %")
    print(f"correlation of apertures over {len(r)} clips that speak: median {np.median(r[:, 3]):.3f}, "
          f"mean {r[:, 3].mean():.3f}, 5th percentile {np.quantile(r[:, 3], 0.05):.3f}")  # fmt: skip
    print(f"lag 0 is the best of -3 to 3 frames in {(r.argmax(1) == 3).sum()} of {len(r)}")


def exact_curves(corpus: Path) -> dict[str, list[Curve]]:
    """The true apertures."""
    paths = sorted(corpus.glob("*/truth.npz"))
    return {path.parent.name: [np.load(path)["aperture"].astype(np.float64)] for path in paths}


def plot(groups: dict[str, dict[str, list[Curve]]], path: Path) -> None:
    """Distributions of aperture and speed, each group's people weighing the same."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), dpi=110)
    for (name, people), colour in zip(groups.items(), ("#333333", "#c4441c", "#2b6cb0"), strict=False):
        for axis, edges, values in (
            (left, np.linspace(0, 0.3, 41), [np.concatenate(c) for c in people.values()]),
            (right, np.linspace(0, 4, 41), [speeds(c) for c in people.values()]),
        ):
            share = np.mean([np.histogram(v, edges)[0] / len(v) for v in values], axis=0)
            axis.step((edges[1:] + edges[:-1]) / 2, share, where="mid", color=colour, label=name)
    left.set(xlabel="opening of the lips / eye distance", ylabel="share of frames", yscale="log")
    right.set(xlabel="speed of the opening, per second", yscale="log")
    left.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--real", action="append", required=True)
    parser.add_argument("--plot", type=Path, required=True)
    args = parser.parse_args()
    agreement(args.corpus, args.dataset)
    real = {who: curves for dataset in args.real for who, curves in by_person(dataset).items()}
    groups = {"real, tracked": real, "synthetic, tracked": by_person(args.dataset),
              "synthetic, exact": exact_curves(args.corpus)}  # fmt: skip
    print("| | shut | median | 90 % | 99 % | speed, median | speed 90 % | speed 99 % |" + "\n" + "|---" * 8 + "|")
    for name, people in groups.items():
        print(f"| {name} ({len(people)} people) | " + " | ".join(f"{v:.3f}" for v in dynamics(people)) + " |")
    plot(groups, args.plot)


if __name__ == "__main__":
    main()
