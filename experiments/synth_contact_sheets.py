"""What do the people of a synthetic corpus look like, by themselves and beside real ones? Draws contact sheets.

It makes the pictures of docs/results/synth.md, and one for your own eyes.

    python experiments/synth_contact_sheets.py sheets RAW_SYNTH REST.jpg SPEAKING.jpg
    python experiments/synth_contact_sheets.py visemes VISEMES.jpg [--seed N ...]
    python experiments/synth_contact_sheets.py beside BESIDE.png PREPARED_SYNTH PREPARED_REAL [PREPARED_REAL ...]

``sheets`` draws the first people, at most 64 and whole rows, with the mouth closed most and open most. ``visemes``
draws each person's mouth in a row of sounds, each held. ``beside`` draws aligned crops: synthetic on the left, real on
the right, closed above, open below. Real people have a right to their picture: do not publish that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_opening
from dithead.face.mesh_indices import MOUTH_LEFT, MOUTH_RIGHT
from dithead.media.video import read_frames
from dithead.prepare.dataset import Clip
from dithead.synth.corpus.hard_cases import random_take
from dithead.synth.corpus.take import Take
from dithead.synth.face.expression import MouthTrack
from dithead.synth.face.visemes import CURVE_RATE, SpeakingStyle, mouth_curves
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.scene.renderer import Renderer
from dithead.synth.voice.utterance import Phoneme
from shared import load_clips, make_parser

SOUNDS = ("", "p", "f", "t", "s", "l", "θ", "ʃ", "i", "e", "æ", "a", "ɔ", "o", "u", "w")
NAMES = {"": "rest", "θ": "th", "ʃ": "sh", "æ": "ae", "ɔ": "aw"}  # of sounds that OpenCV cannot write
HOLD, SHEET = 0.6, 640  # seconds of a held sound, pixels of the picture out of which its mouth is cut
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


def held_sounds(body: Body, seed: int, sounds: Sequence[str]) -> Take:
    """Return a take whose frames hold one sound each, of somebody who looks ahead."""
    take = random_take(body, seed, len(sounds), silent=True)
    utterances = [[Phoneme(ipa, 0.0, HOLD)] if ipa else [] for ipa in sounds]
    curves = [mouth_curves(phonemes, HOLD, SpeakingStyle())[round(HOLD * CURVE_RATE / 2)] for phonemes in utterances]
    still = {name: np.zeros_like(getattr(take.motion, name)) for name in ("head", "shift", "gaze", "camera")}
    weights = {name: np.zeros_like(curve) for name, curve in take.motion.weights.items()}
    return replace(
        take,
        script=replace(take.script, mouth=MouthTrack.of_controls(np.stack(curves), SpeakingStyle().press)),
        motion=replace(take.motion, **still, weights=weights),
        setting=replace(take.setting, azimuth=0.0, elevation=0.0),
    )


def draw_visemes(path: Path, seeds: Sequence[int], sounds: Sequence[str]) -> None:
    """Write the mouths of some people in each sound, a row for each person."""
    body, rows = Body(load_head()), []
    with Renderer(SHEET, SHEET) as renderer:
        for seed in seeds:
            mouths = []
            for frame, ipa in zip(held_sounds(body, seed, sounds).render(renderer), sounds, strict=True):
                x, y = np.rint(frame.landmarks[[MOUTH_RIGHT, MOUTH_LEFT]].mean(axis=0)).astype(int)
                half = SHEET // 8
                mouth = np.repeat(np.repeat(frame.pixels[y - half : y + half, x - half : x + half], 2, 0), 2, 1)
                mouths.append(cv2.putText(mouth.copy(), NAMES.get(ipa, ipa), (6, 20), 0, 0.6, (255, 255, 255), 1))
            rows += [np.hstack(mouths[i : i + COLUMNS]) for i in range(0, len(mouths), COLUMNS)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


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
    visemes = commands.add_parser("visemes", help="mouths that hold one sound each")
    visemes.add_argument("output", type=Path, metavar="VISEMES.jpg")
    visemes.add_argument("--seed", type=int, action="append", help="of a person; 2 and 12 by default")
    beside = commands.add_parser("beside", help="synthetic and real people; not to be published")
    beside.add_argument("output", type=Path, metavar="BESIDE.png")
    beside.add_argument("synthetic", metavar="PREPARED_SYNTH")
    beside.add_argument("real", nargs="+", metavar="PREPARED_REAL")
    options = parser.parse_args()
    if options.command == "sheets":
        draw_sheets(options.corpus, options.rest, options.speaking)
    elif options.command == "visemes":
        draw_visemes(options.output, options.seed or (2, 12), SOUNDS)
    else:
        draw_beside(options.output, options.synthetic, options.real)


if __name__ == "__main__":
    main()
