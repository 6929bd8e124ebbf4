"""Do synthetic people have the brows, the bright eyes and the skin colours of real ones?

It makes the table of brows, eyes and skin in docs/results/synth.md.

    python experiments/synth_appearance.py synthetic=PREPARED_SYNTH real=PREPARED [real=PREPARED ...]

Datasets of one name are taken together. One frame of each person is measured by the tracker's landmarks in the prepared
crop: the median over people and, in brackets, their 5th and 95th percentiles. Lengths are relative to the distance of
the outer eye corners; the brightness of the eyes is relative to that of the cheeks. Letters: P pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.media.video import read_frames
from dithead.prepare.dataset import Clip
from shared import load_clips, make_parser, print_table

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]
# FaceMesh indices on both sides: eyelids, arch and inner and outer ends of the brows; patches of bare skin.
LIDS, ARCH, INNER, OUTER = (159, 145, 386, 374), (105, 334), (107, 336), (46, 276)
EYE_CORNERS, SKIN = (33, 263), ((50, 101), (280, 330), (151, 9))
COLUMNS = ("brows' height", "brows' slant", "eyes' brightness", "skin's hue, degrees", "saturation", "value")


def one_clip_each(dataset: str) -> Iterator[Clip]:
    """Yield the first clip of each person."""
    seen: set[str] = set()
    for clip in load_clips(dataset):
        if clip.identity not in seen:
            seen.add(clip.identity)
            yield clip


def patch(picture: Picture, points: Points, radius: float) -> NDArray[np.float64]:
    """Return the pixels (P, 3) of a square around the mean of the points."""
    (x, y), r = points.mean(axis=0).astype(int), max(round(radius), 2)
    return picture[max(y - r, 0) : y + r, max(x - r, 0) : x + r].reshape(-1, 3).astype(np.float64)


def measure(clip: Clip) -> list[float]:
    """Return the values of the table's columns for one person."""
    landmarks = clip.track().landmarks[..., :2].astype(np.float64)
    middle, index = np.median(landmarks, axis=0), len(landmarks) // 3
    picture = next(frame.pixels for i, frame in enumerate(read_frames(clip.folder / "crop.mp4")) if i == index)
    points, width = landmarks[index], float(np.linalg.norm(middle[EYE_CORNERS[0]] - middle[EYE_CORNERS[1]]))
    height = (middle[[LIDS[0], LIDS[2]], 1] - middle[list(ARCH), 1]).mean() / width
    slant = (middle[list(INNER), 1] - middle[list(OUTER), 1]).mean() / width
    skin = np.concatenate([patch(picture, points[list(pair)], 0.06 * width) for pair in SKIN]).mean(axis=0)
    eyes = np.concatenate([patch(picture, points[list(LIDS[i : i + 2])], 0.05 * width) for i in (0, 2)])
    hsv = cv2.cvtColor(np.float32(skin[None, None] / 255), cv2.COLOR_RGB2HSV)[0, 0]
    return [height, slant, eyes.mean() / skin.mean(), *map(float, hsv)]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("datasets", nargs="+", metavar="NAME=DATASET", help="prepared datasets; a name may repeat")
    groups: dict[str, list[list[float]]] = {}
    for name, _, dataset in (entry.partition("=") for entry in parser.parse_args().datasets):
        groups.setdefault(name, []).extend(measure(clip) for clip in one_clip_each(dataset))
    lines = []
    for name, people in groups.items():
        low, middle, high = np.quantile(np.array(people), (0.05, 0.5, 0.95), axis=0)
        cells = [f"{m:.3g} ({a:.3g} to {b:.3g})" for a, m, b in zip(low, middle, high, strict=True)]
        lines.append([f"{name} ({len(people)} people)", *cells])
    print_table(["people", *COLUMNS], lines)


if __name__ == "__main__":
    main()
