"""Follow one face through a video, frame by frame, in constant memory; find the cuts between shots.

The main face of a shot is the largest where the shot begins; after that, continuity decides and not size.
Letters: N frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.landmarks import FaceLandmarker, face_box
from dithead.stages import stage
from dithead.types import Landmarks, RGBLike, RGBWithThumbnail

CUT_THRESHOLDS = ((5.0, 8.0), (25.0, 3.0))
"""A cut changes the picture by more than the first number and by more than the second number times the shot's motion.

Changes are mean absolute differences of thumbnails, 0 to 255. Either pair suffices: a small change is enough in a shot
with little motion, where speakers cut out their pauses. Our choice.
"""
_INITIAL_MOTION = 0.7  # change between frames of a talking person before a still camera, in the same unit
_MOTION_RATE = 0.1  # share of the newest change in the running mean of the motion
_THUMBNAIL = (32, 24)  # width and height in pixels
SAME_FACE_OVERLAP = 0.2
"""Intersection over union of the boxes of a face in two neighbouring frames, at least. Our choice."""
_SAME_TRACKER_OVERLAP = 0.5  # the same for the detected and the tracked face in one frame
FORGET_AFTER = 25
"""Frames without the face after which the largest face is followed instead. Our choice."""
LONGEST_GAP = 12
"""Missing frames that are bridged by interpolation, at most. Our choice."""
LONGEST_EDGE = 6
"""Missing frames at either end of a span that repeat its nearest frame, at most. Our choice."""


@dataclass(frozen=True)
class FaceObservation:
    """The main face of one frame."""

    landmarks: Landmarks | None  # (478, 3) in pixels; None: not found
    shot: int  # number of the shot, from 0


def never() -> bool:
    """Return False: no cut is known of beforehand."""
    return False


def nowhere() -> None:
    """Return None: no place of the face is known of beforehand."""


def track_faces(
    frames: Iterable[RGBLike],
    landmarker: FaceLandmarker | None = None,
    new_shot: Callable[[], bool] = never,
    place: Callable[[], Landmarks | None] = nowhere,
) -> Iterator[FaceObservation]:
    """Yield one observation for each frame as it arrives; only one frame is held in memory.

    Args:
        frames: Pictures (H, W, 3).
        landmarker: May be shared between videos, as it is reset here; None: one is made and closed.
        new_shot: Whether the frame taken last is known to begin a shot, however it looks.
        place: Landmarks (478, 3) where the face of the frame taken last is known to be, as in another version of the
            video: the face that overlaps them most is followed instead of the main face.
    """
    if landmarker is None:
        with FaceLandmarker() as temporary:
            yield from track_faces(frames, temporary, new_shot, place)
        return
    tracker, cuts = _MainFace(landmarker), CutDetector()
    for frame in frames:
        if cuts.is_cut(frame, forced=new_shot()):
            tracker.restart()
        yield FaceObservation(tracker.step(frame, place()), cuts.shot)


class CutDetector:
    """Counts shots: a frame that differs from the last by more than the shot's own motion begins another."""

    def __init__(self) -> None:
        self.shot = 0
        self._last: NDArray[np.float32] | None = None
        self._motion = _INITIAL_MOTION

    def is_cut(self, frame: RGBLike, *, forced: bool = False) -> bool:
        """Return whether the next frame begins a shot, as the very first one does, or as is known (``forced``)."""
        with stage("cuts"):
            return self._is_cut(frame, forced)

    def _is_cut(self, frame: RGBLike, forced: bool) -> bool:
        if isinstance(frame, RGBWithThumbnail):
            small = frame.thumbnail(*_THUMBNAIL)
        else:
            small = cv2.resize(frame[:, :], _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._last = self._last, small
        if last is None:
            return True
        change = float(np.abs(small - last).mean())
        if forced or any(change > max(least, ratio * self._motion) for least, ratio in CUT_THRESHOLDS):
            self.shot, self._motion = self.shot + 1, _INITIAL_MOTION
            return True
        self._motion += _MOTION_RATE * (change - self._motion)
        return False


class _MainFace:
    """The state between frames: which face is followed, and by which of the landmarker's methods."""

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self.landmarker = landmarker
        self.restart()

    def restart(self) -> None:
        self.landmarker.reset()
        self.last: Landmarks | None = None
        self.missing = 0  # frames since the face was found
        self.crowded = False  # the fast tracker follows another face, so every frame is detected

    def step(self, frame: RGBLike, place: Landmarks | None) -> Landmarks | None:
        if place is not None:
            self.last = place
        found = self._first(frame) if self.last is None else self._next(frame)
        if found is not None:
            self.last, self.missing = found, 0
        else:
            self.missing += 1
            if self.missing > FORGET_AFTER:
                self.restart()
        return found

    def _first(self, frame: RGBLike) -> Landmarks | None:
        faces = self.landmarker.detect(frame)
        if not faces:
            return None
        return self._follow(frame, faces[0])

    def _next(self, frame: RGBLike) -> Landmarks | None:
        assert self.last is not None
        if not self.crowded:
            face = self.landmarker.track(frame)
            if face is not None and overlap(face, self.last) > SAME_FACE_OVERLAP:
                return face
            self.landmarker.reset()
        faces = self.landmarker.detect(frame)
        best = max(faces, key=lambda face: overlap(face, self.last), default=None)
        if best is None or overlap(best, self.last) <= SAME_FACE_OVERLAP / 4:
            return None
        return best if self.crowded else self._follow(frame, best)

    def _follow(self, frame: RGBLike, face: Landmarks) -> Landmarks:
        """Start the fast tracker; if it chooses another of several faces, detect every frame from here on."""
        tracked = self.landmarker.track(frame)
        if tracked is not None and overlap(tracked, face) > _SAME_TRACKER_OVERLAP:
            return tracked
        self.crowded = tracked is not None
        return face


def overlap(a: Landmarks, b: Landmarks | None) -> float:
    """Return the intersection over union of two faces' bounding boxes; 0 when there is no other face."""
    if b is None:
        return 0.0
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = face_box(a), face_box(b)
    both = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    either = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both
    return both / max(either, 1e-9)


def face_spans(
    observations: Sequence[FaceObservation], gap: int = LONGEST_GAP, edge: int = LONGEST_EDGE
) -> list[tuple[int, int]]:
    """Return the spans of frames in which one face is there, as half-open ranges; cuts and long gaps divide them.

    Args:
        observations: One for each frame.
        gap: Missing frames within a span, at most.
        edge: Missing frames of the same shot that are added at either end of a span, at most.
    """
    spans: list[tuple[int, int]] = []
    for i, observation in enumerate(observations):
        if observation.landmarks is None:
            continue
        if spans and i - spans[-1][1] <= gap and observations[spans[-1][0]].shot == observation.shot:
            spans[-1] = (spans[-1][0], i + 1)
        else:
            spans.append((i, i + 1))
    return [_extended(observations, span, edge) for span in spans]


def fill_gaps(landmarks: Sequence[Landmarks | None]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate the missing landmarks of a span.

    Args:
        landmarks: (478, 3) of each frame, or None; at least one frame must have them.

    Returns:
        Landmarks (N, 478, 3), and in which frames (N,) the face was found.
    """
    valid = np.array([face is not None for face in landmarks])
    known = np.flatnonzero(valid)
    found = np.stack([face for face in landmarks if face is not None])
    times = np.arange(len(landmarks))
    right = np.clip(np.searchsorted(known, times), 0, len(known) - 1)
    left = np.clip(np.searchsorted(known, times, side="right") - 1, 0, len(known) - 1)
    span = np.maximum(known[right] - known[left], 1)
    weight = np.clip((times - known[left]) / span, 0, 1)[:, None, None]
    return (found[left] * (1 - weight) + found[right] * weight).astype(np.float32), valid


def _extended(observations: Sequence[FaceObservation], span: tuple[int, int], edge: int) -> tuple[int, int]:
    """A span with up to ``edge`` frames of its shot more at either end, in which no face was found."""
    first, stop = span
    shot = observations[first].shot

    def free(i: int) -> bool:
        return 0 <= i < len(observations) and observations[i].landmarks is None and observations[i].shot == shot

    for _ in range(edge):
        first -= free(first - 1)
        stop += free(stop)
    return first, stop
