"""Measures whether a video fits its sound, by the shipped scoring expert and, given weights, SyncNet.

Every video is read at 25 frames per second, with the sound in its own file unless other sound is given. The names of
the two experts' measures differ, because their values may not be mixed: ``sync_*`` are the shipped expert's, ``lse_*``
the original's. Letters: N frames of the video.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.critics.sync_expert import FPS, Offset, find_offset
from dithead.critics.sync_offset import find_crops_offset, load_shipped_expert, mouth_centre
from dithead.critics.syncnet import FACE, WINDOW, SyncNet
from dithead.errors import MediaError, ModelError
from dithead.evaluate.lip_series import Measures
from dithead.evaluate.observe_video import CROP_SIDE, Observation
from dithead.face.alignment import invert, transform_points
from dithead.media.audio import read_audio
from dithead.media.video import read_frames
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.types import RGB, Similarity, Wave

SHIPPED_EXPERT = ("sync_confidence", "sync_distance", "sync_offset")
ORIGINAL_SYNCNET = ("lse_c", "lse_d", "lse_offset")
MIN_FRAMES = 10  # at 25 per second; below, nothing is measured
FACE_CENTRE, FACE_SIDE = (0.5, 0.56), 1.26
"""Place of SyncNet's face square in sides of the aligned crop: from the brows to below the chin (our choice)."""
MEDIAN_FRAMES = 13
"""Frames over which the authors of SyncNet take the median of the face's place (their ``run_pipeline.py``)."""
BORDER = (110, 110, 110)  # grey outside the picture, as in the authors' pipeline


def why_expert_missing() -> str | None:
    """Return why the shipped expert cannot score; None when it can."""
    try:
        load_shipped_expert()
    except ModelError as error:
        return str(error)
    return None


def measure_sync(video: Observation, sound: Wave | None = None, syncnet: SyncNet | None = None) -> Measures:
    """Measure how well a video fits its sound.

    Args:
        video: The video.
        sound: (n,) at 16 kHz, in place of the sound in the file.
        syncnet: The original SyncNet.

    Returns:
        ``sync_confidence``, ``sync_distance`` and ``sync_offset`` and, with ``syncnet``, ``lse_c``, ``lse_d`` and
        ``lse_offset``; NaN where they cannot be measured. Offsets are frames at 25 per second by which the sound is
        late.
    """
    wave = _sound(video, sound)
    measures: Measures = {}
    if why_expert_missing() is None:
        measures |= _named(SHIPPED_EXPERT, None if wave is None else _shipped(video, wave))
    if syncnet is not None:
        measures |= _named(ORIGINAL_SYNCNET, None if wave is None else _original(video, wave, syncnet))
    return measures


def _named(names: tuple[str, ...], offset: Offset | None) -> Measures:
    if offset is None:
        return dict.fromkeys(names, float("nan"))
    return dict(zip(names, (offset.confidence, offset.distance, float(offset.frames)), strict=True))


def _sound(video: Observation, sound: Wave | None) -> Wave | None:
    """The sound to measure with; None when there is none or it is silent."""
    try:
        wave = read_audio(video.path, SAMPLE_RATE) if sound is None else sound
    except MediaError:  # a file without sound, or whose sound is damaged
        return None
    return wave if np.any(wave) else None


def _frames_at_25(video: Observation) -> NDArray[np.intp] | None:
    """For each tick at 25 per second the index of the nearest frame with a face; None when such frames are few."""
    known = np.array([i for i, place in enumerate(video.transforms) if place is not None])
    ticks = np.arange(int(video.duration * FPS + 1e-6)) / FPS
    if len(ticks) < MIN_FRAMES or len(known) < video.frames / 2:
        return None
    wanted = video.nearest(ticks)
    after = np.searchsorted(known, wanted).clip(1, len(known) - 1)
    return np.asarray(known[np.where(wanted - known[after - 1] <= known[after] - wanted, after - 1, after)], np.intp)


def _shipped(video: Observation, wave: Wave) -> Offset | None:
    frames, points = _frames_at_25(video), crop_landmarks(video)
    if frames is None or not len(points):
        return None
    return find_crops_offset(video.crops[frames], mouth_centre(points), wave)


def crop_landmarks(video: Observation) -> NDArray[np.float32]:
    """Return the landmarks in crop pixels (n, 478, 2) of the n frames that have them."""
    pairs = zip(video.landmarks, video.transforms, strict=True)
    return np.array([transform_points(face, place) for face, place in pairs if face is not None and place is not None])


def _original(video: Observation, wave: Wave, net: SyncNet) -> Offset | None:
    frames = _frames_at_25(video)
    if frames is None or min(len(frames), len(wave) * FPS // SAMPLE_RATE) < WINDOW + MIN_FRAMES:
        return None
    squares, wanted = face_squares(video), set(frames.tolist())
    faces = {i: _cut_face(f.pixels, squares[i], video) for i, f in enumerate(read_frames(video.path)) if i in wanted}
    return find_offset(*net.embed(np.stack([faces[i] for i in frames]), wave))


def face_squares(video: Observation) -> NDArray[np.float64]:
    """Return centre and side (N, 3) of an upright square around the whole face in frame pixels, smoothed over time."""
    known = [i for i, place in enumerate(video.transforms) if place is not None]
    squares = np.array([_face_square(place) for place in video.transforms if place is not None])
    every = np.stack([np.interp(np.arange(video.frames), known, column) for column in squares.T], axis=1)
    half = MEDIAN_FRAMES // 2
    padded = np.pad(every, ((half, half), (0, 0)), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_FRAMES, axis=0), axis=-1)


def _face_square(place: Similarity) -> tuple[float, float, float]:
    back = invert(place)
    x, y = transform_points(np.array(FACE_CENTRE, np.float64) * CROP_SIDE, back)
    return float(x), float(y), FACE_SIDE * CROP_SIDE * float(np.linalg.norm(back[:, 0]))


def _cut_face(pixels: RGB, square: NDArray[np.float64], video: Observation) -> RGB:
    """The square (3,) cut out of a frame (224, 224, 3); it is in pixels of the size at which the video was observed."""
    x, y, side = square
    scale = FACE / side
    matrix = np.array([[scale, 0, FACE / 2 - scale * x], [0, scale, FACE / 2 - scale * y]])
    if pixels.shape[:2] != video.size:
        matrix[:, :2] *= video.size[0] / pixels.shape[0]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(pixels, matrix, (FACE, FACE), flags=how, borderValue=BORDER), np.uint8)
