"""The watermark's pattern: keyed signs on the middle frequencies of the grid, another set of them every second.

Low frequencies would be seen and are full of the face itself; high ones do not survive encoding and resizing. The sets
follow one another in a fixed cycle, so that what does not change in a face cancels out over time. Each fades into the
next, because a sudden change could be seen.
Letters: h, w grid; n moments; K coefficients; M sets of signs.
"""

from __future__ import annotations

from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dithead.provenance.watermark_code import code_word, shares, signs
from dithead.provenance.watermark_grid import HEIGHT, WIDTH, Grid

SETS = 8
"""Sets of signs in a cycle. Our choice."""
SET_SECONDS = 1.0
"""How long a set is shown. Our choice."""
FADE = 0.25
"""The last part of that time, as a fraction, in which it fades into the next. Our choice."""
SHORTEST, LONGEST = 4.5, 10.0
"""Wavelengths of the band in grid pixels; the outer eye corners are 66 apart. Our choice."""


@cache
def band() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row and the column, (K,) each, of the cosine coefficients that carry the mark."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    cycles = np.hypot(rows / (2 * HEIGHT), columns / (2 * WIDTH))  # per grid pixel
    inside = (cycles >= 1 / LONGEST) & (cycles <= 1 / SHORTEST)
    return rows[inside], columns[inside]


def set_weights(seconds: ArrayLike) -> NDArray[np.float64]:
    """Return how much of each set of signs is shown at ``seconds`` (n,) of the output, (n, M); squares add up to 1."""
    place = np.atleast_1d(np.asarray(seconds, np.float64)) / SET_SECONDS + 1e-6
    number = np.floor(place).astype(int)
    fading = np.clip((place - number - (1 - FADE)) / FADE, 0, 1) * np.pi / 2
    weights, moments = np.zeros((len(place), SETS)), np.arange(len(place))
    weights[moments, number % SETS] = np.cos(fading)
    weights[moments, (number + 1) % SETS] = np.sin(fading)
    return weights


class Pattern:
    """The signs of one key.

    Args:
        key: The secret.
    """

    def __init__(self, key: bytes) -> None:
        self.rows, self.columns = band()
        count = len(self.rows)
        self.shares = shares(key, count)  # (K,) the bit of the code word that each coefficient carries
        self.signs = np.stack([signs(key, f"set {number}", count) for number in range(SETS)])  # (M, K)

    def fields(self, message: int) -> NDArray[np.float32]:
        """Return the pictures (M, h, w) of a message, one for each set; the mean square of each is 1."""
        pictures = np.empty((SETS, HEIGHT, WIDTH), np.float32)
        word = code_word(message)
        for number in range(SETS):
            spectrum = np.zeros((HEIGHT, WIDTH), np.float32)
            spectrum[self.rows, self.columns] = self.signs[number] * word[self.shares]
            pictures[number] = cv2.idct(spectrum)
        return pictures / np.sqrt((pictures**2).mean(axis=(1, 2), keepdims=True))


@lru_cache(maxsize=4)
def pattern_of(key: bytes) -> Pattern:
    """Return the pattern of a key; the last few are kept."""
    return Pattern(key)


@lru_cache(maxsize=4)
def fields_of(key: bytes, message: int) -> NDArray[np.float32]:
    """Return ``Pattern.fields`` of a key and a message; the last few are kept."""
    return pattern_of(key).fields(message)


def shown_field(key: bytes, message: int, seconds: float) -> Grid:
    """Return the picture (h, w) that is shown at a moment of the output."""
    weights = set_weights(seconds)[0].astype(np.float32)
    shown = np.flatnonzero(weights)
    return np.asarray(np.tensordot(weights[shown], fields_of(key, message)[shown], 1), np.float32)
