"""What the transformer adds to its references: python experiments/draw_versus_paste.py CLIP...

Each clip is driven by its own sound, once drawn by the shipped model and once with the reference it would be shown
pasted in its place; both get the same lent detail and the same mask. Measured in the crop, before it is put back:
correlation and gain of the lip aperture, and PSNR around the lips.
"""

from __future__ import annotations

import sys
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

_AT_ONCE = 16
Crops = NDArray[np.uint8]


def footage(path: Path, run: Run, size: int) -> tuple[Crops, NDArray[np.float64], NDArray[np.float64]]:
    """Crops (N, S, S, 3), times (N,) and apertures on whole frames (N,) of the longest run."""
    crops, times, apertures = [], [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            if run.start <= frame.index < run.stop:
                face = landmarker.track(frame.pixels)
                crops.append(warp_crop(frame.pixels, run.transforms[frame.index - run.start], size))
                times.append(frame.time)
                apertures.append(np.nan if face is None else lip_aperture(face))
    return np.stack(crops), np.array(times), np.array(apertures)


def apertures_in(crops: Crops) -> NDArray[np.float64]:
    """The same (N,), on crops, enlarged and with a border."""
    with FaceLandmarker() as landmarker:
        large = (cv2.resize(crop, (480, 480), interpolation=cv2.INTER_CUBIC) for crop in crops)
        seen = [landmarker.track(cv2.copyMakeBorder(c, *[80] * 4, cv2.BORDER_REPLICATE)) for c in large]
    return np.array([np.nan if face is None else lip_aperture(face) for face in seen])


def made(maker: MouthMaker, run: Run, crops: Crops, times: NDArray[np.float64], *, paste: bool) -> Crops:
    """The crops with new mouths, drawn or pasted."""
    graded, size = maker.gallery.of(run), crops.shape[1]
    assert graded is not None
    core, mask, out = mouth_core(run.lips, size), polygon_mask(run.polygon, size, feather=FEATHER * size), []
    for first in range(0, len(crops), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        openings = maker.meant(run, times[part]) or []
        shown = graded.crops[graded.nearest(np.array(openings))]
        mouths = shown if paste else maker.draw(run, crops[part], times[part])
        for mouth, near, crop, opening in zip(mouths, shown, crops[part], openings, strict=True):
            if not paste:
                mouth = mended(faithful(mouth, near, crop, mask * (1 - core)), near, core)
            share, lent = mask * newness(mouth, crop, core), lend(maker.gallery, run, mouth, opening, core)
            patch = detailed_patch(crop, mouth, crop, np.eye(2, 3), share, lent)
            assert patch is not None
            out.append(crop.astype(np.float32))
            height, width = patch.difference.shape[:2]
            out[-1][patch.top : patch.top + height, patch.left : patch.left + width] += patch.difference
    return np.rint(np.stack(out).clip(0, 255)).astype(np.uint8)


def numbers(crops: Crops, truth: Crops, apertures: NDArray[np.float64], run: Run) -> list[float]:
    found, (low, high) = apertures_in(crops), (run.lips.min(0).astype(int) - 10, run.lips.max(0).astype(int) + 14)
    box = np.s_[:, max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    error = np.mean((crops[box].astype(float) - truth[box]) ** 2)
    gain = np.nanstd(found) / np.nanstd(apertures)
    return [correlation(found, apertures), float(gain), float(10 * np.log10(255**2 / error))]


def measure(path: Path, talker: TalkingHead) -> dict[str, list[float]]:
    clip = Clip(path, probe(path))
    found = survey(clip.frames(), talker.size, Choice.parse("largest"))
    with TemporaryDirectory() as folder:
        found.learn_habits(talker, clip, Path(folder) / "own.mel")
        sound: dict[Any, Any] = {None: heard_by(talker, path, Path(folder) / "speech.mel")}
        maker = MouthMaker(talker, sound, seed=0, steps=None, reference="static")
        run = max(found.runs, key=lambda each: each.stop - each.start)
        crops, times, apertures = footage(path, run, talker.size)
        return {
            name: numbers(made(maker, run, crops, times, paste=paste), crops, apertures, run)
            for name, paste in (("drawn", False), ("pasted", True))
        }


if __name__ == "__main__":
    torch.set_num_threads(1)
    model, rows = load_model("small"), {}
    for clip_path in map(Path, sys.argv[1:]):
        rows[clip_path.stem] = measure(clip_path, model)
        print(clip_path.stem, {k: [round(x, 2) for x in v] for k, v in rows[clip_path.stem].items()}, flush=True)
    for row in ("drawn", "pasted"):
        print(row, "r, gain, PSNR:", np.nanmean([each[row] for each in rows.values()], axis=0).round(3))
