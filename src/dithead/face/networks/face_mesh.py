"""The attention mesh: 478 landmarks of the face in one region, with refined lips, eyes and irises.

Grishchenko et al. 2020 (arXiv 2006.10962): a first network predicts a mesh of 468 landmarks and a map of features.
For the lips and each eye a window of that map, placed by the landmarks there, goes to a second network, which
predicts those landmarks more exactly in the window. MediaPipe keeps both in one file with operations of its own that
place and cut the windows; here they are two files with NumPy between. Letters: P points, C channels, M windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dithead.face.networks.refined_points import EYELID_POINTS, LEFT_EYE, LEFT_IRIS, LIPS, RIGHT_EYE, RIGHT_IRIS
from dithead.face.networks.region import Points, Region, as_input, cosine_and_sine, crop, direction, to_picture
from dithead.face.networks.runtime import Network
from dithead.types import RGBLike

SIDE = 192
"""Side of the input in pixels, and the unit of what the networks predict."""
_FEATURES = 48  # side of the map of features
_SCALE = np.float32(SIDE / _FEATURES)  # pixels of the input in one of that map
_WINDOW = 16  # side of a window after resampling
_WINDOW_SCALE = 1.5  # side of a window, in sides of the box around its landmarks
_MESH, _ALL = 468, 478  # landmarks before and after refinement

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Part:
    """A part of the face that has a window of its own."""

    points: NDArray[np.intp]  # landmarks that place the window
    level: tuple[int, int]  # landmarks that are level in the window, left to right in the picture


_PARTS = (
    _Part(np.array(LIPS), (61, 291)),
    _Part(np.array(RIGHT_EYE), (33, 133)),
    _Part(np.array(LEFT_EYE), (362, 263)),
)
_OUTPUTS = tuple(
    (np.array(landmarks), part)
    for landmarks, part in ((LIPS, 0), (RIGHT_EYE, 1), (RIGHT_IRIS, 1), (LEFT_EYE, 2), (LEFT_IRIS, 2))
)
"""Of each output of the second network: the landmarks it predicts, and the number of the part in whose window."""
_IRISES = tuple(
    (np.array(iris), np.array(eye[:EYELID_POINTS])) for iris, eye in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE))
)
"""Landmarks of each iris, and the edges of the eyelids at whose mean depth it lies."""


@dataclass(frozen=True)
class Window:
    """An affine map from a window's pixels to the map of features."""

    matrix: Array  # (2, 2)
    offset: Array  # (2,)


class FaceMesh:
    """Finds the landmarks of the face in one region.

    Args:
        confidence: Score from which there is a face, 0 to 1.
    """

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence
        self._mesh, self._refinement = Network("face_mesh"), Network("face_mesh_refinement")

    def locate(self, image: RGBLike, region: Region) -> Points | None:
        """Return landmarks (478, 3) relative to the picture (H, W, 3), or None where the region shows no face."""
        mesh, score, features = self._mesh(as_input(crop(image, region, SIDE)))
        if 1 / (1 + np.exp(-float(score.reshape(())))) <= self.confidence:
            return None
        points = self._refined(mesh.reshape(_MESH, 3), features[0])
        return to_picture(points, region)

    def _refined(self, mesh: Array, features: Array) -> Array:
        """The mesh (468, 3) with refined lips and eyes and with irises: (478, 3), relative to the input."""
        windows = [_place(mesh[:, :2] / _SCALE, part) for part in _PARTS]
        outputs = self._refinement(*resample(features, windows)[:, None])
        points = np.zeros((_ALL, 3), np.float32)
        points[:_MESH] = mesh
        for output, (landmarks, part) in zip(outputs, _OUTPUTS, strict=True):
            window = windows[part]
            points[landmarks, :2] = apply(window.matrix, output[0], window.offset * _SCALE)
        points /= np.float32(SIDE)
        for iris, eyelids in _IRISES:
            points[iris, 2] = points[eyelids, 2].mean(dtype=np.float64)
        return points


def _place(mesh: Array, part: _Part) -> Window:
    return place_window(mesh[part.points], mesh[part.level[0]], mesh[part.level[1]])


def place_window(points: Array, left: Array, right: Array) -> Window:
    """Place the window around landmarks.

    Args:
        points: (P, 2) that it must show, in pixels of the map of features.
        left: (2,) first point of a line that is level in the window.
        right: (2,) last point of that line.
    """
    dx, dy = right - left
    cosine, sine = cosine_and_sine(direction(dx, dy))
    turn = np.array([[cosine, -sine], [sine, cosine]], np.float32)  # window axes -> map axes
    level = apply(turn.T, points)
    low, high = level.min(axis=0), level.max(axis=0)
    matrix = turn * ((high - low) * np.float32(_WINDOW_SCALE / _WINDOW))
    centre = apply(turn, (low + high)[None] / np.float32(2))
    return Window(matrix, apply(matrix, np.full((1, 2), -_WINDOW / 2, np.float32), centre[0])[0])


_ZERO = np.float32(0)


def apply(matrix: Array, points: Array, offset: Array | np.float32 = _ZERO) -> Array:
    """Map points (P, 2) by a matrix (2, 2) and an offset (2,); sums run in order, without fused operations."""
    return points[:, :1] * matrix[:, 0] + points[:, 1:] * matrix[:, 1] + offset


_PIXELS = np.stack(np.meshgrid(np.arange(_WINDOW), np.arange(_WINDOW)), axis=-1).reshape(-1, 2).astype(np.float32)


def resample(features: Array, windows: Sequence[Window]) -> Array:
    """Resample a map of features in windows, linearly; outside the map there are zeros.

    Args:
        features: (48, 48, C).
        windows: Where, M of them.

    Returns:
        (M, 16, 16, C).
    """
    at = np.concatenate([_sample_points(window) for window in windows])
    last = features.shape[0] - 1
    inside = ((at >= 0) & (at <= last)).all(axis=1)
    corner = np.clip(np.floor(at), 0, last - 1)
    right, down = (at - corner).T[:, :, None]
    columns, rows = corner.astype(np.intp).T
    flat, first = features.reshape(-1, features.shape[-1]), rows * features.shape[1] + columns
    below = first + features.shape[1]
    upper = _blend(flat.take(first, axis=0), flat.take(first + 1, axis=0), right)
    lower = _blend(flat.take(below, axis=0), flat.take(below + 1, axis=0), right)
    values = _blend(upper, lower, down) * inside[:, None]
    return values.reshape(len(windows), _WINDOW, _WINDOW, -1)


def _sample_points(window: Window) -> Array:
    """Where the pixels of a window lie in the map of features, (256, 2); 0 is the centre of its first pixel."""
    half = window.matrix.astype(np.float64) * 0.5  # from a pixel's corner to its centre
    return apply(window.matrix, _PIXELS, (window.offset + (half[:, 0] + half[:, 1] - 0.5)).astype(np.float32))


def _blend(one: Array, other: Array, share: Array) -> Array:
    """Linear interpolation, in 32 bits: MediaPipe rounds otherwise, which moves no landmark by 0.001 pixels."""
    return one + share * (other - one)
