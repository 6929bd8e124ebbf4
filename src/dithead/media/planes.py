"""Takes the Y, Cb, Cr planes out of a frame, turns them, changes a region by an RGB difference, and puts them back.

On the source's own planes, every pixel outside the change keeps the source's bits until the one encode.
Letters: H, W frame; h, w a region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from dithead.media.colour import ColourEncoding
from dithead.stages import stage
from dithead.types import RGB

_CAREFUL = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


@dataclass
class Planes:
    """Three planes as displayed."""

    arrays: list[NDArray[Any]]  # Y (H, W); Cb, Cr (H / sub_y, W / sub_x); uint8 or uint16
    pix_fmt: str  # yuv420p, yuv422p, yuv444p, or one of them with "10le"
    encoding: ColourEncoding
    frame: Any = None  # av.VideoFrame whose own samples these are, where there is one

    @classmethod
    def empty(cls, width: int, height: int, pix_fmt: str, encoding: ColourEncoding) -> Planes:
        """Return the planes of a new ``av.VideoFrame``, which hold nothing yet."""
        frame = av.VideoFrame(width, height, pix_fmt)
        return cls(views_of(frame), pix_fmt, encoding, frame)

    @property
    def depth(self) -> int:
        """Bits per sample."""
        return depth_of(self.pix_fmt)

    @property
    def subsampling(self) -> tuple[int, int]:
        """(down, across): rows and columns of luma that share one chroma sample."""
        return subsampling_of(self.pix_fmt)

    def add_rgb_difference(self, difference: NDArray[np.float32], top: int, left: int) -> None:
        """Add an RGB difference to a region.

        A luma sample whose difference is zero keeps every bit; so does a chroma sample if all its pixels' are zero.

        Args:
            difference: (h, w, 3) in R'G'B' steps of 1/255; of an HDR picture, in those of its SDR picture.
            top: First row of the region.
            left: First column of the region.
        """
        down, across = self.subsampling
        above, before = top % down, left % across
        h, w = difference.shape[0] + above, difference.shape[1] + before
        pads = ((above, -h % down), (before, -w % across), (0, 0))
        whole = np.pad(difference, pads) if np.any(pads) else difference  # whole chroma samples
        if (tones := self.encoding.tones) is not None:
            box = top - above, left - before, top - above + whole.shape[0], left - before + whole.shape[1]
            whole = tones.differences(self._signal(*box, whole.shape), whole / np.float32(255)) * np.float32(255)
        luma, *chroma = cv2.split(cv2.transform(whole, self.encoding.from_rgb(self.depth)))
        top, left = top - above, left - before
        _add(self.arrays[0], luma, top, left, self.depth)
        size = (luma.shape[1] // across, luma.shape[0] // down)
        for plane, channel in zip(self.arrays[1:], chroma, strict=True):
            shared = cv2.resize(channel, size, interpolation=cv2.INTER_AREA)  # the mean
            _add(plane, shared, top // down, left // across, self.depth)

    def add(self, plane: int, difference: NDArray[np.float32], top: int, left: int) -> None:
        """Add a difference (h, w) in code values to a region of one plane; where it is zero, samples keep every bit.

        Args:
            plane: 0 luma, 1 or 2 chroma.
            difference: (h, w).
            top: First row of the region in that plane.
            left: First column.
        """
        _add(self.arrays[plane], difference, top, left, self.depth)

    def rgb(self, top: int, left: int, bottom: int, right: int, *, exact: bool = True) -> RGB:
        """Return the region (bottom - top, right - left, 3) in RGB of standard range; ``top``, ``left`` must be even.

        ``exact``: see ``to_rgb``.
        """
        return to_rgb(self.part(top, left, bottom, right).to_frame(), self.encoding, exact)

    def part(self, top: int, left: int, bottom: int, right: int) -> Planes:
        """Return a region without a copy; ``top`` and ``left`` must be even."""
        down, across = self.subsampling
        y = self.arrays[0][top:bottom, left:right]
        box = slice(top // down, -(-bottom // down)), slice(left // across, -(-right // across))
        return Planes([y, self.arrays[1][box], self.arrays[2][box]], self.pix_fmt, self.encoding)

    def copied(self) -> Planes:
        """Return a copy that shares no memory with a decoded frame."""
        return Planes([array.copy() for array in self.arrays], self.pix_fmt, self.encoding)

    def _signal(self, top: int, left: int, bottom: int, right: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The values of an HDR region (h, w, 3), 0 to 1, with the last ones repeated beyond the picture's edge."""
        signal = _hdr_signal(self.part(top, left, bottom, right).to_frame(), self.encoding)
        edges = ((0, shape[0] - signal.shape[0]), (0, shape[1] - signal.shape[1]), (0, 0))
        return np.pad(signal, edges, mode="edge")

    def frame_to_encode(self) -> Any:
        """Return an ``av.VideoFrame`` with these samples, which must not change any more: it may share them."""
        return self.to_frame() if self.frame is None else self.frame

    def to_frame(self) -> Any:
        """Return an ``av.VideoFrame`` with a copy of these samples."""
        height, width = self.arrays[0].shape
        frame = av.VideoFrame(width, height, self.pix_fmt)
        for plane, array in zip(frame.planes, self.arrays, strict=True):
            _view(plane, array.shape[0], array.shape[1], array.dtype)[:] = array
        return frame


def depth_of(pix_fmt: str) -> int:
    """Return the bits per sample of a format of ``Planes``."""
    return 10 if "p10" in pix_fmt else 8


