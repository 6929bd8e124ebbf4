"""Measures whether the shape of the mask reveals the mouth: a clip is drawn again under the masks of other mouths.

A mask that follows the jaw shows a model how far the mouth is open. A model that relies on it seems to follow speech in
self-reenactment, and fails with any other speech. The clip is drawn under the mask of its frames with the mouth most
open, then under that of its frames with the mouth closed, then each frame under the mask of another moment. The lips
must be the same. Letters: N frames, S side of the aligned crop.
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
from dithead.evaluate.lip_landmarks import track_lips
from dithead.evaluate.lip_series import Measures, Series, correlation, finite_mean, partial_correlation
from dithead.evaluate.observe_video import CROP_SIDE, Observation
from dithead.face.alignment import transform_points, warp_crop
from dithead.face.masks import stable_polygon
from dithead.inference.analyse.face_pictures import FacePlace
from dithead.inference.analyse.tracklet import Tracklet, TrackletBuilder
from dithead.inference.compose.compose_mouth import composed_crop
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.video import read_frames
from dithead.types import Wave

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

FRAMES = 75
"""At most so many frames of a clip are drawn, three times each (our choice, for speed)."""
EXTREME = 0.1
"""Share of the frames that count as most open, and of those that count as closed (our choice)."""
_BATCH = 8  # frames drawn at once


def mask_leak(source: Observation, audio: Wave, talker: TalkingHead, steps: int, seed: int = 0) -> Measures:
    """Measure how far the lips of a model follow the mask, on one clip.

    Args:
        source: The clip.
        audio: (n,) at 16 kHz, the speech that drives it.
        talker: The model.
        steps: Sampling steps.
        seed: Seed of the noise.

    Returns:
        ``shift``: mean lip opening under the mask of the most open mouths minus that under the mask of the closed ones,
        over the standard deviation of the source's; 0 is no leak. ``agreement``: correlation of the two; 1 is no leak.
        ``partial``: partial correlation of the output's opening with that of the frame whose mask it was drawn under,
        given the true one; 0 is no leak.

    Raises:
        FaceError: A face is missing in the frames that are drawn.
    """
    landmarks, openings = _faces(source), source.lips.openings[:FRAMES]
    tracklet, crops = _crops(source.path, source, talker.size)
    places = np.stack([transform_points(face, m) for face, m in zip(landmarks, tracklet.transforms, strict=True)])
    features = talker.audio.features(torch.from_numpy(audio))
    sampler = MouthSampler(talker, {None: features}, seed=seed, steps=steps)
    times, order = source.times[: len(crops)], np.argsort(openings)
    few = max(1, round(EXTREME * len(order)))
    closed, wide = (
        _drawn(sampler, [replace(tracklet, polygon=stable_polygon(places[at], talker.size))] * len(crops), crops, times)
        for at in (order[:few], order[-few:])
    )
    other = np.roll(np.arange(len(crops)), len(crops) // 2)
    moving = [replace(tracklet, polygon=stable_polygon(places[i : i + 1], talker.size)) for i in other]
    follows = _drawn(sampler, moving, crops, times)
    return {
        "shift": (finite_mean(wide) - finite_mean(closed)) / max(float(np.std(openings)), 1e-6),
        "agreement": correlation(wide, closed),
        "partial": partial_correlation(follows, openings[other], openings),
    }


def _faces(source: Observation) -> list[NDArray[np.float32]]:
    faces = [face for face in source.landmarks[:FRAMES] if face is not None]
    if len(faces) < min(FRAMES, source.frames) or len(faces) < 2:
        raise FaceError(
            f"{source.path}: a face is missing in the first {FRAMES} frames; a leak through the mask is not tested"
        )
    return faces


def _crops(path: Path, source: Observation, size: int) -> tuple[Tracklet, NDArray[np.uint8]]:
    """The tracklet of the first frames as ``generate`` sees it, and its crops (N, S, S, 3)."""
    builder, frames = TrackletBuilder(0), list(islice(read_frames(path), FRAMES))
    for frame, face in zip(frames, source.landmarks, strict=False):
        assert face is not None, "checked before"
        builder.add(frame, face, FacePlace.of(face, size))
    tracklet = builder.close(size, False, False)
    crops = [warp_crop(frame.pixels, place, size) for frame, place in zip(frames, tracklet.transforms, strict=True)]
    return tracklet, np.stack(crops)


def _drawn(
    sampler: MouthSampler, tracklets: list[Tracklet], crops: NDArray[np.uint8], times: NDArray[np.float64]
) -> Series:
    """Lip openings (N,) of the crops, drawn and composed with each frame's own tracklet.

    Frames of one tracklet that follow one another are drawn together. They are composed without references: fallbacks
    and transferred detail would take part of a leak away.
    """
    drawn: list[NDArray[np.uint8]] = []
    while len(drawn) < len(crops):
        first, tracklet, count = len(drawn), tracklets[len(drawn)], 1
        while count < _BATCH and first + count < len(crops) and tracklets[first + count] is tracklet:
            count += 1
        part = slice(first, first + count)
        mouths = sampler.draw(tracklet, crops[part], times[part])
        drawn.extend(composed_crop(mouth, crops[k], None, tracklet, k) for k, mouth in enumerate(mouths, first))
    enlarged = (cv2.resize(crop, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_CUBIC) for crop in drawn)
    return track_lips(enlarged).openings
