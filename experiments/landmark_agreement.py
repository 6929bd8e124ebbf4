"""How far are our landmarks from MediaPipe's, in one region of interest and while tracking?

It draws docs/images/landmark_agreement.svg from the landmarks of MediaPipe 0.10.21 that the tests keep
(``tests/face/data``): the first frames of each presenter.

    pip install matplotlib && python experiments/landmark_agreement.py OUT.svg
"""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.face.landmarks import FaceLandmarker
from dithead.face.networks.face_model import FaceModel
from dithead.media.video import read_frames
from shared import make_parser

ROOT = Path(__file__).parents[1]
STORED = ROOT / "tests" / "face" / "data" / "mediapipe_landmarks.npz"
EDGES = np.array([0, 0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2])
"""Pixels, the edges of the bars."""

Distances = NDArray[np.float64]


def same_region(frames: list[NDArray[np.uint8]], truth: NDArray[np.float32]) -> Distances:
    """Return distances (n,) in x and y where each region of interest follows from MediaPipe's landmarks before."""
    model, size = FaceModel(0.5, 0.5), np.array([frames[0].shape[1], frames[0].shape[0], frames[0].shape[1]])
    found = []
    for frame, (before, after) in zip(frames[1:], pairwise(truth), strict=False):
        points = model.locate(frame, model.next_region((before / size).astype(np.float32), frame))
        assert points is not None
        found.append(np.abs(points * size - after)[:, :2])
    return np.concatenate(found).ravel()


def tracked(frames: list[NDArray[np.uint8]], truth: NDArray[np.float32]) -> Distances:
    """Return distances (n,) in x and y where each region of interest follows from our own landmarks before."""
    with FaceLandmarker() as landmarker:
        found = [landmarker.track(frame) for frame in frames]
    pairs = [(ours, theirs) for ours, theirs in zip(found, truth, strict=False) if ours is not None]
    assert len(pairs) == len(truth), "a face that MediaPipe finds is lost"
    return np.concatenate([np.abs(ours - theirs)[:, :2] for ours, theirs in pairs]).ravel()


def main() -> None:
    """Measure both and draw the histogram."""
    parser = make_parser(__doc__)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    kinds: dict[str, list[Distances]] = {"the same region of interest": [], "tracked": []}
    with np.load(STORED) as stored:
        for path in sorted((ROOT / "examples" / "presenters").glob("*.mp4")):
            truth = stored[f"{path.stem}/tracked"]
            frames = [np.ascontiguousarray(frame.pixels) for frame in islice(read_frames(path), len(truth))]
            for kind, measure in zip(kinds, (same_region, tracked), strict=True):
                kinds[kind].append(measure(frames, truth))
    draw({kind: np.concatenate(parts) for kind, parts in kinds.items()}, output)


def draw(kinds: dict[str, Distances], output: Path) -> None:
    """Draw and print how many coordinates lie how far apart."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "dithead"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3))
    labels = [f"≤ {edge:g}" for edge in EDGES[1:]]
    for k, (kind, distances) in enumerate(kinds.items()):
        shares = np.histogram(distances, EDGES)[0] / len(distances)
        axes.bar(np.arange(len(labels)) + 0.4 * k - 0.2, shares, 0.4, label=f"{kind}: mean {distances.mean():.5f} px")
        print(f"{kind}: mean {distances.mean():.5f}, largest {distances.max():.3f} px of {len(distances)}")
    axes.set_xticks(range(len(labels)), labels)
    axes.set(xlabel="distance of a coordinate from MediaPipe's, pixels", ylabel="share of coordinates")
    axes.legend()
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})


if __name__ == "__main__":
    main()