def subsampling_of(pix_fmt: str) -> tuple[int, int]:
    """Return the chroma subsampling (down, across) of a format of ``Planes``."""
    return {"yuv420p": (2, 2), "yuv422p": (1, 2), "yuv444p": (1, 1)}[pix_fmt[:7]]


def working_format(pix_fmt: str, width: int, height: int, rotation: int = 0) -> str:
    """Return the format of ``Planes`` for a source: its own subsampling and depth, or finer where that is impossible.

    Odd sizes have no 4:2:0 form in H.264, and 4:2:2 does not survive a quarter turn: both become 4:4:4.

    Args:
        pix_fmt: FFmpeg's name of the source's format.
        width: Width of the picture.
        height: Height of the picture.
        rotation: Degrees by which it is turned.
    """
    base = av.VideoFormat(pix_fmt, 2, 2)
    ten_bits = max((c.bits for c in base.components), default=8) > 8
    name = pix_fmt.replace("yuvj", "yuv").replace("yuva", "yuv")
    if base.is_rgb or "444" in name or width % 2 or height % 2:
        name = "yuv444p"
    elif "422" in name or name.startswith(("yuyv", "uyvy", "yvyu")):
        name = "yuv444p" if rotation % 180 else "yuv422p"
    else:
        name = "yuv420p"
    return name + ("10le" if ten_bits else "")


def planes_of(native: Any, pix_fmt: str, encoding: ColourEncoding, rotation: int = 0) -> Planes:
    """Return the planes of a decoded frame as displayed.

    Args:
        native: ``av.VideoFrame`` in any format.
        pix_fmt: Format of the planes, from ``working_format``.
        encoding: How its samples code colours.
        rotation: Degrees counter-clockwise by which it is turned.
    """
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
    turned = [np.rot90(a, rotation // 90) for a in views_of(native)]
    height, width = turned[0].shape
    planes = Planes.empty(width, height, pix_fmt, encoding)
    for array, samples in zip(planes.arrays, turned, strict=True):
        array[:] = samples
    return planes


def views_of(native: Any) -> list[NDArray[Any]]:
    """Return the samples of a frame's three planes without a copy; its format must be one of ``Planes``."""
    pix_fmt = native.format.name.replace("yuvj", "yuv")
    down, across = subsampling_of(pix_fmt)
    dtype = np.dtype(np.uint8 if depth_of(pix_fmt) == 8 else "<u2")
    height, width = native.height, native.width
    shapes = [(height, width), *[(-(-height // down), -(-width // across))] * 2]
    return [_view(plane, *shape, dtype) for plane, shape in zip(native.planes, shapes, strict=True)]


def to_rgb(native: Any, encoding: ColourEncoding, exact: bool = True) -> RGB:
    """Return the picture (H, W, 3) of an ``av.VideoFrame``; that of an HDR one is developed for a screen of SDR.

    Args:
        native: The frame.
        encoding: How its samples code colours.
        exact: Round exactly; otherwise it is five times as fast and up to two levels too dark.
    """
    if native.format.name == "rgb24":
        return np.asarray(native.to_ndarray(), np.uint8)
    if encoding.tones is not None:
        with stage("convert"):
            return _to_bytes(encoding.tones.develop(_hdr_signal(native, encoding)))
    with stage("convert"):
        rgb: RGB = native.reformat(
            format="rgb24",
            src_colorspace=encoding.swscale_matrix,
            src_color_range=encoding.swscale_range,
            dst_color_range=ColorRange.JPEG,
            interpolation=_CAREFUL if exact else Interpolation.BILINEAR,
            threads=1,
        ).to_ndarray()
    return rgb


def _hdr_signal(native: Any, encoding: ColourEncoding) -> NDArray[np.float32]:
    """The values (H, W, 3) of an HDR ``av.VideoFrame``, 0 to 1."""
    deep = native.reformat(
        format="rgb48le",
        src_colorspace=encoding.swscale_matrix,
        src_color_range=encoding.swscale_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=_CAREFUL,
        threads=1,
    )
    return np.asarray(deep.to_ndarray() / np.float32(65535), np.float32)


def _to_bytes(picture: NDArray[np.float32]) -> RGB:
    return np.asarray(cv2.multiply(picture, (255.0,) * 4, dtype=cv2.CV_8U), np.uint8)  # rounds and saturates


def planes_of_rgb(pixels: RGB, pix_fmt: str, encoding: ColourEncoding) -> Planes:
    """Return the planes, in ``pix_fmt``, of an RGB picture (H, W, 3) of standard range."""
    if encoding.tones is not None:
        signal = encoding.tones.restore(np.asarray(pixels, np.float32) / np.float32(255))
        deep = np.rint(signal.clip(0, 1) * 65535).astype(np.uint16)
        return planes_of(av.VideoFrame.from_ndarray(deep, "rgb48le"), pix_fmt, encoding)
    return planes_of(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24"), pix_fmt, encoding)


def _view(plane: Any, height: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A plane's samples (height, width) without a copy."""
    stride = plane.line_size // dtype.itemsize
    return np.frombuffer(plane, dtype, count=height * stride).reshape(height, stride)[:, :width]


def _add(plane: NDArray[Any], delta: NDArray[np.float32], top: int, left: int, depth: int) -> None:
    region = plane[top : top + delta.shape[0], left : left + delta.shape[1]]
    if depth == 8:
        region[:] = cv2.add(region, delta, dtype=cv2.CV_8U)  # rounds and saturates
    else:
        region[:] = np.clip(np.rint(region + delta), 0, 2**depth - 1).astype(plane.dtype)
