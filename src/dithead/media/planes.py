"""Y, Cb, Cr planes of a frame: take them out, turn them, change a region by an RGB difference, put them back.

Working on the source's own planes means that every pixel we do not mean to change stays the source's,
bit for bit, until the one encode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from dithead.media.colour import Encoding
from dithead.types import RGB


@dataclass
class Planes:
    """Three planes as displayed. ``pix_fmt`` is one of yuv420p, yuv422p, yuv444p, or those with ``10le``."""

    arrays: list[NDArray[Any]]  # Y (H, W); Cb, Cr (H / sub_y, W / sub_x); uint8 or uint16
    pix_fmt: str
    encoding: Encoding

    @property
    def depth(self) -> int:
        return depth_of(self.pix_fmt)

    @property
    def subsampling(self) -> tuple[int, int]:
        """(down, across): rows and columns of luma that share one chroma sample."""
        return subsampling_of(self.pix_fmt)

    def add_rgb_difference(self, difference: NDArray[np.float32], top: int, left: int) -> None:
        """Add (h, w, 3) in R'G'B' steps of 1/255 to the region at (top, left).

        A luma sample whose difference is zero keeps every bit, a chroma sample if all its pixels' are.
        """
        down, across = self.subsampling
        above, before = top % down, left % across
        h, w = difference.shape[0] + above, difference.shape[1] + before
        pads = ((above, -h % down), (before, -w % across), (0, 0))
        delta = np.pad(difference, pads) @ self.encoding.from_rgb(self.depth).T  # whole chroma samples
        top, left = top - above, left - before
        _add(self.arrays[0], delta[..., 0], top, left, self.depth)
        for plane, channel in ((self.arrays[1], 1), (self.arrays[2], 2)):
            h, w = delta.shape[0] // down, delta.shape[1] // across
            shared = delta[..., channel].reshape(h, down, w, across).mean(axis=(1, 3))
            _add(plane, shared, top // down, left // across, self.depth)

    def rgb(self, top: int, left: int, bottom: int, right: int) -> RGB:
        """The region (bottom - top, right - left, 3) in RGB; ``top`` and ``left`` must be even."""
        down, across = self.subsampling
        y = self.arrays[0][top:bottom, left:right]
        box = slice(top // down, -(-bottom // down)), slice(left // across, -(-right // across))
        part = Planes([y, self.arrays[1][box], self.arrays[2][box]], self.pix_fmt, self.encoding)
        return to_rgb(part.to_frame(), self.encoding)

    def to_frame(self) -> Any:
        """An ``av.VideoFrame`` with these samples."""
        height, width = self.arrays[0].shape
        frame = av.VideoFrame(width, height, self.pix_fmt)
        for plane, array in zip(frame.planes, self.arrays, strict=True):
            _view(plane, array.shape[0], array.shape[1], array.dtype)[:] = array
        return frame


def depth_of(pix_fmt: str) -> int:
    """Bits per sample of a format this module works in."""
    return 10 if "p10" in pix_fmt else 8


def subsampling_of(pix_fmt: str) -> tuple[int, int]:
    """(down, across) chroma subsampling of a format this module works in."""
    return {"yuv420p": (2, 2), "yuv422p": (1, 2), "yuv444p": (1, 1)}[pix_fmt[:7]]


def working_format(pix_fmt: str, width: int, height: int, rotation: int = 0) -> str:
    """The format to keep a source in: its own subsampling and depth, finer where the encoder cannot.

    Odd sizes have no 4:2:0 form in H.264, and 4:2:2 does not survive a quarter turn: both become 4:4:4.
    """
    base = av.VideoFormat(pix_fmt, 2, 2)
    deep = max((c.bits for c in base.components), default=8) > 8
    name = pix_fmt.replace("yuvj", "yuv").replace("yuva", "yuv")
    if base.is_rgb or "444" in name or width % 2 or height % 2:
        name = "yuv444p"
    elif "422" in name or name.startswith(("yuyv", "uyvy", "yvyu")):
        name = "yuv444p" if rotation % 180 else "yuv422p"
    else:
        name = "yuv420p"
    return name + ("10le" if deep else "")


def planes_of(native: Any, pix_fmt: str, encoding: Encoding, rotation: int = 0) -> Planes:
    """Planes of a decoded frame in ``pix_fmt``, turned as displayed."""
    if native.format.name.replace("yuvj", "yuv") != pix_fmt:
        source_is_rgb = native.format.is_rgb
        native = native.reformat(
            format=pix_fmt,
            src_colorspace=encoding.swscale_matrix,
            dst_colorspace=encoding.swscale_matrix,
            src_color_range=ColorRange.JPEG if source_is_rgb else encoding.swscale_range,
            dst_color_range=encoding.swscale_range,
            threads=1,
        )
    down, across = subsampling_of(pix_fmt)
    dtype = np.dtype(np.uint8 if depth_of(pix_fmt) == 8 else "<u2")
    height, width = native.height, native.width
    shapes = [(height, width), *[(-(-height // down), -(-width // across))] * 2]
    arrays = [_view(plane, *shape, dtype) for plane, shape in zip(native.planes, shapes, strict=True)]
    return Planes([np.rot90(a, rotation // 90).copy() for a in arrays], pix_fmt, encoding)


def to_rgb(native: Any, encoding: Encoding, exact: bool = True) -> RGB:
    """(H, W, 3) of an ``av.VideoFrame``, rounded exactly; or five times as quickly and up to two levels too dark."""
    careful = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    rgb: RGB = native.reformat(
        format="rgb24",
        src_colorspace=encoding.swscale_matrix,
        src_color_range=encoding.swscale_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=careful if exact else Interpolation.BILINEAR,
        threads=1,
    ).to_ndarray()
    return rgb


def planes_of_rgb(pixels: RGB, pix_fmt: str, encoding: Encoding) -> Planes:
    """Planes of an RGB picture (H, W, 3)."""
    return planes_of(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24"), pix_fmt, encoding)


def _view(plane: Any, height: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    stride = plane.line_size // dtype.itemsize
    return np.frombuffer(plane, dtype, count=height * stride).reshape(height, stride)[:, :width]


def _add(plane: NDArray[Any], delta: NDArray[np.float32], top: int, left: int, depth: int) -> None:
    region = plane[top : top + delta.shape[0], left : left + delta.shape[1]]
    region[:] = np.clip(np.rint(region + delta), 0, 2**depth - 1).astype(plane.dtype)
