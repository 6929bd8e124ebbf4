"""All that is read off one video, in one pass over its frames. S: side of the aligned crop, N: frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.evaluate.lip_reader import series_of
from dithead.evaluate.lip_series import LipSeries, Series
from dithead.evaluate.picture_quality import detail
from dithead.face.alignment import crop_transform, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import LIP_INDICES
from dithead.media.info import VideoInfo
from dithead.media.video import probe, read_frames
from dithead.types import RGB, Landmarks, Similarity

CROP = 256  # pixels: PSNR, SSIM and flicker are read on aligned crops of this side
LIP_MARGIN = 0.15  # added around the lips' bounding box on each side, as a fraction of it
_SAME_ASPECT = 0.02


@dataclass(frozen=True)
class Observation:
    """One video as measured: every list has N entries, None or NaN where the face was missed."""

    path: Path
    info: VideoInfo
    times: Series  # (N,) seconds since the first frame
    landmarks: list[Landmarks | None]
    transforms: list[Similarity | None]
    crops: NDArray[np.uint8]  # (N, S, S, 3); black where there is no transform
    detail: NDArray[np.float64]  # (N, 2) Laplacian variance and gradient energy of the lip box
    size: tuple[int, int]  # height and width at which the frames were read: the guide's where there is one

    @cached_property
    def lips(self) -> LipSeries:
        return series_of(self.landmarks, self.times)

    def aperture_at(self, times: Series) -> list[float]:
        """The lips' aperture at other times (M,), for curves that lie over another video's; NaN outside."""
        return [float(value) for value in self.lips.on_clock(times).aperture]

    @property
    def frames(self) -> int:
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds, the last frame's own time included."""
        return float(self.times[-1]) + 1 / float(self.info.fps)

    def nearest(self, times: Series) -> NDArray[np.intp]:
        """For each time (M,), the index of the frame shown nearest to it."""
        after = np.clip(np.searchsorted(self.times, times), 1, max(1, self.frames - 1))
        before = after - 1
        if self.frames == 1:
            return np.zeros(len(times), np.intp)
        return np.where(times - self.times[before] <= self.times[after] - times, before, after)


def observe(path: Path | str, guide: Observation | None = None) -> Observation:
    """Read the video at ``path``.

    guide: the video it was made from. Crops and lip boxes are then taken where the guide has them, so that
    both are compared place by place; a video of another size but the same shape is first scaled to it.
    Raises MediaError when the file cannot be read to its end.
    """
    path, info = Path(path), probe(Path(path))
    guide = guide if guide is not None and same_shape(info, guide.info) else None
    times: list[float] = []
    landmarks: list[Landmarks | None] = []
    transforms: list[Similarity | None] = []
    crops: list[RGB] = []
    details: list[tuple[float, float]] = []
    size = (info.height, info.width)
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            pixels = frame.pixels if guide is None else _scaled(frame.pixels, guide.info)
            face = landmarker.track(pixels)
            place, transform = face, _transform(face)
            if guide is not None:
                at = int(guide.nearest(np.array([frame.time]))[0])
                place, transform = guide.landmarks[at], guide.transforms[at]
            times.append(frame.time)
            landmarks.append(face)
            transforms.append(transform)
            crops.append(_crop(pixels, transform))
            details.append(detail(_lip_patch(pixels, place)))
            size = (pixels.shape[0], pixels.shape[1])
    return Observation(
        path, info, np.array(times), landmarks, transforms, np.stack(crops), np.array(details, np.float64), size
    )


def same_shape(a: VideoInfo, b: VideoInfo) -> bool:
    """Whether one picture is the other scaled."""
    return abs(a.width * b.height / (a.height * b.width) - 1) < _SAME_ASPECT


def _scaled(pixels: RGB, like: VideoInfo) -> RGB:
    if pixels.shape[:2] == (like.height, like.width):
        return pixels
    how = cv2.INTER_AREA if pixels.shape[1] > like.width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (like.width, like.height), interpolation=how), np.uint8)


def _transform(face: Landmarks | None) -> Similarity | None:
    if face is None:
        return None
    try:
        return crop_transform(face, CROP)
    except FaceError:
        return None


def _crop(pixels: RGB, transform: Similarity | None) -> RGB:
    return np.zeros((CROP, CROP, 3), np.uint8) if transform is None else warp_crop(pixels, transform, CROP)


def _lip_patch(pixels: RGB, face: Landmarks | None) -> NDArray[np.uint8] | None:
    """The picture (h, w, 3) inside the lips' box at the video's own resolution; None without a face."""
    if face is None:
        return None
    lips = face[list(LIP_INDICES), :2]
    low, high = lips.min(axis=0), lips.max(axis=0)
    margin = LIP_MARGIN * (high - low)
    (x0, y0), (x1, y1) = np.floor(low - margin).astype(int), np.ceil(high + margin).astype(int)
    return pixels[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
