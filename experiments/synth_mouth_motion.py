"""Do rendered mouths move like real ones, and does the face tracker agree with their exact truth?

It makes the tables of lip openings, lip widths and their speeds, the plot, and the figures on the tracker, in
docs/results/synth.md.

    python experiments/synth_mouth_motion.py --corpus RAW_SYNTH --dataset PREPARED_SYNTH --real PREPARED [--real ...] \\
        --plot PLOT.png

RAW_SYNTH is a folder of `dithead synth`, PREPARED_SYNTH what `dithead prepare` made of it. Lip openings and widths
(distances of the lips' corners) are relative to the distance of the outer eye corners, widths also to the person's own
median; speeds are per second. Letters: N frames.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import MOUTH_LEFT, MOUTH_RIGHT
from dithead.prepare.dataset import Clip
from shared import FPS, load_clips, make_parser, print_table

Curve = NDArray[np.float64]
QUANTILES = (0.5, 0.9, 0.99)
WIDTH_QUANTILES = (0.01, 0.05, 0.95, 0.99)
CLOSED = 0.015  # eye distances: an opening that falls below begins a closure
SHUT = 0.0075  # eye distances; below, lips are called shut. It is the first bin of the plot.
MOVES = 0.01  # deviation of the exact opening above which a clip speaks, so that there is something to correlate
LAGS = range(-3, 4)  # frames


@dataclass(frozen=True)
class Lips:
    """The lips in one clip: openings (N,), and widths (N,) less the clip's median."""

    opening: Curve
    width: Curve


Group = dict[str, list[Lips]]  # person -> the lips in each clip


def tracked_lips(clip: Clip) -> Lips:
    """Measure the lips by the tracker's landmarks."""
    landmarks = clip.track().landmarks
    width = np.array([lip_width(frame) for frame in landmarks], np.float64)
    return Lips(np.array([lip_opening(frame) for frame in landmarks], np.float64), width - np.median(width))


def exact_lips(path: Path) -> Lips:
    """Read the lips of a rendered clip from its ``truth.npz``."""
    with np.load(path) as truth:
        landmarks, eyes = truth["landmarks"], truth["eyes"].astype(np.float64)
        opening = truth["aperture"].astype(np.float64)
    width = np.linalg.norm(landmarks[:, MOUTH_LEFT] - landmarks[:, MOUTH_RIGHT], axis=1)
    width = width / np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1)
    return Lips(opening, width - np.median(width))


def tracked_group(dataset: str) -> Group:
    """Return the tracked lips of each person of a dataset."""
    people: Group = defaultdict(list)
    for clip in load_clips(dataset):
        people[f"{dataset}/{clip.identity}"].append(tracked_lips(clip))
    return people


def exact_group(corpus: Path) -> Group:
    """Return the exact lips of each rendered person."""
    return {path.parent.name: [exact_lips(path)] for path in sorted(corpus.glob("*/truth.npz"))}


def speeds(curves: list[Curve]) -> Curve:
    """Return the absolute changes per second between frames."""
    return np.concatenate([np.abs(np.diff(curve)) * FPS for curve in curves])


def describe(group: Group) -> Curve:
    """Return (7,), means over people: share of shut frames, quantiles of the opening, and of its speed."""
    people = []
    for clips in group.values():
        opening = np.concatenate([clip.opening for clip in clips])
        speed = speeds([clip.opening for clip in clips])
        quantiles = (*np.quantile(opening, QUANTILES), *np.quantile(speed, QUANTILES))
        people.append([(opening < SHUT).mean(), *quantiles])
    return np.asarray(np.mean(people, axis=0))


