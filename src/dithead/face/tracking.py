"""One face followed through a video, frame by frame, in constant memory.

The main face of a shot is the largest where the shot begins; after that continuity decides, not size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.landmarks import FaceLandmarker, face_box
from dithead.types import RGB, Landmarks

# A cut changes the picture by (mean absolute difference of thumbnails, 0..255) so much, and so many times the
# shot's own motion: little is enough in a quiet shot, where people cut out their pauses.
CUTS = ((5.0, 8.0), (25.0, 3.0))
_MOTION_AT_FIRST = 0.7  # a talking person before a still camera
SAME_FACE_OVERLAP = 0.2  # intersection over union of boxes one frame apart
FORGET_AFTER = 25  # frames without the face after which any face will do
LONGEST_GAP = 12  # missing frames that are bridged by interpolation
LONGEST_EDGE = 6  # missing frames at either end of a run that repeat its nearest frame


@dataclass(frozen=True)
class FaceObservation:
    """What was seen in one frame: the main face's landmarks (478, 3) in pixels or None, and the shot's number."""

    landmarks: Landmarks | None
    shot: int


def track_faces(frames: Iterable[RGB], landmarker: FaceLandmarker | None = None) -> Iterator[FaceObservation]:
    """Yield one observation per frame, as the frames come; only one frame is held.

    ``landmarker`` may be shared between videos (it is reset here); without one, one is made and closed.
    """
    if landmarker is None:
        with FaceLandmarker() as own:
            yield from track_faces(frames, own)
        return
    tracker, cuts = _MainFace(landmarker), CutDetector()
    for frame in frames:
        if cuts.is_cut(frame):
            tracker.restart()
        yield FaceObservation(tracker.step(frame), cuts.shot)


class CutDetector:
    """Counts shots: a frame unlike the last one, more than the shot's own motion explains, begins another."""

    def __init__(self) -> None:
        self.shot = 0
        self._last: NDArray[np.float32] | None = None
        self._motion = _MOTION_AT_FIRST

    def is_cut(self, frame: RGB) -> bool:
        """True for the first frame of every shot, the very first one included."""
        small = cv2.resize(frame, (32, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._last = self._last, small
        if last is None:
            return True
        change = float(np.abs(small - last).mean())
        if any(change > max(least, ratio * self._motion) for least, ratio in CUTS):
            self.shot, self._motion = self.shot + 1, _MOTION_AT_FIRST
            return True
        self._motion += 0.1 * (change - self._motion)
        return False


class _MainFace:
    """The state between frames: which face is followed, and how."""

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self.landmarker = landmarker
        self.restart()

    def restart(self) -> None:
        self.landmarker.reset()
        self.last: Landmarks | None = None
        self.missing = 0
        self.crowded = False

    def step(self, frame: RGB) -> Landmarks | None:
        found = self._first(frame) if self.last is None else self._next(frame)
        if found is not None:
            self.last, self.missing = found, 0
        else:
            self.missing += 1
            if self.missing > FORGET_AFTER:
                self.restart()
        return found

    def _first(self, frame: RGB) -> Landmarks | None:
        faces = self.landmarker.detect(frame)
        if not faces:
            return None
        return self._follow(frame, faces[0])

    def _next(self, frame: RGB) -> Landmarks | None:
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

    def _follow(self, frame: RGB, face: Landmarks) -> Landmarks:
        """Start the fast tracker; should it pick another of several faces, detect every frame from here on."""
        tracked = self.landmarker.track(frame)
        if tracked is not None and overlap(tracked, face) > 0.5:
            return tracked
        self.crowded = tracked is not None
        return face


def overlap(a: Landmarks, b: Landmarks | None) -> float:
    """Intersection over union of two faces' bounding boxes; 0 when there is no other face."""
    if b is None:
        return 0.0
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = face_box(a), face_box(b)
    both = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    either = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both
    return both / max(either, 1e-9)


def face_spans(
    observations: Sequence[FaceObservation], gap: int = LONGEST_GAP, edge: int = LONGEST_EDGE
) -> list[tuple[int, int]]:
    """Half-open frame ranges in which one face is there: split at cuts and where it is away for over ``gap``.

    A run may begin and end with up to ``edge`` frames of its shot in which the face was not yet, or no
    longer, found.
    """
    runs: list[tuple[int, int]] = []
    for i, seen in enumerate(observations):
        if seen.landmarks is None:
            continue
        if runs and i - runs[-1][1] <= gap and observations[runs[-1][0]].shot == seen.shot:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return [_stretch(observations, run, edge) for run in runs]


def fill_gaps(landmarks: Sequence[Landmarks | None]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Landmarks (N, 478, 3) of one run with its gaps interpolated, and which frames (N,) were really seen.

    At least one frame must have landmarks.
    """
    valid = np.array([face is not None for face in landmarks])
    known = np.flatnonzero(valid)
    seen = np.stack([face for face in landmarks if face is not None])
    times = np.arange(len(landmarks))
    right = np.clip(np.searchsorted(known, times), 0, len(known) - 1)
    left = np.clip(np.searchsorted(known, times, side="right") - 1, 0, len(known) - 1)
    span = np.maximum(known[right] - known[left], 1)
    weight = np.clip((times - known[left]) / span, 0, 1)[:, None, None]
    return (seen[left] * (1 - weight) + seen[right] * weight).astype(np.float32), valid


def _stretch(observations: Sequence[FaceObservation], run: tuple[int, int], edge: int) -> tuple[int, int]:
    first, stop = run
    shot = observations[first].shot

    def free(i: int) -> bool:
        return 0 <= i < len(observations) and observations[i].landmarks is None and observations[i].shot == shot

    for _ in range(edge):
        first -= free(first - 1)
        stop += free(stop)
    return first, stop
