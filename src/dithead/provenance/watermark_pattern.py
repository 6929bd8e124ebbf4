"""The watermark's pattern: keyed signs on the middle frequencies of the grid, another set of them every second.

Low frequencies would be seen and are full of the face itself; high ones do not survive encoding and resizing. The sets
follow one another in a fixed cycle, so that what does not change in a face cancels out over time.
Letters: h, w grid; K coefficients; M sets of signs.
"""

from __future__ import annotations

from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.provenance.watermark_code import code_words, shares, signs
from dithead.provenance.watermark_grid import HEIGHT, WIDTH, Grid, detail

SETS = 8
"""Sets of signs in a cycle. Our choice."""
SET_SECONDS = 1.0
"""How long a set is shown. Our choice."""
SHORTEST, LONGEST = 4.0, 14.0
"""Wavelengths of the band in grid pixels; the distance between the outer eye corners is 66. Our choice."""


_QUIET = 1.0  # 8-bit levels of detail, below which a face is as good as flat
_TAPER = 6  # grid pixels over which the window rises at the border


def _rise(length: int) -> NDArray[np.float32]:
    place = np.arange(length)
    return np.clip((np.minimum(place, place[::-1]) + 1) / _TAPER, 0, 1).astype(np.float32)


_WINDOW = np.outer(_rise(HEIGHT), _rise(WIDTH))


@cache
def band() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row and the column, (K,) each, of the cosine coefficients that carry the mark."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    cycles = np.hypot(rows / (2 * HEIGHT), columns / (2 * WIDTH))  # per grid pixel
    inside = (cycles >= 1 / LONGEST) & (cycles <= 1 / SHORTEST)
    return rows[inside], columns[inside]


def coefficients(grid: Grid) -> NDArray[np.float32]:
    """Return the coefficients (K,) in which a mark would lie, from what the grid (h, w) shows of a frame.

    They are measured relative to the local detail, in proportion to which the mark was made.
    """
    fine, local = detail(grid)
    spectrum = cv2.dct(fine / (local + _QUIET) * _WINDOW)
    return np.asarray(spectrum[band()], np.float32)


class Pattern:
    """The signs of one key.

    Args:
        key: The secret.
    """

    def __init__(self, key: bytes) -> None:
        self.rows, self.columns = band()
        count = len(self.rows)
        self.shares = shares(key, count)
        self.signs = np.stack([signs(key, f"set {number}", count) for number in range(SETS)])

    def field(self, message: int, number: int) -> Grid:
        """Return the pattern (h, w) of a message for one set; its mean square is 1."""
        spectrum = np.zeros((HEIGHT, WIDTH), np.float32)
        spectrum[self.rows, self.columns] = self.signs[number] * code_words()[message][self.shares]
        field = np.asarray(cv2.idct(spectrum), np.float32)
        return field / np.float32(np.sqrt(np.mean(field * field)))


def set_at(seconds: float) -> int:
    """Return which set of signs is shown at a moment of the video."""
    return int(seconds / SET_SECONDS + 1e-6) % SETS


@lru_cache(maxsize=4)
def pattern_of(key: bytes) -> Pattern:
    """Return the pattern of a key; the last few are kept."""
    return Pattern(key)
