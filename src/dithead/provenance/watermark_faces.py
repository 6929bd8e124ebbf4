"""Find every face of a suspect video, and collect the evidence of a watermark from each.

The video is read twice, first for the landmarks of all frames and then for the pixels, so that the alignment can be
smoothed over time as it was when the mark was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TypeAlias

import cv2
import numpy as np

from dithead.errors import FaceError
from dithead.face.alignment import crop_transform, invert, smooth_transform_array, transform_points
from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import eye_distance
from dithead.face.tracking import LONGEST_GAP, SAME_FACE_OVERLAP, CutDetector, overlap
from dithead.media.video import probe, read_frames
from dithead.provenance.watermark_evidence import EvidenceCollector, FaceEvidence
from dithead.provenance.watermark_grid import CROP_SIDE, FACE_WIDTH, grid_transform, sample
from dithead.types import RGB, Landmarks, Similarity

Progress: TypeAlias = Callable[[str, int, int | None], None]


@dataclass(eq=False)
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
        return FACE_WIDTH * float(np.median(self.eye_pixels))

    @property
    def place(self) -> tuple[int, int]:
        """Where its middle is on average, in pixels from the left and from the top."""
        middle = np.array([[CROP_SIDE / 2, CROP_SIDE / 2]])
        x, y = np.mean([transform_points(middle, invert(each))[0] for each in self.transforms], axis=0)
        return round(float(x)), round(float(y))

    def add(self, number: int, landmarks: Landmarks, transform: Similarity) -> None:
        """Take the face of frame ``number``; frames in between in which it was not seen repeat the last one."""
        missing = number - self.stop
        self.transforms += [*self.transforms[-1:] * missing, transform]
        self.eye_pixels.append(eye_distance(landmarks))
        self.last = landmarks


def collect_evidence(path: str | PathLike[str], progress: Progress, *, mirrored: bool = False) -> list[FaceEvidence]:
    """Return the evidence of every face of a video, in order of appearance.

    Args:
        path: A video.
        mirrored: Mirror it first. Mirroring the evidence would not do: the landmarks of a face and of its mirror image
            differ by a few pixels.
        progress: Called with what is being done, the frames done, and those in all as far as the file says it.

    Raises:
        MediaError: The video cannot be read.
    """
    where = " in the mirror image" if mirrored else ""
    tracks = find_faces(pixels for _, pixels in _pictures(path, f"finding faces{where}", progress, mirrored))
    found = gather(_pictures(path, f"reading the mark{where}", progress, mirrored), tracks)
    if mirrored and found:
        width = probe(path).width
        return [replace(each, place=(width - 1 - each.place[0], each.place[1])) for each in found]
    return found


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
                track = _track_of(face, active, number)
                if track not in active:
                    active.append(track)
                    done.append(track)
                with suppress(FaceError):  # landmarks that coincide: as if the face had not been seen
                    track.add(number, face, crop_transform(face, CROP_SIDE))
            active = [track for track in active if number - track.stop < LONGEST_GAP]
    return [track for track in done if track.transforms]


def gather(frames: Iterable[tuple[float, RGB]], tracks: list[FaceTrack]) -> list[FaceEvidence]:
    """Return the evidence of each track, from the same frames again, each with its time in seconds."""
    smoothed = [smooth_transform_array(np.stack(track.transforms)) for track in tracks]
    collectors = [EvidenceCollector() for _ in tracks]
    for number, (seconds, frame) in enumerate(frames):
        shown = [k for k, track in enumerate(tracks) if track.first <= number < track.stop]
        luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if shown else None
        for k in shown:
            assert luma is not None
            to_grid = grid_transform(smoothed[k][number - tracks[k].first], CROP_SIDE)
            collectors[k].add(sample(luma, to_grid), seconds)
    return [each.close(track.face_pixels, track.place) for each, track in zip(collectors, tracks, strict=True)]


def _track_of(face: Landmarks, active: list[FaceTrack], number: int) -> FaceTrack:
    """The track that a face of frame ``number`` goes on with, or a new one."""
    free = [track for track in active if track.stop <= number]
    track = max(free, key=lambda t: overlap(face, t.last), default=None)
    return FaceTrack(number) if track is None or overlap(face, track.last) < SAME_FACE_OVERLAP else track


def _pictures(path: str | PathLike[str], what: str, progress: Progress, mirrored: bool) -> Iterator[tuple[float, RGB]]:
    """Yield the seconds and the pixels (H, W, 3) of each frame."""
    total = probe(path).frames
    for frame in read_frames(path):
        pixels = frame.quick_pixels
        yield frame.time, np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
        progress(what, frame.index + 1, None if total is None else max(total, frame.index + 1))
