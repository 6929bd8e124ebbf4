"""Turns a still picture into a clip as long as the speech, in which people sway slightly and blink."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.closed_eyes import with_closed_eyes
from dithead.face.landmarks import MAX_FACES, FaceLandmarker
from dithead.face.masks import smoothstep
from dithead.face.mesh_indices import eye_distance
from dithead.inference.source.timeline import SourceClip
from dithead.media.info import VideoInfo
from dithead.media.planes import planes_of_rgb, working_format
from dithead.media.video import VideoFrame, read_frames
from dithead.types import RGB, Landmarks

FPS = Fraction(25)
"""Frame rate of a video made from a picture (our choice: the model's own rate)."""
_SWAY = ((0.11, 0.0), (0.19, 1.3), (0.31, 2.1))  # Hz and phase in radians of slow waves that do not repeat (our choice)
_SHIFT, _TURN = 0.004, 0.35  # largest shift as a fraction of the width, largest turn in degrees (our choice)
_ZOOM = 1.015  # enlargement that keeps the picture's borders out of sight
_DOWN, _SHUT, _UP = 0.08, 0.04, 0.16  # seconds in which lids come down, stay and go up again (our choice)
_PAUSE, _MORE = 1.0, 2.5  # seconds between two blinks: at least, and the mean of a gamma-distributed rest (our choice)
_LEAST_EYES = 24.0  # pixels between the eyes' outer corners, below which nobody is seen to blink (our choice)


@dataclass(frozen=True)
class StillClip(SourceClip):
    """``seconds`` of a still picture, with slight motion when ``idle`` is set, else as it is."""

    seconds: float = 0.0
    idle: bool = True

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pixels out, which another process reads from the file."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @property
    def expected_frames(self) -> int:
        """How many frames the speech needs."""
        return max(1, -int(-self.seconds * FPS // 1))

    def frames(self) -> Iterator[VideoFrame]:
        """Yield a frame every 1/25 s, as long as the speech lasts."""
        return self._frames(range(self.expected_frames)) if self.kept is None else iter(self.kept)

    def frames_backwards(self, stamps: NDArray[np.int64]) -> Iterator[VideoFrame]:
        """Yield the frames of as many ``stamps`` (N,), the last one first."""
        return self._frames(range(len(stamps) - 1, -1, -1))

    def _frames(self, numbers: range) -> Iterator[VideoFrame]:
        pix_fmt = working_format(self.info.pix_fmt, self.info.width, self.info.height)
        for k in numbers:
            picture = self._idle_picture(float(k / FPS)) if self.idle else self._still
            native = planes_of_rgb(picture, pix_fmt, self.info.encoding).to_frame()
            yield VideoFrame(k, float(k / FPS), k, 1 / FPS, native, self.info.encoding)

    @cached_property
    def _still(self) -> RGB:
        return next(read_frames(self.path, background=self.background)).pixels

    @cached_property
    def _blinks(self) -> list[list[float]]:
        """When each face blinks, by its number."""
        return [blinks(self.seconds, number) for number in range(MAX_FACES)]

    @cached_property
    def _faces(self) -> list[Landmarks]:
        """The landmarks of each face that is large enough to be seen blinking."""
        with FaceLandmarker() as landmarker:
            return [face for face in landmarker.detect(self._still) if eye_distance(face[:, :2]) >= _LEAST_EYES]

    def _idle_picture(self, time: float) -> RGB:
        picture, closed = self._still, [closed_share(time, starts) for starts in self._blinks]
        if any(closed):  # a second of speech has no blink, and needs no faces
            for face, share in zip(self._faces, closed, strict=False):
                picture = with_closed_eyes(picture, face, share) if share else picture
        return with_idle_motion(picture, time)


def still_video(info: VideoInfo) -> VideoInfo:
    """Describe the picture as a video: 25 frames a second, BT.709, 4:2:0."""
    return replace(
        info, fps=FPS, time_base=1 / FPS, frames=None, rotation=0, pix_fmt="yuv420p",
        color_range=1, color_space=1, color_primaries=1, color_trc=1,
    )  # fmt: skip


def with_idle_motion(still: RGB, time: float) -> RGB:
    """Turn and shift a picture (H, W, 3) by a fraction of a per cent about a point below its middle, at ``time`` s."""
    height, width = still.shape[:2]
    waves = [sum(np.sin(2 * np.pi * (hz * time + p) + axis) for hz, p in _SWAY) / 3 for axis in (0.0, 1.7, 3.1)]
    matrix = cv2.getRotationMatrix2D((width / 2, 0.9 * height), _TURN * waves[0], _ZOOM)
    matrix[:, 2] += (_SHIFT * width * waves[1], 0.5 * _SHIFT * width * waves[2])
    moved = cv2.warpAffine(still, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def blinks(seconds: float, number: int) -> list[float]:
    """Return when a face begins to blink, in ``seconds`` of video: the same for a face with the same ``number``."""
    rng, starts = np.random.default_rng(number), [0.0]
    while starts[-1] < seconds:
        starts.append(starts[-1] + _PAUSE + float(rng.gamma(_MORE)))
    return starts[1:-1]


def closed_share(time: float, starts: list[float]) -> float:
    """Return how far the eyes are closed, 0 to 1, at a ``time``; blinks begin at ``starts``, ascending, in seconds."""
    begun = bisect_right(starts, time)
    since = time - starts[begun - 1] if begun else np.inf
    share = np.interp([since], (0, _DOWN, _DOWN + _SHUT, _DOWN + _SHUT + _UP), (0, 1, 1, 0))
    return float(smoothstep(share)[0])
