"""Does the mask tell the lips what to do? The same clip, drawn again under masks that show other mouths.

A mask that follows the jaw tells a model how far the mouth is open; a model that listens to it seems to speak in
self-reenactment and fails with any other audio. The clip is drawn with the lower face cut out as its frames with the
mouth widest open have it, then as those with the mouth closed, then as another moment's frame has it. Output lips
must not care. Letters: N frames, S crop side.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.evaluate.lip_reader import lip_series
from dithead.evaluate.lip_series import Measures, Series, correlation, mean_of, partial_correlation
from dithead.evaluate.observe_video import CROP, Observation
from dithead.face.alignment import transform_points, warp_crop
from dithead.face.masks import stable_polygon
from dithead.inference.analyse.tracklet import Tracklet, TrackletBuilder
from dithead.inference.compose.compose_mouth import composed_crop
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.video import read_frames
from dithead.types import Wave

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

FRAMES = 75  # at most so many frames of a clip are drawn, four times each
EXTREME = 0.1  # share of the frames that count as wide open, and as closed
_BATCH = 8


def mask_leak(source: Observation, audio: Wave, talker: TalkingHead, steps: int, seed: int = 0) -> Measures:
    """How far the lips follow the mask, for one clip and ``audio`` (n,) at 16 kHz.

    ``shift``: mean aperture under the open mouth's mask less that under the closed one's, over the standard deviation
    of the source's; 0 is no leak.  ``agreement``: correlation of the two; 1 is no leak.  ``partial``: correlation of
    the output's aperture with that of the frame whose mask it was given, the truth's own taken out; 0 is no leak.
    Raises FaceError when a face is missing in the frames that are drawn.
    """
    landmarks, aperture = _faces(source), source.lips.aperture[:FRAMES]
    tracklet, crops = _crops(source.path, source, talker.size)
    places = np.stack([transform_points(face, m) for face, m in zip(landmarks, tracklet.transforms, strict=True)])
    features = talker.audio.features(torch.from_numpy(audio))
    sampler = MouthSampler(talker, {None: features}, seed=seed, steps=steps)
    times, order = source.times[: len(crops)], np.argsort(aperture)
    few = max(1, round(EXTREME * len(order)))
    closed, wide = (
        _drawn(sampler, [replace(tracklet, polygon=stable_polygon(places[at], talker.size))] * len(crops), crops, times)
        for at in (order[:few], order[-few:])
    )
    other = np.roll(np.arange(len(crops)), len(crops) // 2)
    moving = [replace(tracklet, polygon=stable_polygon(places[i : i + 1], talker.size)) for i in other]
    follows = _drawn(sampler, moving, crops, times)
    return {
        "shift": (mean_of(wide) - mean_of(closed)) / max(float(np.std(aperture)), 1e-6),
        "agreement": correlation(wide, closed),
        "partial": partial_correlation(follows, aperture[other], aperture),
    }


def _faces(source: Observation) -> list[NDArray[np.float32]]:
    faces = [face for face in source.landmarks[:FRAMES] if face is not None]
    if len(faces) < min(FRAMES, source.frames) or len(faces) < 2:
        raise FaceError(f"{source.path}: frames without a face among the first {FRAMES}; the mask's leak is not tested")
    return faces


def _crops(path: Path, source: Observation, size: int) -> tuple[Tracklet, NDArray[np.uint8]]:
    """The tracklet of the first frames as ``generate`` sees it, and its crops (N, S, S, 3)."""
    builder, frames = TrackletBuilder(0), list(islice(read_frames(path), FRAMES))
    for frame, face in zip(frames, source.landmarks, strict=False):
        assert face is not None, "checked before"
        builder.add(frame, face, size)
    tracklet = builder.close(size, False, False)
    crops = [warp_crop(frame.pixels, place, size) for frame, place in zip(frames, tracklet.transforms, strict=True)]
    return tracklet, np.stack(crops)


def _drawn(
    sampler: MouthSampler, tracklets: list[Tracklet], crops: NDArray[np.uint8], times: NDArray[np.float64]
) -> Series:
    """Lip openings (N,) of the crops, drawn and composed with each frame's own tracklet.

    Frames of one tracklet that follow one another are drawn together.
    """
    made: list[NDArray[np.uint8]] = []
    while len(made) < len(crops):
        first, tracklet, count = len(made), tracklets[len(made)], 1
        while count < _BATCH and first + count < len(crops) and tracklets[first + count] is tracklet:
            count += 1
        part = slice(first, first + count)
        mouths = sampler.draw(tracklet, crops[part], times[part])
        references = sampler.frame_references(tracklet, times[part])
        for k, (mouth, reference) in enumerate(zip(mouths, references, strict=True), first):
            made.append(composed_crop(mouth, crops[k], reference, tracklet, k))
    return lip_series([cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_CUBIC) for crop in made]).aperture
