"""Reads the lips off pictures: FaceMesh on every frame, whatever tool made them.

FaceMesh follows the face from frame to frame: on re-encoded and on noisy copies of a clip that gives a
steadier aperture than finding the face anew in every picture; it is as repeatable, and takes 4 ms a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.evaluate.lip_series import LipSeries
from dithead.face.alignment import EYE_DISTANCE, crop_transform, transform_points
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_aperture
from dithead.face.mesh_indices import LIP_INDICES
from dithead.types import RGB, Landmarks

FRAME_RATE = 25.0


def track_faces(frames: Iterable[RGB]) -> list[Landmarks | None]:
    """Landmarks (478, 3) in pixels of every frame's main face; None where it was missed."""
    with FaceLandmarker() as landmarker:
        return [landmarker.track(np.ascontiguousarray(frame)) for frame in frames]


def series_of(landmarks: Sequence[Landmarks | None], times: Sequence[float] | NDArray[np.float64]) -> LipSeries:
    """The lip series of tracked frames at ``times`` (N,) in seconds."""
    aperture = np.full(len(landmarks), np.nan)
    mouth = np.full((len(landmarks), len(LIP_INDICES), 2), np.nan)
    for i, face in enumerate(landmarks):
        aligned = None if face is None else _aligned_mouth(face)
        if face is not None and aligned is not None:
            aperture[i], mouth[i] = lip_aperture(face), aligned
    return LipSeries(np.asarray(times, np.float64), aperture, mouth)


def lip_series(frames: Iterable[RGB], rate: float = FRAME_RATE) -> LipSeries:
    """The lips of a run of pictures, uint8 (N, H, W, 3): whole frames or aligned crops alike.

    Works without any video file, so that a checkpoint can be judged in seconds::

        truth = lip_series(true_crops)
        compare(lip_series(made_crops), truth)["lip_correlation"]
    """
    landmarks = track_faces(frames)
    return series_of(landmarks, np.arange(len(landmarks)) / rate)


def _aligned_mouth(face: Landmarks) -> NDArray[np.float64] | None:
    try:
        transform = crop_transform(face, 1)
    except FaceError:
        return None
    points = np.asarray(face[list(LIP_INDICES)], np.float64)
    return transform_points(points, transform).astype(np.float64) / EYE_DISTANCE
