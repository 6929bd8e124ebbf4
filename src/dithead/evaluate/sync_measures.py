"""Does a video speak its own sound? Our scoring expert, and the original SyncNet when its weights are given.

Every video is read at 25 frames a second, with the sound that its own file holds unless told otherwise. The names
differ, because the numbers may not be mixed: ``sync_*`` are our expert's, ``lse_*`` the original's.
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
from dithead.evaluate.observe_video import CROP, Observation
from dithead.face.alignment import invert, transform_points
from dithead.media.audio import read_audio
from dithead.media.video import read_frames
from dithead.types import RGB, Similarity, Wave

RATE = 16000
OURS = ("sync_confidence", "sync_distance", "sync_offset")
ORIGINAL = ("lse_c", "lse_d", "lse_offset")
_FEWEST = 10  # frames
_CENTRE, _SIDE = (0.5, 0.56), 1.26  # of SyncNet's face square, in sides of our crop: from brow to below the chin
_SMOOTH = 13  # frames over which its authors take the median of the face's place


def expert_missing() -> str | None:
    """Why our expert cannot score; None when it can."""
    try:
        load_shipped_expert()
    except ModelError as error:
        return str(error)
    return None


def speech_measures(video: Observation, sound: Wave | None = None, original: SyncNet | None = None) -> Measures:
    """``sync_*`` of one video and, with the original SyncNet, ``lse_*``; NaN where they cannot be measured.

    ``sound`` (n,) at 16 kHz takes the place of the file's own. Offsets are frames at 25 a second by which the sound
    runs late.
    """
    wave = _sound(video, sound)
    measures: Measures = {}
    if expert_missing() is None:
        measures |= _named(OURS, None if wave is None else _ours(video, wave))
    if original is not None:
        measures |= _named(ORIGINAL, None if wave is None else _original(video, wave, original))
    return measures


def _named(names: tuple[str, ...], found: Offset | None) -> Measures:
    if found is None:
        return dict.fromkeys(names, float("nan"))
    return dict(zip(names, (found.confidence, found.distance, float(found.frames)), strict=True))


def _sound(video: Observation, sound: Wave | None) -> Wave | None:
    try:
        wave = read_audio(video.path, RATE) if sound is None else sound
    except MediaError:  # a file without sound, or whose sound is damaged
        return None
    return wave if np.any(wave) else None


def _clock(video: Observation) -> NDArray[np.intp] | None:
    """For every frame at 25 a second, the nearest one in which the face's place is known; None if they are few."""
    known = np.array([i for i, place in enumerate(video.transforms) if place is not None])
    ticks = np.arange(int(video.duration * FPS + 1e-6)) / FPS
    if len(ticks) < _FEWEST or len(known) < video.frames / 2:
        return None
    wanted = video.nearest(ticks)
    return known[np.abs(known[None, :] - wanted[:, None]).argmin(axis=1)]


def _ours(video: Observation, wave: Wave) -> Offset | None:
    frames, places = _clock(video), _lips(video)
    if frames is None or not len(places):
        return None
    return find_crops_offset(video.crops[frames], mouth_centre(places), wave)


def _lips(video: Observation) -> NDArray[np.float32]:
    """Landmarks in crop pixels (n, 478, 2) of the frames that have them."""
    pairs = zip(video.landmarks, video.transforms, strict=True)
    return np.array([transform_points(face, place) for face, place in pairs if face is not None and place is not None])


def _original(video: Observation, wave: Wave, net: SyncNet) -> Offset | None:
    frames = _clock(video)
    if frames is None or min(len(frames), len(wave) * FPS // RATE) < WINDOW + _FEWEST:
        return None
    squares, wanted = _squares(video), set(frames.tolist())
    faces = {i: _face(f.pixels, squares[i], video) for i, f in enumerate(read_frames(video.path)) if i in wanted}
    return find_offset(*net.embed(np.stack([faces[i] for i in frames]), wave))


def _squares(video: Observation) -> NDArray[np.float64]:
    """Centre and side (N, 3) of an upright square around the whole face in frame pixels, steadied over time."""
    known = [i for i, place in enumerate(video.transforms) if place is not None]
    rows = np.array([_square(place) for place in video.transforms if place is not None])
    every = np.stack([np.interp(np.arange(video.frames), known, column) for column in rows.T], axis=1)
    half = _SMOOTH // 2
    padded = np.pad(every, ((half, half), (0, 0)), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH, axis=0), axis=-1)


def _square(place: Similarity) -> tuple[float, float, float]:
    back = invert(place)
    x, y = transform_points(np.array(_CENTRE, np.float64) * CROP, back)
    return float(x), float(y), _SIDE * CROP * float(np.linalg.norm(back[:, 0]))


def _face(pixels: RGB, square: NDArray[np.float64], video: Observation) -> RGB:
    """The square cut out (224, 224, 3), grey beyond the picture; ``square`` is in the pixels of the crop's source."""
    x, y, side = square
    scale = FACE / side
    matrix = np.array([[scale, 0, FACE / 2 - scale * x], [0, scale, FACE / 2 - scale * y]])
    if pixels.shape[:2] != video.size:  # read at its guide's size
        matrix[:, :2] *= video.size[0] / pixels.shape[0]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(pixels, matrix, (FACE, FACE), flags=how, borderValue=(110, 110, 110)), np.uint8)
