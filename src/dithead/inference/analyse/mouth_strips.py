"""Keeps short strips of small grey mouths of a face, from which it is told whether the source's own sound fits them.

A strip has five seconds at most, and of a long tracklet only strips 0, 1, 4, 16, 64 … are kept. Letters: n frames, K
side of a mouth picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points, warp_crop
from dithead.face.mesh_indices import OUTER_LIPS
from dithead.types import RGBLike, Similarity

RATE = 25
"""Mouths a second, as the sync experts take them."""
LENGTH = 5 * RATE
"""Mouths of a strip (our choice)."""
SIDE = 56
"""Side of a mouth picture in pixels."""
REGION = 0.46 * SIDE / 40
"""Side of a mouth picture as a fraction of the crop's: wider than what the expert sees (0.46, of 40 pixels), so that
it can be cut to the middle of the lips when all frames are known."""
_LEAST = 10  # mouths below which a strip tells nothing (our choice)


@dataclass
class MouthStrip:
    """Mouths of consecutive moments."""

    times: list[float] = field(default_factory=list)  # (n,) seconds in the clip
    mouths: list[NDArray[np.uint8]] = field(default_factory=list)  # n of (K, K), grey
    centres: list[NDArray[np.float32]] = field(default_factory=list)  # n of the lips' centre (x, y) in them

    def even(self) -> tuple[float, NDArray[np.uint8], tuple[float, float]]:
        """Return the first moment, the mouths (m, K, K) of evenly spaced moments from it on, and the lips' centre."""
        times = np.array(self.times)
        count = int((times[-1] - times[0]) * RATE + 1e-6) + 1
        wanted = times[0] + np.arange(count) / RATE
        nearest = np.abs(times[None] - wanted[:, None]).argmin(axis=1)
        x, y = np.median(self.centres, axis=0)
        return float(times[0]), np.stack(self.mouths)[nearest], (float(x), float(y))


@dataclass
class MouthStrips:
    """Collects the strips of one face while its frames come."""

    kept: list[MouthStrip] = field(default_factory=list)
    _moment: int = -1  # number of the last moment that was taken
    _first: int = -1

    def add(self, picture: RGBLike, transform: Similarity, points: NDArray[np.float32], size: int, time: float) -> None:
        """Take the next frame.

        Args:
            picture: (H, W, 3).
            transform: (2, 3) from frame pixels to the crop.
            points: (478, 2) landmarks in the crop.
            size: Crop side S.
            time: Seconds.
        """
        moment = int(time * RATE + 0.25)  # frames at 24 or 30 a second come a little before or after their moment
        if moment == self._moment:
            return
        self._first = moment if self._first < 0 else self._first
        number, gap = (moment - self._first) // LENGTH, moment - self._moment > 2
        self._moment = moment
        if number and number not in (1, 4, 16, 64, 256, 1024):
            return
        lips = points[list(OUTER_LIPS)].mean(axis=0)
        if gap or not self.kept or len(self.kept[-1].times) >= LENGTH:
            self.kept.append(MouthStrip())
        self.kept[-1].times.append(time)
        mouth, centre = _mouth(picture, transform, lips, size)
        self.kept[-1].mouths.append(mouth)
        self.kept[-1].centres.append(centre)

    def close(self) -> list[MouthStrip]:
        """Return the strips that are long enough to tell something."""
        return [strip for strip in self.kept if len(strip.times) >= _LEAST]


def _mouth(
    picture: RGBLike, transform: Similarity, lips: NDArray[np.float32], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A mouth picture (K, K) at a fixed place of the crop, and the lips' centre in it."""
    scale = SIDE / (REGION * size)
    middle = np.array([0.5, 0.72]) * size
    small = transform * scale
    small[:, 2] += (scale - 1) / 2 + SIDE / 2 - middle * scale
    grey = cv2.cvtColor(warp_crop(picture, small, SIDE), cv2.COLOR_RGB2GRAY)
    centre = transform_points(transform_points(lips[None], invert(transform)), small)[0]
    return np.asarray(grey, np.uint8), centre
