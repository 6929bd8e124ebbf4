"""What the transformer adds to its references: python tests/inference/measure_paste.py CLIP...

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
from dithead.inference.compose.source_detail import patch_with_detail
from numpy.typing import NDArray

from dithead.checkpoint import load_model
from dithead.evaluate.lip_series import correlation
from dithead.face.alignment import warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_aperture
from dithead.face.masks import polygon_mask
from dithead.inference.analyse.first_pass import analyse_video
from dithead.inference.analyse.multi_face import FaceChoice
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.blend_mask import change_mask, mouth_core, replace_lost_identity
from dithead.inference.compose.detail_transfer import replace_smeared_lips, transfer_detail
from dithead.inference.compose.second_pass import FEATHER
from dithead.inference.source.timeline import SourceClip
from dithead.inference.synthesise.audio_features import open_speech
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.video import probe, read_frames
from dithead.models.talking_head import TalkingHead

_AT_ONCE = 16
Crops = NDArray[np.uint8]


def footage(path: Path, tracklet: Tracklet, size: int) -> tuple[Crops, NDArray[np.float64], NDArray[np.float64]]:
    """Crops (N, S, S, 3), times (N,) and apertures on whole frames (N,) of the longest run."""
    crops, times, apertures = [], [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            if tracklet.start <= frame.index < tracklet.stop:
                face = landmarker.track(frame.pixels)
                crops.append(warp_crop(frame.pixels, tracklet.transforms[frame.index - tracklet.start], size))
                times.append(frame.time)
                apertures.append(np.nan if face is None else lip_aperture(face))
    return np.stack(crops), np.array(times), np.array(apertures)


def apertures_in(crops: Crops) -> NDArray[np.float64]:
    """The same (N,), on crops, enlarged and with a border."""
    with FaceLandmarker() as landmarker:
        large = (cv2.resize(crop, (480, 480), interpolation=cv2.INTER_CUBIC) for crop in crops)
        seen = [landmarker.track(cv2.copyMakeBorder(c, *[80] * 4, cv2.BORDER_REPLICATE)) for c in large]
    return np.array([np.nan if face is None else lip_aperture(face) for face in seen])


def made(sampler: MouthSampler, tracklet: Tracklet, crops: Crops, times: NDArray[np.float64], *, paste: bool) -> Crops:
    """The crops with new mouths, drawn or pasted."""
    reference_set, size = sampler.reference_bank.of(tracklet), crops.shape[1]
    assert reference_set is not None
    core, mask, out = mouth_core(tracklet.lips, size), polygon_mask(tracklet.polygon, size, feather=FEATHER * size), []
    for first in range(0, len(crops), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        openings = sampler.target_openings(tracklet, times[part]) or []
        shown = reference_set.crops[reference_set.nearest(np.array(openings))]
        mouths = shown if paste else sampler.draw(tracklet, crops[part], times[part])
        for mouth, near, crop, opening in zip(mouths, shown, crops[part], openings, strict=True):
            if not paste:
                mouth = replace_smeared_lips(replace_lost_identity(mouth, near, crop, mask * (1 - core)), near, core)
            share, lent = (
                mask * change_mask(mouth, crop, core),
                transfer_detail(sampler.reference_bank, tracklet, mouth, opening, core),
            )
            patch = patch_with_detail(crop, mouth, crop, np.eye(2, 3), share, lent)
            assert patch is not None
            out.append(crop.astype(np.float32))
            height, width = patch.difference.shape[:2]
            out[-1][patch.top : patch.top + height, patch.left : patch.left + width] += patch.difference
    return np.rint(np.stack(out).clip(0, 255)).astype(np.uint8)


def numbers(crops: Crops, truth: Crops, apertures: NDArray[np.float64], tracklet: Tracklet) -> list[float]:
    found, (low, high) = (
        apertures_in(crops),
        (tracklet.lips.min(0).astype(int) - 10, tracklet.lips.max(0).astype(int) + 14),
    )
    box = np.s_[:, max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    error = np.mean((crops[box].astype(float) - truth[box]) ** 2)
    gain = np.nanstd(found) / np.nanstd(apertures)
    return [correlation(found, apertures), float(gain), float(10 * np.log10(255**2 / error))]


def measure(path: Path, talker: TalkingHead) -> dict[str, list[float]]:
    clip = SourceClip(path, probe(path))
    found = analyse_video(clip.frames(), talker.size, FaceChoice.parse("largest"))
    with TemporaryDirectory() as folder:
        found.calibrate_lips(talker, clip, Path(folder) / "own.mel")
        sound: dict[Any, Any] = {None: open_speech(talker, path, Path(folder) / "speech.mel")}
        sampler = MouthSampler(talker, sound, seed=0, steps=None, reference="static")
        tracklet = max(found.tracklets, key=lambda each: each.stop - each.start)
        crops, times, apertures = footage(path, tracklet, talker.size)
        return {
            name: numbers(made(sampler, tracklet, crops, times, paste=paste), crops, apertures, tracklet)
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
