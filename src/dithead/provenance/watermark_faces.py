"""Find every face of a suspect video, and collect the coefficients in which a watermark would lie.

The video is read twice, first for the landmarks of all frames and then for the pixels, so that the alignment can be
smoothed over time as it was when the mark was made. Letters: N frames; b spans of time; K coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os import PathLike
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import crop_transform, smooth_transform_array
from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import eye_distance
from dithead.face.tracking import LONGEST_GAP, CutDetector, overlap
from dithead.media.video import VideoFrame, read_frames
from dithead.provenance.watermark_grid import CROP_SIDE, grid_transform, sample
from dithead.provenance.watermark_pattern import coefficients
from dithead.types import RGB, Landmarks, Similarity

Progress: TypeAlias = Callable[[str, int, int | None], None]
SPAN = 0.25
"""Seconds over which coefficients are added up. Our choice."""
_SAME = 0.2  # intersection over union of the boxes of one face in neighbouring frames, at least


@dataclass
class FaceTrack:
    """One face from where it appears to where it is lost or the shot ends."""

    first: int  # number of its first frame
    transforms: list[Similarity] = field(default_factory=list)  # (2, 3) from frame pixels to the aligned crop
    eye_pixels: list[float] = field(default_factory=list)  # distance between the eyes
    last: Landmarks | None = None

    @property
    def stop(self) -> int:
        """The number after that of its last frame."""
        return self.first + len(self.transforms)

    @property
    def face_pixels(self) -> float:
        """About how wide the face is, in pixels."""
        return 1.5 * float(np.median(self.eye_pixels))

    def add(self, number: int, landmarks: Landmarks) -> None:
        """Take the face of frame ``number``; frames in between in which it was not seen repeat the last one."""
        transform = crop_transform(landmarks, CROP_SIDE)
        missing = number - self.stop
        self.transforms += [self.transforms[-1]] * missing + [transform] if self.transforms else [transform]
        self.eye_pixels.append(eye_distance(landmarks))
        self.last = landmarks


@dataclass
class FaceEvidence:
    """What a face's frames say about a mark, whatever its key."""

    first: float  # seconds in the video
    last: float
    face_pixels: float
    sums: NDArray[np.float32]  # (b, K) coefficients added up over each span
    counts: NDArray[np.int64]  # (b,) frames of each span
    power: NDArray[np.float64]  # (K,) their mean square over all frames, which says how much each of them varies
    first_span: int  # number of the first span, counted from the video's beginning


def collect_evidence(path: str | PathLike[str], progress: Progress) -> list[FaceEvidence]:
    """Return the evidence of every face of a video, in order of appearance.

    Args:
        path: A video.
        progress: Called with what is being done, the frames done and None.

    Raises:
        MediaError: The video cannot be read.
    """
    tracks = find_faces(frame.quick_pixels for frame in _counted(path, "finding faces", progress))
    return gather(_counted(path, "reading the mark", progress), tracks)


def find_faces(frames: Iterable[RGB]) -> list[FaceTrack]:
    """Follow all faces through the frames (H, W, 3) of a video."""
    done: list[FaceTrack] = []
    active: list[FaceTrack] = []
    cuts = CutDetector()
    with FaceLandmarker() as landmarker:
        for number, frame in enumerate(frames):
            if cuts.is_cut(frame):
                landmarker.reset()
                active = []
            for face in landmarker.track_all(frame) or landmarker.detect(frame):
                track = max(active, key=lambda t: overlap(face, t.last), default=None)
                if track is None or track.stop > number or overlap(face, track.last) < _SAME:
                    track = FaceTrack(number)
                    active.append(track)
                    done.append(track)
                track.add(number, face)
            active = [track for track in active if number - track.stop < LONGEST_GAP]
    return done


def gather(frames: Iterable[VideoFrame], tracks: list[FaceTrack]) -> list[FaceEvidence]:
    """Return the evidence of each track, from the same frames again."""
    smoothed = [smooth_transform_array(np.stack(track.transforms)) for track in tracks]
    sums: list[dict[int, NDArray[np.float32]]] = [{} for _ in tracks]
    counts: list[dict[int, int]] = [{} for _ in tracks]
    squares = [np.zeros(0) for _ in tracks]
    times: list[list[float]] = [[] for _ in tracks]
    for number, frame in enumerate(frames):
        shown = [k for k, track in enumerate(tracks) if track.first <= number < track.stop]
        luma = cv2.cvtColor(frame.quick_pixels, cv2.COLOR_RGB2GRAY) if shown else None
        for k in shown:
            assert luma is not None
            found = coefficients(sample(luma, grid_transform(smoothed[k][number - tracks[k].first], CROP_SIDE)))
            span = int(frame.time / SPAN + 1e-6)
            sums[k][span] = sums[k][span] + found if span in sums[k] else found
            counts[k][span] = counts[k].get(span, 0) + 1
            squares[k] = found.astype(np.float64) ** 2 + (squares[k] if len(squares[k]) else 0)
            times[k].append(frame.time)
    return [_evidence(*each) for each in zip(tracks, sums, counts, squares, times, strict=True)]


def _evidence(
    track: FaceTrack,
    sums: dict[int, NDArray[np.float32]],
    counts: dict[int, int],
    squares: NDArray[np.float64],
    times: list[float],
) -> FaceEvidence:
    low, high = min(sums), max(sums)
    empty = np.zeros(len(squares), np.float32)
    return FaceEvidence(
        times[0],
        times[-1],
        track.face_pixels,
        np.stack([sums.get(span, empty) for span in range(low, high + 1)]),
        np.array([counts.get(span, 0) for span in range(low, high + 1)]),
        squares / len(times),
        low,
    )


def _counted(path: str | PathLike[str], what: str, progress: Progress) -> Iterable[VideoFrame]:
    for frame in read_frames(path):
        yield frame
        progress(what, frame.index + 1, None)
