"""A frame's picture in RGB of which only the parts that are looked at are converted: most work sees the face only."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.media.colour import ColourEncoding
from dithead.media.planes import Planes, views_of
from dithead.types import RGB

_FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
_ALIGNED = 32  # pixels: parts begin and end at multiples, so that conversion rounds as in the whole picture
_MARGIN = 16  # pixels around a part that exact conversion needs, because it interpolates colours
_ROWS, _COLUMNS = 135, 240  # rows and columns from which thumbnails are made; further ones are passed over

Box = tuple[int, int, int, int]  # top, left, bottom, right


class PartialRGB:
    """The picture of one decoded frame, which is sliced like an array (H, W, 3) of RGB."""

    def __init__(self, planes: Planes, *, exact: bool = True) -> None:
        """Prepare a frame; nothing is converted yet.

        Args:
            planes: Its samples.
            exact: Round exactly; otherwise see ``VideoFrame.quick_pixels``.
        """
        self._planes, self._exact = planes, exact
        self.shape = (*planes.arrays[0].shape, 3)
        self._top = self._left = 0  # of the planes in the picture
        self._parts: list[tuple[Box, RGB]] = []

    @classmethod
    def of_frame(cls, native: Any, encoding: ColourEncoding, rotation: int = 0, *, exact: bool = False) -> PartialRGB:
        """Prepare a decoded frame.

        Args:
            native: ``av.VideoFrame`` that ``supports`` allows.
            encoding: How its samples code colours.
            rotation: Degrees counter-clockwise by which it is turned.
            exact: Round exactly.
        """
        arrays = [np.rot90(plane, rotation // 90) for plane in views_of(native)]
        return cls(Planes(arrays, native.format.name.replace("yuvj", "yuv"), encoding), exact=exact)

    @staticmethod
    def supports(native: Any, rotation: int) -> bool:
        """Return whether parts of a frame can be converted on their own."""
        name = native.format.name.replace("yuvj", "yuv")
        return name in _FORMATS and ("422" not in name or rotation % 180 == 0)

    def __getitem__(self, box: tuple[slice, slice]) -> RGB:
        """Return the pixels (h, w, 3) of a box of rows and columns."""
        (top, bottom, _), (left, right, _) = (
            part.indices(limit) for part, limit in zip(box, self.shape[:2], strict=True)
        )
        for (y0, x0, y1, x1), pixels in self._parts:
            if y0 <= top and x0 <= left and bottom <= y1 and right <= x1:
                return pixels[top - y0 : bottom - y0, left - x0 : right - x0]
        y0, x0, y1, x1 = self._aligned((top, left, bottom, right))
        pixels = self._planes.rgb(*self._in_planes((y0, x0, y1, x1)), exact=self._exact)
        self._parts.append(((y0, x0, y1, x1), pixels))
        return pixels[top - y0 : bottom - y0, left - x0 : right - x0]

    def detached(self, box: Box) -> PartialRGB:
        """Copy the samples of a box, so that the frame need not be kept.

        The copy is sliced and averaged within the box by the places of the whole picture, and gives the same pixels.
        """
        box = self._aligned(box)
        part = PartialRGB(self._planes.part(*self._in_planes(box)).copied(), exact=self._exact)
        part.shape, (part._top, part._left, *_) = self.shape, box
        return part

    def thumbnail(self, width: int, height: int, box: Box | None = None) -> NDArray[np.float32]:
        """Reduce the picture by averaging; of a large one only some rows and columns count.

        Args:
            width: Of the result.
            height: Of the result.
            box: The part that is reduced (top, left, bottom, right); by default the whole picture.

        Returns:
            (height, width, 3).
        """
        top, left, bottom, right = box or (0, 0, *self.shape[:2])
        step, (down, across) = max(1, (bottom - top) // _ROWS), self._planes.subsampling
        skip = max(1, (right - left) // _COLUMNS)
        luma, *chroma = self._planes.arrays
        parts = [luma[top:bottom:step, left:right:skip]]
        parts += [
            plane[top // down : -(-bottom // down) : step, left // across : -(-right // across) : skip]
            for plane in chroma
        ]
        small = [cv2.resize(np.ascontiguousarray(p), (width, height), interpolation=cv2.INTER_AREA) for p in parts]
        samples = np.stack(small, axis=-1) / np.float32(2 ** (self._planes.depth - 8))
        return self._planes.encoding.rgb_of(samples)

    def averaged(self, top: int, left: int, bottom: int, right: int, side: int) -> RGB:
        """Average the squares of ``side`` pixels that fit into a box.

        Args:
            top: First row of the box, even.
            left: First column of the box, even.
            bottom: Row below the box.
            right: Column beside the box.
            side: Pixels on a side of a square, at least 2.

        Returns:
            (height, width, 3), from the box's upper left corner on.
        """
        down, across = self._planes.subsampling
        height, width = (bottom - top) // side, (right - left) // side
        top, left, *_ = self._in_planes((top, left, bottom, right))
        rows, columns = slice(top, top + height * side), slice(left, left + width * side)
        luma, *chroma = self._planes.arrays
        parts = [luma[rows, columns]]
        parts += [
            plane[top // down : -(-rows.stop // down), left // across : -(-columns.stop // across)] for plane in chroma
        ]
        small = [cv2.resize(np.ascontiguousarray(p), (width, height), interpolation=cv2.INTER_AREA) for p in parts]
        if self._planes.depth == 8:
            return self._planes.encoding.bytes_of(cv2.merge(small))
        samples = np.stack(small, axis=-1) / np.float32(2 ** (self._planes.depth - 8))
        return np.rint(self._planes.encoding.rgb_of(samples)).astype(np.uint8)

    def _aligned(self, box: Box) -> Box:
        """The box whose samples are converted with those of ``box``, so that they round as in the whole picture."""
        margin = _MARGIN if self._exact else 0
        y0, x0 = (max(0, (v - margin) // _ALIGNED * _ALIGNED) for v in box[:2])
        y1, x1 = (
            min(limit, -(-(v + margin) // _ALIGNED) * _ALIGNED)
            for v, limit in zip(box[2:], self.shape[:2], strict=True)
        )
        return y0, x0, y1, x1

    def _in_planes(self, box: Box) -> Box:
        """A box of the picture as a box of the planes, which must hold it."""
        top, left, bottom, right = box[0] - self._top, box[1] - self._left, box[2] - self._top, box[3] - self._left
        height, width = self._planes.arrays[0].shape
        if top < 0 or left < 0 or bottom > height or right > width:
            raise IndexError(f"the box {box} is not within the part of the picture that was kept")
        return top, left, bottom, right
