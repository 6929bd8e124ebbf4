"""Contact sheets: people of a corpus of `dithead synth`, and the same beside real ones.

    python experiments/synth_contact_sheets.py sheets RAW_SYNTH REST.jpg SPEAKING.jpg
    python experiments/synth_contact_sheets.py beside BESIDE.png PREPARED_SYNTH PREPARED_REAL [PREPARED_REAL ...]

``sheets``: the first people, at most 64 and whole rows, at rest and speaking. ``beside``: aligned crops,
left synthetic, right real, above at rest, below speaking. Real people are somebody: do not publish that one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_aperture
from dithead.media.video import read_frames
from dithead.prepare.dataset import Clip, Dataset

SIDE, COLUMNS, COUNT = 112, 8, 64

Picture = NDArray[np.uint8]


def extremes(video: Path, aperture: NDArray[np.float64]) -> tuple[Picture, Picture]:
    """The frames with the mouth closed most and open most, SIDE pixels wide."""
    frames = [frame.pixels for frame in read_frames(video)]
    both = [frames[min(int(i), len(frames) - 1)] for i in (aperture.argmin(), aperture.argmax())]
    small = [np.asarray(cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8) for f in both]
    return small[0], small[1]


def grid(pictures: Sequence[Picture]) -> Picture:
    """Whole rows of COLUMNS."""
    last = max(len(pictures) - COLUMNS + 1, 0)
    return np.vstack([np.hstack(pictures[i : i + COLUMNS]) for i in range(0, last, COLUMNS)])


def sheets(corpus: Path, rest: Path, speaking: Path) -> None:
    """Two pictures to publish."""
    shown = []
    for folder in sorted(path.parent for path in corpus.glob("*/clip.json"))[:COUNT]:
        with np.load(folder / "truth.npz") as truth:
            shown.append(extremes(folder / "clip.mp4", truth["aperture"]))
    for pictures, path in zip(zip(*shown, strict=True), (rest, speaking), strict=True):
        cv2.imwrite(str(path), grid(pictures)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])


def in_turn(datasets: Sequence[str]) -> Iterator[Clip]:
    """Clips of the datasets, everybody's first before anybody's second."""
    by_person: dict[str, list[Clip]] = {}
    for dataset in datasets:
        for clip in Dataset(dataset).clips():
            by_person.setdefault(f"{dataset}/{clip.identity}", []).append(clip)
    for rank in range(max(map(len, by_person.values()))):
        yield from (clips[rank] for clips in by_person.values() if rank < len(clips))


def beside(output: Path, synthetic: str, *real: str) -> None:
    """One picture to look at."""
    halves = []
    for datasets in ([synthetic], real):
        clips = [clip for _, clip in zip(range(COUNT), in_turn(datasets), strict=False)]
        openings = [np.array([lip_aperture(frame) for frame in clip.track().landmarks]) for clip in clips]
        shown = [extremes(clip.folder / "crop.mp4", each) for clip, each in zip(clips, openings, strict=True)]
        halves.append([grid(pictures) for pictures in zip(*shown, strict=True)])
    rows = [np.hstack(pair) for pair in zip(*halves, strict=True)]
    cv2.imwrite(str(output), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    if sys.argv[1] == "sheets":
        sheets(*map(Path, sys.argv[2:]))
    else:
        beside(Path(sys.argv[2]), *sys.argv[3:])
