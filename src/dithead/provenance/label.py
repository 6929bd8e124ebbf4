"""Puts a visible label into frames: where it hides no face, with contrast on any picture, large enough to be read.

Letters: H, W frame; h, w label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.media.planes import Planes
from dithead.media.tone_mapping import BT2020, tone_mapping, white_level
from dithead.provenance.label_text import draw_text, label_wording

_HEIGHT = 0.05
"""Height of a letter as a fraction of the frame's shorter side, the least that GB 45438-2025 (5.2) asks of videos."""
_CAPITAL = 0.73  # height of a capital letter in ems, of DejaVu Sans Bold
_LEAST = 9.0  # pixels of a capital letter, below which nobody reads it (our choice)
_PAD, _MARGIN = 0.45, 0.4  # ems around the text, and from the frame's edge (our choice)
_PLATE = 0.72
"""Opacity of the black plate: white on it has a contrast of 7 : 1 even where the picture is white (WCAG 2 AAA)."""


class Box(NamedTuple):
    """Pixels of a frame: the first column and row, and those after the last."""

    left: float
    top: float
    right: float
    bottom: float


class Label:
    """A label for frames of one size, at one place of all of them.

    Args:
        text: A language code, or the text itself.
        size: Width and height of the frames.
        faces: Boxes that the label should not cover.
        transfer: H.273 code of the frames' transfer function.

    Raises:
        ConfigError: The text cannot be drawn.
    """

    def __init__(self, text: str, size: tuple[int, int], faces: Sequence[Box] = (), transfer: int = 2) -> None:
        width, height = size
        em = max(_HEIGHT * min(size), _LEAST) / _CAPITAL
        pad = min(round(em * _PAD), min(size) // 8)
        ink = draw_text(label_wording(text), em, max(4, width - 4 * pad))
        self.ink: NDArray[np.float32] = np.pad(ink, pad)[:height, :width]
        self.white = 255 * (1.0 if tone_mapping(transfer, BT2020) is None else white_level())
        label_height, label_width = self.ink.shape
        margin = round(min(em * _MARGIN, max(0, width - label_width) / 2, max(0, height - label_height) / 2))
        self.left, self.top = _place((width, height), (label_width, label_height), margin, faces)

    @property
    def box(self) -> Box:
        """The pixels that the label covers."""
        height, width = self.ink.shape
        return Box(self.left, self.top, self.left + width, self.top + height)

    def apply(self, planes: Planes) -> None:
        """Draw the label into a frame in place; pixels outside ``box`` keep every bit but for shared chroma."""
        height, width = self.ink.shape
        seen = planes.rgb(self.top, self.left, self.top + height, self.left + width).astype(np.float32)
        ink = self.ink[: seen.shape[0], : seen.shape[1], None]
        plated = seen * (1 - _PLATE)
        planes.add_rgb_difference(plated * (1 - ink) + self.white * ink - seen, self.top, self.left)


def _place(frame: tuple[int, int], label: tuple[int, int], margin: int, faces: Sequence[Box]) -> tuple[int, int]:
    """Choose left and top: the place that covers least of the faces, corners first; both are even."""
    right, bottom = frame[0] - label[0] - margin, frame[1] - label[1] - margin
    middle = (frame[0] - label[0]) // 2
    places = [(margin, margin), (right, margin), (margin, bottom), (right, bottom), (middle, bottom), (middle, margin)]
    even = [(max(0, x) // 2 * 2, max(0, y) // 2 * 2) for x, y in places]
    covered = [sum(_overlap(face, Box(x, y, x + label[0], y + label[1])) for face in faces) for x, y in even]
    return even[int(np.argmin(covered))]


def _overlap(a: Box, b: Box) -> float:
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    return max(0.0, width) * max(0.0, height)
