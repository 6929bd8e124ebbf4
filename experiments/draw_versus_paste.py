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
from dithead.face.lip_opening import lip_opening
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.compose_mouth import composed_crop
from dithead.inference.source.timeline import SourceClip
from dithead.inference.synthesise.audio_features import FileFeatures
from dithead.inference.synthesise.lip_calibration import calibrate_tracklets, source_speech
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.video import probe, read_frames
from dithead.models.talking_head import TalkingHead
from shared import make_parser, print_table

BATCH = 16  # frames
LANDMARK_SIDE, BORDER = 480, 80  # pixels: crops are enlarged and padded before landmarks are read from them

Crops = NDArray[np.uint8]  # (N, S, S, 3)
Numbers = NDArray[np.float64]


def read_tracklet(path: Path, tracklet: Tracklet, size: int) -> tuple[Crops, Numbers, Numbers]:
    """Return a tracklet's crops (N, S, S, 3), its times (N,), and the lip openings in the whole frames (N,)."""
    crops, times, openings = [], [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            if tracklet.start <= frame.index < tracklet.stop:
                face = landmarker.track(frame.pixels)
                crops.append(warp_crop(frame.pixels, tracklet.transforms[frame.index - tracklet.start], size))
                times.append(frame.time)
                openings.append(np.nan if face is None else lip_opening(face))
    return np.stack(crops), np.array(times), np.array(openings)


def openings_in(crops: Crops) -> Numbers:
    """Return the lip opening (N,) in crops."""
    side = (LANDMARK_SIDE, LANDMARK_SIDE)
    with FaceLandmarker() as landmarker:
        large = (cv2.resize(crop, side, interpolation=cv2.INTER_CUBIC) for crop in crops)
        padded = (cv2.copyMakeBorder(crop, *[BORDER] * 4, cv2.BORDER_REPLICATE) for crop in large)
        faces = [landmarker.track(crop) for crop in padded]
    return np.array([np.nan if face is None else lip_opening(face) for face in faces])


def with_new_mouths(sampler: MouthSampler, tracklet: Tracklet, crops: Crops, times: Numbers, *, paste: bool) -> Crops:
    """Return the crops with new mouths, drawn by the model or pasted from the reference frames."""
    out: list[NDArray[np.uint8]] = []
    for first in range(0, len(crops), BATCH):
        part = slice(first, first + BATCH)
        drawn = sampler.draw(tracklet, crops[part], times[part])
        references = sampler.frame_references(tracklet, times[part])
        for k, (mouth, reference) in enumerate(zip(drawn, references, strict=True), first):
            assert reference is not None
            assert reference.nearest is not None, "a mouth that never moves has nothing to paste"
            pasted = reference.nearest if paste else mouth
            out.append(composed_crop(pasted, crops[k], reference, tracklet, tracklet.start + k))
    return np.stack(out)


def compare(crops: Crops, truth: Crops, openings: Numbers, tracklet: Tracklet) -> list[float]:
    """Return correlation and gain of the lip opening, and PSNR in dB around the lips."""
    found, (low, high) = (
        openings_in(crops),
        (tracklet.lips.min(0).astype(int) - 10, tracklet.lips.max(0).astype(int) + 14),
    )
    box = np.s_[:, max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    error = np.mean((crops[box].astype(float) - truth[box]) ** 2)
    gain = np.nanstd(found) / np.nanstd(openings)
    return [correlation(found, openings), float(gain), float(10 * np.log10(255**2 / error))]


def measure(path: Path, talker: TalkingHead) -> dict[str, list[float]]:
    """Compare drawn and pasted mouths with the truth in the longest tracklet of a clip."""
    clip = SourceClip(path, probe(path))
    analysis = analyse_video(clip.frames(), AnalysisSettings(talker.size, talker.config.mask))
    with TemporaryDirectory() as folder:
        calibrate_tracklets(analysis, talker, clip, source_speech(talker, clip, Path(folder) / "own.mel"))
        sound: dict[Any, Any] = {None: FileFeatures(talker.audio, path, Path(folder) / "speech.mel")}
        tracklet = max(analysis.tracklets, key=lambda each: each.stop - each.start)
        crops, times, openings = read_tracklet(path, tracklet, talker.size)
        made = {
            name: with_new_mouths(MouthSampler(talker, sound, seed=0), tracklet, crops, times, paste=paste)
            for name, paste in (("drawn", False), ("pasted", True))
        }
        return {name: compare(mouths, crops, openings, tracklet) for name, mouths in made.items()}


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
