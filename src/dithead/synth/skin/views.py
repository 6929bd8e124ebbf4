"""Chooses the pictures of a person from which a skin is made.

Letters: N frames of a clip, S side of its pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.lip_opening import lip_opening
from dithead.face.mesh_indices import MESH_LANDMARKS, eye_distance
from dithead.face.pose import nose_direction
from dithead.synth.skin.projection import SkinView
from dithead.types import RGB, FloatArray, Wave

MAX_VIEWS = 6
"""Pictures from which a skin is made; our choice."""
MAX_CLIPS = 6
"""Clips of one person that are searched for pictures; our choice."""
MIN_EYE_DISTANCE = 30.0
"""Pixels between the outer eye corners below which a picture shows no skin; our choice."""
_SEARCHED = 40  # pictures of each clip that are considered


class Footage(Protocol):
    """A clip from which a skin can be made; `dithead.prepare.dataset.Clip` is one."""

    @property
    def id(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def licence(self) -> str: ...
    def frames(self) -> NDArray[np.uint8]:
        """Return the pictures (N, S, S, 3)."""

    def track(self) -> Any:
        """Return an object with ``landmarks`` (N, 478, 2), ``valid`` (N,) and ``transforms`` (N, 2, 3)."""

    def meta(self) -> dict[str, Any]:
        """Return a dictionary with ``source_size``, width and height."""

    def audio(self) -> Wave:
        """Return mono samples at 16 kHz."""


class _Candidate(NamedTuple):
    view: SkinView
    direction: NDArray[np.float64]  # (2,) see `face.pose.nose_direction`
    quality: float


def select_clips(clips: Sequence[Footage]) -> list[Footage]:
    """Choose at most MAX_CLIPS of one person's clips, spread evenly over all."""
    ordered = sorted(clips, key=lambda clip: clip.id)
    return [ordered[i] for i in np.unique(np.linspace(0, len(ordered) - 1, MAX_CLIPS).astype(int))]


def choose_views(clips: Sequence[Footage]) -> list[SkinView]:
    """Choose up to MAX_VIEWS pictures of one person.

    The first is the straightest sharp one with closed lips; each further one is turned furthest from those chosen.

    Raises:
        FaceError: when no picture shows the face large enough.
    """
    found = [candidate for clip in clips for candidate in _candidates(clip)]
    if not found:
        raise FaceError(f"no frame shows a face with {MIN_EYE_DISTANCE:.0f} pixels between the eyes; use larger clips")
    directions, quality = np.stack([c.direction for c in found]), np.array([c.quality for c in found])
    straight = np.median(directions, axis=0) * (0, 1)
    chosen = [int(np.argmax(quality - 3 * np.linalg.norm(directions - straight, axis=1)))]
    while len(chosen) < min(MAX_VIEWS, len(found)):
        away = np.min([np.linalg.norm(directions - directions[c], axis=1) for c in chosen], axis=0)
        value = np.minimum(away, 0.25) + 0.12 * quality
        value[chosen] = -np.inf
        chosen.append(int(np.argmax(value)))
    return [found[c].view for c in chosen]


def _candidates(clip: Footage) -> Iterator[_Candidate]:
    """Pictures of a clip that show a face large enough."""
    track, size, frames = clip.track(), clip.meta().get("source_size"), clip.frames()
    for i in range(0, len(frames), max(len(frames) // _SEARCHED, 1)):
        points = track.landmarks[i]
        if track.valid[i] and eye_distance(points) >= MIN_EYE_DISTANCE:
            view = SkinView(frames[i], points, _inside_source(frames[i], track.transforms[i], size))
            yield _Candidate(view, nose_direction(points), _quality(frames[i], points))


def _inside_source(picture: RGB, transform: NDArray[np.float64], source: Sequence[int] | None) -> NDArray[np.bool_]:
    """Which pixels of an aligned crop (S, S) lie inside the frame from which it was cut."""
    height, width = picture.shape[:2]
    if source is None:
        return np.ones((height, width), bool)
    inside = np.full((int(source[1]), int(source[0])), 255, np.uint8)
    return np.asarray(cv2.warpAffine(inside, np.asarray(transform, np.float64), (width, height)) > 250)


def _quality(picture: RGB, points: FloatArray) -> float:
    """Higher for sharp pictures with closed lips."""
    low, high = points[:MESH_LANDMARKS].min(axis=0).astype(int).clip(0), points[:MESH_LANDMARKS].max(axis=0).astype(int)
    grey = cv2.cvtColor(picture[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    sharpness = np.log(float(cv2.Laplacian(grey, cv2.CV_32F).var()) + 1) if grey.size else 0.0
    return 0.15 * sharpness - 4.0 * max(lip_opening(points) - 0.03, 0)
