"""What do the people of a synthetic corpus look like, by themselves and beside real ones? Draws contact sheets.

It makes the two pictures of docs/results/synth.md, and one for your own eyes.

    python experiments/synth_contact_sheets.py sheets RAW_SYNTH REST.jpg SPEAKING.jpg
    python experiments/synth_contact_sheets.py beside BESIDE.png PREPARED_SYNTH PREPARED_REAL [PREPARED_REAL ...]

``sheets`` draws the first people, at most 64 and whole rows, with the mouth closed most and open most. ``beside`` draws
aligned crops: synthetic on the left, real on the right, closed above, open below. Real people have a right to their
picture: do not publish that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_opening
from dithead.media.video import read_frames
from dithead.prepare.dataset import Clip
from shared import load_clips, make_parser

SIDE, COLUMNS, COUNT = 112, 8, 64  # pixels of a picture, pictures in a row, pictures at most

Picture = NDArray[np.uint8]


def closed_and_open(video: Path, opening: NDArray[np.float64]) -> tuple[Picture, Picture]:
    """Return the frames of a video with the mouth closed most and open most, SIDE pixels wide."""
    frames = [frame.pixels for frame in read_frames(video)]
    both = [frames[min(int(i), len(frames) - 1)] for i in (opening.argmin(), opening.argmax())]
    small = [np.asarray(cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8) for f in both]
    return small[0], small[1]


def grid(pictures: Sequence[Picture]) -> Picture:
    """Arrange pictures in whole rows; what is left over is left out."""
    last = max(len(pictures) - COLUMNS + 1, 0)
    return np.vstack([np.hstack(pictures[i : i + COLUMNS]) for i in range(0, last, COLUMNS)])


def draw_sheets(corpus: Path, rest: Path, speaking: Path) -> None:
    """Write the sheet of closed mouths and the sheet of open ones."""
    pictures = []
    for folder in sorted(path.parent for path in corpus.glob("*/clip.json"))[:COUNT]:
        with np.load(folder / "truth.npz") as truth:
            pictures.append(closed_and_open(folder / "clip.mp4", truth["aperture"]))
    for sheet, path in zip(zip(*pictures, strict=True), (rest, speaking), strict=True):
        cv2.imwrite(str(path), grid(sheet)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])


def alternate_people(datasets: Sequence[str]) -> Iterator[Clip]:
    """Yield clips of the datasets, the first of every person before the second of any."""
    by_person: dict[str, list[Clip]] = {}
    for dataset in datasets:
        for clip in load_clips(dataset):
            by_person.setdefault(f"{dataset}/{clip.identity}", []).append(clip)
    for rank in range(max(map(len, by_person.values()))):
        yield from (clips[rank] for clips in by_person.values() if rank < len(clips))


def draw_beside(output: Path, synthetic: str, real: Sequence[str]) -> None:
    """Write one picture of synthetic people on the left and real ones on the right."""
    halves = []
    for datasets in ([synthetic], real):
        clips = [clip for _, clip in zip(range(COUNT), alternate_people(datasets), strict=False)]
        openings = [np.array([lip_opening(frame) for frame in clip.track().landmarks]) for clip in clips]
        both = [closed_and_open(clip.folder / "crop.mp4", each) for clip, each in zip(clips, openings, strict=True)]
        halves.append([grid(pictures) for pictures in zip(*both, strict=True)])
    lines = [np.hstack(pair) for pair in zip(*halves, strict=True)]
    cv2.imwrite(str(output), np.vstack(lines)[..., ::-1])


def main() -> None:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sheets = commands.add_parser("sheets", help="synthetic people by themselves")
    sheets.add_argument("corpus", type=Path, metavar="RAW_SYNTH", help="a folder of `dithead synth`")
    sheets.add_argument("rest", type=Path, metavar="REST.jpg")
    sheets.add_argument("speaking", type=Path, metavar="SPEAKING.jpg")
    beside = commands.add_parser("beside", help="synthetic and real people; not to be published")
    beside.add_argument("output", type=Path, metavar="BESIDE.png")
    beside.add_argument("synthetic", metavar="PREPARED_SYNTH")
    beside.add_argument("real", nargs="+", metavar="PREPARED_REAL")
    options = parser.parse_args()
    if options.command == "sheets":
        draw_sheets(options.corpus, options.rest, options.speaking)
    else:
        draw_beside(options.output, options.synthetic, options.real)


if __name__ == "__main__":
    main()
