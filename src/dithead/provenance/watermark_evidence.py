"""Turn what the grid shows of a face over time into the coefficients in which a watermark would lie.

Each block of frames is freed of what never changes in it, and each place of the grid is weighted by how strong a mark
could be there over how much else changes there: the matched filter. None of it depends on the key.
Letters: h, w grid; n frames; b spans of time; K coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.provenance.watermark_grid import Grid, detail, hidden_by, nearby
from dithead.provenance.watermark_pattern import band

SPAN = 0.25
"""Seconds over which coefficients are added up. Our choice."""
_BLOCK = 8.0  # seconds, at least, over which what never changes is found, where the face is shown for so long
_NOISE = 1.0  # squared 8-bit levels of change that no place is free of: rounding and encoding


@dataclass
class FaceEvidence:
    """What a face's frames say about a mark, whatever its key."""

    first: float  # seconds in the video
    last: float
    face_pixels: float  # width of the face
    sums: NDArray[np.float32]  # (b, K) coefficients added up over each span
    power: NDArray[np.float64]  # (K,) their mean square over all frames, which says how much each of them varies
    first_span: int  # number of the first span, counted from the video's beginning
    place: tuple[int, int] = (0, 0)  # of the face's middle, in pixels from the left and from the top, on average


@dataclass
class EvidenceCollector:
    """Takes the frames of one face in order, and holds no more than two blocks of them."""

    grids: list[Grid] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sums: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    squares: NDArray[np.float64] | None = None
    frames: int = 0
    first: float | None = None

    def add(self, grid: Grid, seconds: float) -> None:
        """Take what the grid (h, w) shows at ``seconds``."""
        if self.first is None:
            self.first = seconds
        self.grids.append(grid)
        self.times.append(seconds)
        if seconds - self.times[0] >= 2 * _BLOCK:
            self._take(int(np.searchsorted(self.times, self.times[0] + _BLOCK)))

    def close(self, face_pixels: float, place: tuple[int, int] = (0, 0)) -> FaceEvidence:
        """Return the evidence of all frames taken.

        Args:
            face_pixels: The width of the face.
            place: Of its middle, in pixels from the left and from the top.
        """
        last = self.times[-1]
        self._take(len(self.times))
        assert self.first is not None
        assert self.squares is not None
        low, high = min(self.sums), max(self.sums)
        empty = np.zeros(len(self.squares), np.float32)
        sums = np.stack([self.sums.get(span, empty) for span in range(low, high + 1)])
        return FaceEvidence(self.first, last, face_pixels, sums, self.squares / self.frames, low, place)

    def _take(self, count: int) -> None:
        """Add the oldest ``count`` frames to the sums and forget them."""
        found = coefficients(self.grids[:count])
        squares = (found.astype(np.float64) ** 2).sum(axis=0)
        self.squares = squares if self.squares is None else self.squares + squares
        for coefficient, seconds in zip(found, self.times, strict=False):
            span = int(seconds / SPAN + 1e-6)
            self.sums[span] = self.sums.get(span, 0) + coefficient
        self.frames += count
        self.grids, self.times = self.grids[count:], self.times[count:]


def coefficients(grids: list[Grid]) -> NDArray[np.float32]:
    """Return the coefficients (n, K) of a block of n grids (h, w)."""
    fine, local = (np.stack(each) for each in zip(*map(detail, grids), strict=True))
    fine -= fine.mean(axis=0)
    weight = hidden_by(local.mean(axis=0)) / (nearby((fine * fine).mean(axis=0)) + _NOISE)
    rows, columns = band()
    return np.stack([cv2.dct(each * weight)[rows, columns] for each in fine])
