"""Which pictures of a person a skin is made from.

Letters: N frames of a clip, S side of its pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.lip_opening import lip_aperture
from dithead.face.mesh_indices import MESH_LANDMARKS, eye_distance
from dithead.face.pose import nose_direction
from dithead.synth.skin.reflectance import View
from dithead.types import RGB, FloatArray, Wave

VIEWS = 6  # pictures a skin is made of
CLIPS = 6  # of one person, spread over all there are
MIN_EYES = 30.0  # pixels between the outer eye corners below which a picture shows no skin


class Footage(Protocol):
    """A clip a skin is made from: `dithead.prepare.dataset.Clip` is one."""

    @property
    def id(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def licence(self) -> str: ...
    def frames(self) -> NDArray[np.uint8]:
        """Pictures (N, S, S, 3)."""

    def track(self) -> Any:
        """Has landmarks (N, 478, 2), valid (N,) and transforms (N, 2, 3)."""

    def meta(self) -> dict[str, Any]:
        """Has source_size."""

    def audio(self) -> Wave:
        """Mono samples at 16 kHz."""


def some_of(clips: Sequence[Footage]) -> list[Footage]:
    """At most CLIPS of one person's clips, spread evenly over all."""
    spread = sorted(clips, key=lambda clip: clip.id)
    return [spread[i] for i in np.unique(np.linspace(0, len(spread) - 1, CLIPS).astype(int))]


def choose_views(clips: Sequence[Footage]) -> list[View]:
    """Up to VIEWS pictures: the straightest sharp one with closed lips, then those turned furthest from the chosen."""
    found: list[tuple[View, NDArray[np.float64], float]] = []
    for clip in clips:
        track, size = clip.track(), clip.meta().get("source_size")
        frames = clip.frames()
        for i in range(0, len(frames), max(len(frames) // 40, 1)):
            points = track.landmarks[i]
            if track.valid[i] and eye_distance(points) >= MIN_EYES:
                view = View(frames[i], points, _taken(frames[i], track.transforms[i], size))
                found.append((view, nose_direction(points), _merit(frames[i], points)))
    if not found:
        raise FaceError(f"no frame shows a face with {MIN_EYES:.0f} pixels between the eyes")
    turns, merit = np.stack([t for _, t, _ in found]), np.array([m for *_, m in found])
    chosen = [int(np.argmax(merit - 3 * np.linalg.norm(turns - np.median(turns, axis=0) * (0, 1), axis=1)))]
    while len(chosen) < min(VIEWS, len(found)):
        away = np.min([np.linalg.norm(turns - turns[c], axis=1) for c in chosen], axis=0)
        value = np.minimum(away, 0.25) + 0.12 * merit
        value[chosen] = -np.inf
        chosen.append(int(np.argmax(value)))
    return [found[c][0] for c in chosen]


def _taken(picture: RGB, transform: NDArray[np.float64], source: Sequence[int] | None) -> NDArray[np.bool_]:
    """Which pixels of an aligned crop lie inside the frame it was cut from."""
    height, width = picture.shape[:2]
    if source is None:
        return np.ones((height, width), bool)
    inside = np.full((int(source[1]), int(source[0])), 255, np.uint8)
    return np.asarray(cv2.warpAffine(inside, np.asarray(transform, np.float64), (width, height)) > 250)


def _merit(picture: RGB, points: FloatArray) -> float:
    """Sharp pictures with closed lips first."""
    low, high = points[:MESH_LANDMARKS].min(axis=0).astype(int).clip(0), points[:MESH_LANDMARKS].max(axis=0).astype(int)
    grey = cv2.cvtColor(picture[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    sharp = np.log(float(cv2.Laplacian(grey, cv2.CV_32F).var()) + 1) if grey.size else 0.0
    return 0.15 * sharp - 4.0 * max(lip_aperture(points) - 0.03, 0)
