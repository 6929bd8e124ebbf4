"""What does the transformer add to its reference frames? Its mouths against the references themselves, pasted.

It makes the table of drawn and pasted mouths in docs/results/inference.md.

    python experiments/draw_versus_paste.py CLIP...

Each clip is driven by its own sound, once drawn by the shipped model and once with the reference frame of each moment
pasted instead; both get the same transferred detail and the same blend mask. Measured in the crop, before it is put
back into the frame: correlation and gain of the lip opening, and PSNR around the lips. Letters: N frames, S crop side.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dithead.checkpoint import load_model
from dithead.evaluate.lip_series import correlation
from dithead.face.alignment import warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_aperture
from dithead.face.masks import polygon_mask
from dithead.inference.analyse.first_pass import survey
from dithead.inference.analyse.multi_face import Choice
from dithead.inference.analyse.tracklet import Run
from dithead.inference.compose.blend_mask import faithful, mouth_core, newness
from dithead.inference.compose.detail_transfer import lend, mended
from dithead.inference.compose.second_pass import FEATHER
from dithead.inference.compose.source_detail import detailed_patch
from dithead.inference.source.timeline import Clip
from dithead.inference.synthesise.audio_features import heard_by
from dithead.inference.synthesise.sampler import MouthMaker
from dithead.media.video import probe, read_frames
from dithead.models.talking_head import TalkingHead
from shared import make_parser, print_table

BATCH = 16  # frames
LANDMARK_SIDE, BORDER = 480, 80  # pixels: crops are enlarged and padded before landmarks are read from them

Crops = NDArray[np.uint8]  # (N, S, S, 3)
Numbers = NDArray[np.float64]


def read_tracklet(path: Path, run: Run, size: int) -> tuple[Crops, Numbers, Numbers]:
    """Return a tracklet's crops (N, S, S, 3), its times (N,), and the lip openings in the whole frames (N,)."""
    crops, times, openings = [], [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            if run.start <= frame.index < run.stop:
                face = landmarker.track(frame.pixels)
                crops.append(warp_crop(frame.pixels, run.transforms[frame.index - run.start], size))
                times.append(frame.time)
                openings.append(np.nan if face is None else lip_aperture(face))
    return np.stack(crops), np.array(times), np.array(openings)


def openings_in(crops: Crops) -> Numbers:
    """Return the lip opening (N,) in crops."""
    side = (LANDMARK_SIDE, LANDMARK_SIDE)
    with FaceLandmarker() as landmarker:
        large = (cv2.resize(crop, side, interpolation=cv2.INTER_CUBIC) for crop in crops)
        padded = (cv2.copyMakeBorder(crop, *[BORDER] * 4, cv2.BORDER_REPLICATE) for crop in large)
        faces = [landmarker.track(crop) for crop in padded]
    return np.array([np.nan if face is None else lip_aperture(face) for face in faces])


# TODO(compose): the body of the inner loop repeats what inference/compose does to one frame. It becomes one call once
# `compose(drawn, source, reference, tracklet) -> Patch` is public.
def with_new_mouths(maker: MouthMaker, run: Run, crops: Crops, times: Numbers, *, paste: bool) -> Crops:
    """Return the crops with new mouths, drawn by the model or pasted from the reference frames."""
    graded, size = maker.gallery.of(run), crops.shape[1]
    assert graded is not None
    core, mask, out = mouth_core(run.lips, size), polygon_mask(run.polygon, size, feather=FEATHER * size), []
    for first in range(0, len(crops), BATCH):
        part = slice(first, first + BATCH)
        openings = maker.meant(run, times[part]) or []
        references = graded.crops[graded.nearest(np.array(openings))]
        mouths = references if paste else maker.draw(run, crops[part], times[part])
        for mouth, reference, crop, opening in zip(mouths, references, crops[part], openings, strict=True):
            if not paste:
                mouth = mended(faithful(mouth, reference, crop, mask * (1 - core)), reference, core)
            share, detail = mask * newness(mouth, crop, core), lend(maker.gallery, run, mouth, opening, core)
            patch = detailed_patch(crop, mouth, crop, np.eye(2, 3), share, detail)
            assert patch is not None
            out.append(crop.astype(np.float32))
            height, width = patch.difference.shape[:2]
            out[-1][patch.top : patch.top + height, patch.left : patch.left + width] += patch.difference
    return np.rint(np.stack(out).clip(0, 255)).astype(np.uint8)


def compare(crops: Crops, truth: Crops, openings: Numbers, run: Run) -> list[float]:
    """Return correlation and gain of the lip opening, and PSNR in dB around the lips."""
    found, (low, high) = openings_in(crops), (run.lips.min(0).astype(int) - 10, run.lips.max(0).astype(int) + 14)
    box = np.s_[:, max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    error = np.mean((crops[box].astype(float) - truth[box]) ** 2)
    gain = np.nanstd(found) / np.nanstd(openings)
    return [correlation(found, openings), float(gain), float(10 * np.log10(255**2 / error))]


def measure(path: Path, talker: TalkingHead) -> dict[str, list[float]]:
    """Compare drawn and pasted mouths with the truth in the longest tracklet of a clip."""
    clip = Clip(path, probe(path))
    found = survey(clip.frames(), talker.size, Choice.parse("largest"))
    with TemporaryDirectory() as folder:
        found.learn_habits(talker, clip, Path(folder) / "own.mel")
        sound: dict[Any, Any] = {None: heard_by(talker, path, Path(folder) / "speech.mel")}
        maker = MouthMaker(talker, sound, seed=0, steps=None, reference="static")
        run = max(found.runs, key=lambda each: each.stop - each.start)
        crops, times, openings = read_tracklet(path, run, talker.size)
        return {
            name: compare(with_new_mouths(maker, run, crops, times, paste=paste), crops, openings, run)
            for name, paste in (("drawn", False), ("pasted", True))
        }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    options = parser.parse_args()
    torch.set_num_threads(1)
    talker, measured = load_model("small"), []
    for path in options.clips:
        measured.append(measure(path, talker))
        print(path.stem, {name: [round(x, 2) for x in numbers] for name, numbers in measured[-1].items()}, flush=True)
    lines = []
    for name in ("drawn", "pasted"):
        lines.append([name, *(f"{x:.3f}" for x in np.nanmean([each[name] for each in measured], axis=0))])
    print_table(["mouths", "correlation", "gain", "PSNR, dB"], lines)


if __name__ == "__main__":
    main()
