"""Where brows lie, how bright eyes are and what colour skin has: synthetic people beside real ones, as a table.

    python experiments/synth_appearance.py synthetic=PREPARED_SYNTH real=PREPARED [real=PREPARED ...]

One frame of each person, by the tracker's landmarks in the prepared crop: median and, in brackets, 5 % to 95 % of the
people. Lengths are in distances between the outer eye corners; the eyes' brightness is relative to the cheeks'.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.media.video import read_frames
from dithead.prepare.dataset import Clip, Dataset

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]
# FaceMesh's points of both sides: eyes' corners and lids, brows' arch, inner and outer ends, cheeks, forehead.
LIDS, ARCH, INNER, OUTER = (159, 145, 386, 374), (105, 334), (107, 336), (46, 276)
PLAIN = ((50, 101), (280, 330), (151, 9))
COLUMNS = ("brows' height", "brows' slant", "eyes' brightness", "skin's hue, degrees", "saturation", "value")


def people(dataset: str) -> Iterator[Clip]:
    """The first clip of each identity."""
    seen: set[str] = set()
    for clip in Dataset(dataset).clips():
        if clip.identity not in seen:
            seen.add(clip.identity)
            yield clip


def around(picture: Picture, points: Points, radius: float) -> NDArray[np.float64]:
    """Pixels (P, 3) of the square around the points' mean."""
    (x, y), r = points.mean(axis=0).astype(int), max(round(radius), 2)
    return picture[max(y - r, 0) : y + r, max(x - r, 0) : x + r].reshape(-1, 3).astype(np.float64)


def look(clip: Clip) -> list[float]:
    """The columns' values."""
    landmarks = clip.track().landmarks[..., :2].astype(np.float64)
    middle, at = np.median(landmarks, axis=0), len(landmarks) // 3
    picture = next(frame.pixels for i, frame in enumerate(read_frames(clip.folder / "crop.mp4")) if i == at)
    points, wide = landmarks[at], float(np.linalg.norm(middle[33] - middle[263]))
    height = (middle[[LIDS[0], LIDS[2]], 1] - middle[list(ARCH), 1]).mean() / wide
    slant = (middle[list(INNER), 1] - middle[list(OUTER), 1]).mean() / wide
    skin = np.concatenate([around(picture, points[list(place)], 0.06 * wide) for place in PLAIN]).mean(axis=0)
    eyes = np.concatenate([around(picture, points[list(LIDS[i : i + 2])], 0.05 * wide) for i in (0, 2)])
    hsv = cv2.cvtColor(np.float32(skin[None, None] / 255), cv2.COLOR_RGB2HSV)[0, 0]
    return [height, slant, eyes.mean() / skin.mean(), *map(float, hsv)]


def table(groups: dict[str, list[list[float]]]) -> str:
    """Markdown: a row a group."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, rows in groups.items():
        low, middle, high = np.quantile(np.array(rows), (0.05, 0.5, 0.95), axis=0)
        cells = [f"{m:.3g} ({a:.3g} to {b:.3g})" for a, m, b in zip(low, middle, high, strict=True)]
        lines.append(f"| {name} ({len(rows)} people) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    groups: dict[str, list[list[float]]] = {}
    for name, _, dataset in (argument.partition("=") for argument in arguments):
        groups.setdefault(name, []).extend(look(clip) for clip in people(dataset))
    print(table(groups))


if __name__ == "__main__":
    main(sys.argv[1:])