def describe_width(group: Group) -> Curve:
    """Return (9,), means over people.

    Spread of the width, its quantiles and those of its speed, its correlation with the opening, and closures a second.
    """
    people = []
    for clips in group.values():
        opening, width = (np.concatenate([getattr(clip, name) for clip in clips]) for name in ("opening", "width"))
        speed = np.quantile(speeds([clip.width for clip in clips]), QUANTILES[:2])
        begun = sum(int(((o[1:] < CLOSED) & (o[:-1] >= CLOSED)).sum()) for o in (clip.opening for clip in clips))
        together = np.corrcoef(opening, width)[0, 1] if opening.std() > MOVES else np.nan
        spread = (width.std(), *np.quantile(width, WIDTH_QUANTILES))
        people.append([*spread, *speed, together, begun / len(opening) * FPS])
    return np.asarray(np.nanmean(people, axis=0))


def print_agreement(corpus: Path, dataset: str) -> None:
    """Print how the tracker agrees with the exact truth."""
    found, total, correlations = 0, 0, []
    for clip in load_clips(dataset):
        with np.load(corpus / clip.identity / "truth.npz") as truth:
            exact = truth["aperture"].astype(np.float64)
        track, tracked = clip.track(), tracked_lips(clip).opening
        n = min(len(tracked), len(exact))
        found, total = found + int(track.valid[:n].sum()), total + n
        if exact[:n].std() > MOVES:
            shifted = [np.roll(exact[:n], lag)[5:-5] for lag in LAGS]
            correlations.append([np.corrcoef(curve, tracked[5 : n - 5])[0, 1] for curve in shifted])
    r, zero = np.array(correlations), LAGS.index(0)
    print(f"face found: {found} of {total} frames, {100 * found / total:.2f} %")
    print(f"correlation of openings over {len(r)} clips that speak: median {np.median(r[:, zero]):.3f}, "
          f"mean {r[:, zero].mean():.3f}, 5th percentile {np.quantile(r[:, zero], 0.05):.3f}")  # fmt: skip
    print(f"lag 0 is the best of -3 to 3 frames in {(r.argmax(1) == zero).sum()} of {len(r)} clips\n")


def plot(groups: dict[str, Group], path: Path) -> None:
    """Plot the distributions of opening and speed; every person of a group weighs the same."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), dpi=110)
    for (name, group), colour in zip(groups.items(), ("#333333", "#c4441c", "#2b6cb0"), strict=False):
        for axis, edges, values in (
            (left, np.linspace(0, 0.3, 41), [np.concatenate([c.opening for c in clips]) for clips in group.values()]),
            (right, np.linspace(0, 4, 41), [speeds([c.opening for c in clips]) for clips in group.values()]),
        ):
            share = np.mean([np.histogram(v, edges)[0] / len(v) for v in values], axis=0)
            axis.step((edges[1:] + edges[:-1]) / 2, share, where="mid", color=colour, label=name)
    left.set(xlabel="opening of the lips / eye distance", ylabel="share of frames", yscale="log")
    right.set(xlabel="speed of the opening, per second", yscale="log")
    left.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True, metavar="RAW_SYNTH")
    parser.add_argument("--dataset", required=True, metavar="PREPARED_SYNTH")
    parser.add_argument("--real", action="append", required=True, metavar="PREPARED")
    parser.add_argument("--plot", type=Path, required=True, metavar="PNG")
    options = parser.parse_args()
    print_agreement(options.corpus, options.dataset)
    real = {person: curves for dataset in options.real for person, curves in tracked_group(dataset).items()}
    groups = {"real, tracked": real, "synthetic, tracked": tracked_group(options.dataset),
              "synthetic, exact": exact_group(options.corpus)}  # fmt: skip
    heading = ["mouths", "shut", "median", "90 %", "99 %", "speed, median", "speed 90 %", "speed 99 %"]
    widths = ["mouths", "spread of the width", "1 %", "5 %", "95 %", "99 %", "speed, median", "speed 90 %",
              "correlation with the opening", "closures a second"]  # fmt: skip
    for columns, described in ((heading, describe), (widths, describe_width)):
        rows = [[f"{name} ({len(group)} people)", *(f"{v:.3f}" for v in described(group))]
                for name, group in groups.items()]  # fmt: skip
        print_table(columns, rows)
    plot(groups, options.plot)


if __name__ == "__main__":
    main()
