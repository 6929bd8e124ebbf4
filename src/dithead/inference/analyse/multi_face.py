"""Follows several faces through a shot, each by its number, and chooses those to draw on.

Every frame is searched for all faces. Each is matched to a known face by its expected place, its size and a thumbnail,
so that two faces may cross. Numbers count from 1, from left to right where the shot begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError
from dithead.face.alignment import crop_transform, warp_crop
from dithead.face.landmarks import FaceLandmarker, face_box
from dithead.face.tracking import FORGET_AFTER, CutDetector, never
from dithead.types import Landmarks, RGBLike

_THUMBNAIL = 16  # pixels: side of the thumbnail by which a face is recognised
_FARTHEST = 1.0  # face widths from the expected place within which a face may be the same
_TOO_UNLIKE = 1.5  # matching cost above which a face is a new one (our choice, as are the weights in ``_cost``)


@dataclass(frozen=True)
class FaceChoice:
    """Which faces of each shot to draw on: ``largest``, ``left``, ``right``, ``all``, a number, or a point."""

    kind: str
    numbers: frozenset[int] = frozenset()
    point: tuple[float, float] = (0.0, 0.0)

    @staticmethod
    def parse(text: str) -> FaceChoice | None:
        """Read ``largest``, ``left``, ``right``, ``all``, a number N from 1, or ``X,Y`` in pixels.

        Returns:
            The choice, or None for ``largest``, for which ``face.tracking`` is quicker.

        Raises:
            ConfigError: The text is none of these.
        """
        if text == "largest":
            return None
        if text in ("left", "right", "all"):
            return FaceChoice(text)
        if re.fullmatch(r"[1-9]\d?", text):
            return FaceChoice("numbers", frozenset({int(text)}))
        if found := re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", text):
            return FaceChoice("point", point=(float(found[1]), float(found[2])))
        raise ConfigError(f"unknown face '{text}'; give largest, left, right, all, a number from 1, or X,Y in pixels")

    def pick(self, faces: dict[int, Landmarks]) -> set[int] | None:
        """Choose among the faces (number to landmarks) that a shot shows first; None while there is none to choose."""
        if self.kind == "numbers":
            return set(self.numbers)
        if not faces:
            return None
        centres = {number: face[:, :2].mean(axis=0) for number, face in faces.items()}
        if self.kind == "point":
            return {min(centres, key=lambda n: float(np.linalg.norm(centres[n] - self.point)))}
        side = min if self.kind == "left" else max
        return {side(centres, key=lambda n: float(centres[n][0]))}


def follow_faces(
    frames: Iterable[RGBLike],
    choice: FaceChoice,
    landmarker: FaceLandmarker | None = None,
    new_shot: Callable[[], bool] = never,
) -> Iterator[tuple[dict[int, Landmarks | None], int]]:
    """Yield for each frame the chosen faces' landmarks by number (None: not seen now) and the shot's number.

    Args:
        frames: (H, W, 3) each.
        choice: Which faces of each shot to follow.
        landmarker: A face landmarker to use; a new one by default.
        new_shot: Whether the frame taken last is known to begin a shot, however it looks.
    """
    if landmarker is None:
        with FaceLandmarker() as own:
            yield from follow_faces(frames, choice, own, new_shot)
        return
    cuts, known, chosen = CutDetector(), FaceMemory(), None
    for frame in frames:
        if cuts.is_cut(frame, forced=new_shot()):
            known, chosen = FaceMemory(), None
        faces = known.step(frame, landmarker.detect(frame))
        if choice.kind == "all":
            yield {n: faces.get(n) for n in known.numbers}, cuts.shot
            continue
        if chosen is None:
            chosen = choice.pick(faces)
        yield {n: faces.get(n) for n in chosen or ()}, cuts.shot


@dataclass
class _KnownFace:
    centre: NDArray[np.float64]
    velocity: NDArray[np.float64]
    width: float
    thumbnail: NDArray[np.float32]
    missing: int = 0


class FaceMemory:
    """Remembers the faces of one shot, and gives each detection the number of a known face or a new one."""

    def __init__(self) -> None:
        self._known: dict[int, _KnownFace] = {}
        self._count = 0

    @property
    def numbers(self) -> list[int]:
        """The numbers of the faces that are visible or were so lately."""
        return [number for number, face in self._known.items() if face.missing <= FORGET_AFTER]

    def step(self, frame: RGBLike, detections: list[Landmarks]) -> dict[int, Landmarks]:
        """Match the faces detected in the next frame with the known ones.

        Args:
            frame: (H, W, 3).
            detections: Landmarks (478, 3) of each face in it.

        Returns:
            The landmarks by the number of the face.
        """
        left_to_right = sorted(detections, key=lambda face: float(face[:, 0].mean()))
        seen = [_seen(frame, face) for face in left_to_right]
        pairs = sorted(
            (cost, number, k)
            for number, known in self._known.items()
            for k, new in enumerate(seen)
            if (cost := _cost(known, new)) < _TOO_UNLIKE
        )
        match: dict[int, int] = {}
        for _, number, k in pairs:
            if number not in match.values() and k not in match:
                match[k] = number
        for k in range(len(seen)):
            if k not in match:
                self._count += 1
                match[k] = self._count
        self._remember({match[k]: new for k, new in enumerate(seen)})
        return {match[k]: face for k, face in enumerate(left_to_right)}

    def _remember(self, seen: dict[int, _KnownFace]) -> None:
        for number, known in self._known.items():
            if number not in seen:
                known.missing += 1
                known.velocity *= 0.9
        for number, new in seen.items():
            old = self._known.get(number)
            if old is not None:
                step = (new.centre - old.centre) / (old.missing + 1)
                new.velocity = 0.6 * old.velocity + 0.4 * step
                new.thumbnail = 0.9 * old.thumbnail + 0.1 * new.thumbnail
            self._known[number] = new


def _seen(frame: RGBLike, face: Landmarks) -> _KnownFace:
    x0, _, x1, _ = face_box(face)
    crop = warp_crop(frame, crop_transform(face, 64), 64)
    thumbnail = cv2.resize(crop, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    centre = face[:, :2].mean(axis=0).astype(np.float64)
    return _KnownFace(centre, np.zeros(2), max(x1 - x0, 1.0), thumbnail)


def _cost(known: _KnownFace, new: _KnownFace) -> float:
    """The matching cost: 0 for the same face at its expected place, infinite when too far or of quite another size."""
    expected = known.centre + known.velocity * (known.missing + 1)
    distance = float(np.linalg.norm(new.centre - expected)) / known.width
    ratio = abs(float(np.log(new.width / known.width)))
    if distance > _FARTHEST * (1 + 0.1 * known.missing) or ratio > 0.7:
        return float("inf")
    return distance + ratio + 4.0 * float(np.abs(new.thumbnail - known.thumbnail).mean())
