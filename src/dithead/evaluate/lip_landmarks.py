"""Measures the lips in pictures with FaceMesh: opening, width and landmarks of the mouth, frame by frame.

FaceMesh tracks the face from frame to frame. On re-encoded and on noisy copies of a clip, tracking gives a steadier
opening than detection of the face in every picture; it is as repeatable, and takes 4 ms a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.evaluate.lip_series import LipSeries
from dithead.face.alignment import EYE_DISTANCE, crop_transform, transform_points
from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import LIP_INDICES
from dithead.face.tracking import track_faces
from dithead.types import RGB, Landmarks

FRAME_RATE = 25.0
"""Frames per second of pictures that have no times of their own: that of prepared datasets."""


def track_landmarks(frames: Iterable[RGB]) -> list[Landmarks | None]:
    """Return the landmarks (478, 3) in pixels of the face that ``generate`` redraws; None where it is not found."""
    return [seen.landmarks for seen in track_faces(np.ascontiguousarray(frame) for frame in frames)]


def lip_series_of(landmarks: Sequence[Landmarks | None], times: Sequence[float] | NDArray[np.float64]) -> LipSeries:
    """Return the lip series of tracked frames at ``times`` (N,) in seconds."""
    openings, widths = np.full((2, len(landmarks)), np.nan)
    mouth = np.full((len(landmarks), len(LIP_INDICES), 2), np.nan)
    for i, face in enumerate(landmarks):
        aligned = None if face is None else _aligned_mouth(face)
        if face is not None and aligned is not None:
            openings[i], widths[i], mouth[i] = lip_opening(face), lip_width(face), aligned
    return LipSeries(np.asarray(times, np.float64), openings, widths, mouth)


def track_lips(frames: Iterable[RGB], rate: float = FRAME_RATE) -> LipSeries:
    """Measure the lips in a sequence of pictures, without any video file.

    Args:
        frames: uint8 (N, H, W, 3), whole frames or aligned crops alike.
        rate: Frames per second.

    For example, to judge a checkpoint in seconds::

        truth = track_lips(true_crops)
        compare_self(track_lips(generated_crops), truth)["lip_correlation"]
    """
    landmarks = track_landmarks(frames)
    return lip_series_of(landmarks, np.arange(len(landmarks)) / rate)


def _aligned_mouth(face: Landmarks) -> NDArray[np.float64] | None:
    """Landmarks of the mouth aligned on eyes and nose, in eye distances; None for a degenerate face."""
    try:
        transform = crop_transform(face, 1)
    except FaceError:
        return None
    points = np.asarray(face[list(LIP_INDICES)], np.float64)
    return transform_points(points, transform).astype(np.float64) / EYE_DISTANCE
