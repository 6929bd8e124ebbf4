"""Two contact sheets of a corpus of `dithead synth`: its first people, at most 64 and whole rows, at rest and speaking.

python runs/synth_sheet.py RAW_SYNTH REST.jpg SPEAKING.jpg
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from dithead.media.video import read_frames

SIDE, COLUMNS, COUNT = 112, 8, 64


def main(corpus: Path, rest: Path, speaking: Path) -> None:
    shown: list[list[np.ndarray]] = [[], []]
    for folder in sorted(path.parent for path in corpus.glob("*/clip.json"))[:COUNT]:
        with np.load(folder / "truth.npz") as truth:
            aperture = truth["aperture"]
        frames = [frame.pixels for frame in read_frames(folder / "clip.mp4")]
        for pictures, which in zip(shown, (aperture.argmin(), aperture.argmax()), strict=True):
            pictures.append(cv2.resize(frames[int(which)], (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    for pictures, path in zip(shown, (rest, speaking), strict=True):
        rows = [np.hstack(pictures[i : i + COLUMNS]) for i in range(0, len(pictures) - COLUMNS + 1, COLUMNS)]
        cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
