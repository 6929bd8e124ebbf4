"""Reads everything that is measured in one video, in one pass over its frames.

Letters: N frames, M times, S side of the aligned crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.evaluate.lip_landmarks import lip_series_of
from dithead.evaluate.lip_series import LipSeries, Series
from dithead.evaluate.picture_quality import measure_detail
from dithead.face.alignment import crop_transform, warp_crop
from dithead.face.mesh_indices import LIP_INDICES
from dithead.face.tracking import track_faces
from dithead.media.files import file_fingerprint
from dithead.media.info import VideoInfo
from dithead.media.video import VideoFrame, probe, read_frames
from dithead.types import RGB, Landmarks, Similarity

CROP_SIDE = 256
"""Pixels; PSNR, SSIM and flicker are read on aligned crops of this side (our choice)."""
LIP_MARGIN = 0.15
"""Added around the bounding box of the lips on each side, as a fraction of its size (our choice)."""
ASPECT_TOLERANCE = 0.02
"""Relative difference of two aspect ratios up to which one picture counts as the other, scaled (our choice)."""


@dataclass(frozen=True)
class Observation:
    """What was read in one video; None or NaN where no face was found.

    Attributes:
        path: The video.
        info: Its size, frame rate and tags.
        times: (N,) seconds since the first frame.
        landmarks: N times (478, 3) in pixels of the frame.
        transforms: N similarity transforms from the frame to the aligned crop.
        crops: (N, S, S, 3) aligned crops; black where there is no transform.
        detail: (N, 2) Laplacian variance and gradient energy in the box of the lips.
        size: Height and width at which frames were read: those of the source video where one was given.
    """

    path: Path
    info: VideoInfo
    times: Series
    landmarks: list[Landmarks | None]
    transforms: list[Similarity | None]
    crops: NDArray[np.uint8]
    detail: NDArray[np.float64]
    size: tuple[int, int]

    @cached_property
    def lips(self) -> LipSeries:
        """The lips of every frame."""
        return lip_series_of(self.landmarks, self.times)

    def openings_at(self, times: Series) -> list[float]:
        """Return the lip opening at the times (M,) of another video, for one plot of both; NaN outside this video."""
        return [float(value) for value in self.lips.at_times(times).openings]

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds, the duration of the last frame included."""
        return float(self.times[-1]) + 1 / float(self.info.fps)

    def nearest(self, times: Series) -> NDArray[np.intp]:
        """Return for each time (M,) the index of the frame that is nearest to it."""
        after = np.clip(np.searchsorted(self.times, times), 1, max(1, self.frames - 1))
        before = after - 1
        if self.frames == 1:
            return np.zeros(len(times), np.intp)
        return np.where(times - self.times[before] <= self.times[after] - times, before, after)

    def face_near(self, time: float) -> Landmarks | None:
        """Return the landmarks in the frame that is nearest to a time of those with a face; None if none has one."""
        known = self._with_face
        return self.landmarks[known[np.argmin(np.abs(self.times[known] - time))]] if len(known) else None

    @cached_property
    def _with_face(self) -> NDArray[np.intp]:
        return np.flatnonzero([face is not None for face in self.landmarks])


def observe(path: Path | str, source: Observation | None = None) -> Observation:
    """Read a video and find the face in each of its frames: of several faces the one that ``generate`` redraws.

    Args:
        path: The video.
        source: The video that it was made from. Crops and lip boxes are then taken where the source has them, so that
            the same places are compared; a video of another size but the same shape is first scaled to the source's.
            Of several faces the one that overlaps the source's most is taken; none where none does.

    Raises:
        MediaError: The file cannot be read to its end.
    """
    path, info = Path(path), probe(Path(path))
    source = source if source is not None and same_aspect(info, source.info) else None
    times: list[float] = []
    landmarks: list[Landmarks | None] = []
    transforms: list[Similarity | None] = []
    crops: list[RGB] = []
    details: list[tuple[float, float]] = []
    size = (info.height, info.width)
    for time, pixels, face in _faces_of(path, source):
        place, transform = face, _transform(face)
        if source is not None:
            nearest = int(source.nearest(np.array([time]))[0])
            place, transform = source.landmarks[nearest], source.transforms[nearest]
        times.append(time)
        landmarks.append(face)
        transforms.append(transform)
        crops.append(_crop(pixels, transform))
        details.append(measure_detail(_lip_box(pixels, place)))
        size = (pixels.shape[0], pixels.shape[1])
    return Observation(
        path, info, np.array(times), landmarks, transforms, np.stack(crops), np.array(details, np.float64), size
    )


def observe_kept(path: Path, source: Path | None = None) -> Observation:
    """Do as ``observe`` with the path of a source; the last few videos are kept until their files are replaced."""
    return _observed(_as_it_is(path), None if source is None else _as_it_is(source))


_FileState: TypeAlias = tuple[Path, tuple[int, ...]]  # path, size and time of the last change


def _as_it_is(path: Path) -> _FileState:
    return path, tuple(file_fingerprint(path).values())


@lru_cache(maxsize=6)
def _observed(video: _FileState, source: _FileState | None) -> Observation:
    return observe(video[0], None if source is None else observe_kept(source[0]))


def same_aspect(a: VideoInfo, b: VideoInfo) -> bool:
    """Return whether the pictures of one video can be those of the other, scaled."""
    return abs(a.width * b.height / (a.height * b.width) - 1) < ASPECT_TOLERANCE


def _faces_of(path: Path, source: Observation | None) -> Iterator[tuple[float, RGB, Landmarks | None]]:
    """Yield the time of each frame, its picture at the source's size, and the face to measure in it."""
    taken: list[tuple[VideoFrame, RGB]] = []

    def pictures() -> Iterator[RGB]:
        for frame in read_frames(path):
            taken[:] = [(frame, frame.pixels if source is None else _scaled(frame.pixels, source.info))]
            yield taken[0][1]

    def new_size() -> bool:
        return taken[0][0].new_size

    def place() -> Landmarks | None:
        return None if source is None else source.face_near(taken[0][0].time)

    for seen in track_faces(pictures(), new_shot=new_size, place=place):
        frame, pixels = taken[0]
        yield frame.time, pixels, seen.landmarks


def _scaled(pixels: RGB, like: VideoInfo) -> RGB:
    if pixels.shape[:2] == (like.height, like.width):
        return pixels
    how = cv2.INTER_AREA if pixels.shape[1] > like.width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (like.width, like.height), interpolation=how), np.uint8)


def _transform(face: Landmarks | None) -> Similarity | None:
    if face is None:
        return None
    try:
        return crop_transform(face, CROP_SIDE)
    except FaceError:
        return None


def _crop(pixels: RGB, transform: Similarity | None) -> RGB:
    if transform is None:
        return np.zeros((CROP_SIDE, CROP_SIDE, 3), np.uint8)
    return warp_crop(pixels, transform, CROP_SIDE)


def _lip_box(pixels: RGB, face: Landmarks | None) -> NDArray[np.uint8] | None:
    """The picture (h, w, 3) inside the box of the lips at the video's own resolution; None without a face."""
    if face is None:
        return None
    lips = face[list(LIP_INDICES), :2]
    low, high = lips.min(axis=0), lips.max(axis=0)
    margin = LIP_MARGIN * (high - low)
    (x0, y0), (x1, y1) = np.floor(low - margin).astype(int), np.ceil(high + margin).astype(int)
    return pixels[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
