"""Makes of decoded frames what a player shows: fields merged, mirrored back, on a background, all of one size.

Whatever is changed in this way is remarked on, so that the result can say so. Rotation is undone later, because planes
turn more cheaply than frames. Letters: h, w a plane.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dithead.media.colour import encoding_of
from dithead.media.orientation import Orientation, orientation_of
from dithead.media.picture import TRANSPARENT

INTERLACED = "it is interlaced; its fields are merged into progressive frames (bwdif)"
RESIZED = "the size of its picture changes on the way; frames of another size are scaled to the first one's"
_MERGE = (("bwdif", "mode=send_frame:deint=interlaced"),)  # one frame out for each frame in
_Shape = tuple[int, int, str]  # width, height and format of a frame


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as the decoder gave it, and what is known of it."""

    native: Any  # av.VideoFrame
    stamp: int | None  # by the file's clock
    damaged: bool = False
    remark: str = ""  # what was changed for display
    new_size: bool = False  # its size differs from that of the frame before it
    original: Any = None  # av.VideoFrame before anything was changed; None: ``native`` itself

    @property
    def decoded(self) -> Any:
        """The frame as the decoder gave it, which is right about colours and time."""
        return self.native if self.original is None else self.original


class Presentation:
    """Makes decoded frames of one video into what is displayed, but for the rotation.

    The first frame decides the orientation, and the size and format that all later frames get.

    Args:
        background: Red, green and blue that show through transparent pixels.
    """

    def __init__(self, background: tuple[int, int, int]) -> None:
        self.background = background
        self.orientation: Orientation | None = None
        self.first: _Shape | None = None
        self._last: tuple[int, int] | None = None
        self._filters: dict[_Shape, _Filter] = {}

    def shown(self, frames: Iterable[DecodedFrame]) -> Iterator[DecodedFrame]:
        """Yield frames, which come in display order, as they are displayed."""
        for item in _deinterlaced(frames):
            native, remark = item.native, item.remark
            self.orientation = self.orientation or orientation_of(native)
            if is_transparent(native.format.name):
                native, seen_through = over_background(native, self.background)
                remark = TRANSPARENT if seen_through else remark
            size, shape = (native.width, native.height), _shape(native)
            new_size, self._last = self._last not in (None, size), size
            self.first = self.first or shape
            if shape != self.first:
                native = self._scaled(native, self.first)
                remark = RESIZED if size != self.first[:2] else remark
            if self.orientation.mirrored:
                native = self._mirrored(native)
            yield replace(item, native=native, remark=remark, new_size=new_size, original=item.decoded)

    def _scaled(self, frame: Any, like: _Shape) -> Any:
        """The whole frame at another size, with black borders where its shape differs."""
        width, height, pix_fmt = like
        fit = f"{width}:{height}:force_original_aspect_ratio=decrease:flags=bicubic"
        chain = (("scale", fit), ("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2"), ("format", pix_fmt))
        return self._filtered(frame, _shape(frame), chain)

    def _mirrored(self, frame: Any) -> Any:
        width, height, pix_fmt = _shape(frame)
        return self._filtered(frame, (-width, height, pix_fmt), (("hflip", ""), ("format", pix_fmt)))

    def _filtered(self, frame: Any, key: _Shape, chain: tuple[tuple[str, str], ...]) -> Any:
        if key not in self._filters:
            self._filters[key] = _Filter(frame, chain)
        self._filters[key].push(frame)
        return next(self._filters[key].pull())


def _shape(frame: Any) -> _Shape:
    return frame.width, frame.height, frame.format.name


def is_transparent(pix_fmt: str) -> bool:
    """Return whether a sample format has an alpha channel."""
    return "yuva" in pix_fmt or pix_fmt.startswith(("rgba", "bgra", "argb", "abgr", "ya8", "ya16", "gbrap"))


def over_background(frame: Any, background: tuple[int, int, int]) -> tuple[Any, bool]:
    """Lay a frame on a background.

    Args:
        frame: ``av.VideoFrame`` in a format with alpha.
        background: Red, green and blue.

    Returns:
        The frame without alpha, in which opaque pixels have their own bits; whether any pixel was transparent.
    """
    name = frame.format.name
    if name.startswith("yuva") and not name.endswith("be"):
        return _yuv_over_background(frame, background)
    seen = frame.reformat(format="rgba").to_ndarray().astype(np.float32)
    alpha = seen[..., 3:] / 255
    flat = np.rint(seen[..., :3] * alpha + np.asarray(background, np.float32) * (1 - alpha)).astype(np.uint8)
    return av.VideoFrame.from_ndarray(flat, "rgb24"), bool(alpha.min() < 1)


def _yuv_over_background(frame: Any, background: tuple[int, int, int]) -> tuple[Any, bool]:
    name = frame.format.name
    depth, dtype = frame.format.components[0].bits, "u1" if frame.format.components[0].bits == 8 else "<u2"
    encoding = encoding_of(int(frame.colorspace), int(frame.color_range), name, frame.height)
    offset = np.array([0 if encoding.full_range else 16, 128, 128]) * 2 ** (depth - 8)
    colour = encoding.from_rgb(depth) @ np.asarray(background, np.float32) + offset
    flat = av.VideoFrame(frame.width, frame.height, name.replace("yuva", "yuv"))
    alpha = _samples(frame.planes[3], dtype).astype(np.float32) / (2**depth - 1)
    for k, (old, new) in enumerate(zip(frame.planes, flat.planes, strict=False)):
        own = _samples(old, dtype)
        weight = alpha[:: frame.height // old.height, :: frame.width // old.width][: old.height, : old.width]
        _samples(new, dtype)[:] = np.rint(own * weight + colour[k] * (1 - weight))
    flat.color_range, flat.colorspace = frame.color_range, frame.colorspace
    return flat, bool(alpha.min() < 1)


def _samples(plane: Any, dtype: str) -> NDArray[Any]:
    """A plane's samples (h, w) without a copy."""
    stride = plane.line_size // np.dtype(dtype).itemsize
    return np.frombuffer(plane, dtype, count=plane.height * stride).reshape(plane.height, stride)[:, : plane.width]


class _Filter:
    """A chain of FFmpeg's filters for frames of one size and format."""

    def __init__(self, like: Any, chain: tuple[tuple[str, str], ...]) -> None:
        self.graph = av.filter.Graph()
        source: Any = self.graph.add_buffer(
            width=like.width, height=like.height, format=like.format.name, time_base=Fraction(1, 1000)
        )
        for name, options in chain:
            stage = self.graph.add(name, options)
            source.link_to(stage)
            source = stage
        source.link_to(self.graph.add("buffersink"))
        self.graph.configure()
        self._count = 0

    def push(self, frame: Any | None) -> None:
        if frame is None:
            self.graph.push(None)
            return
        own = frame.pts, frame.time_base
        frame.pts, frame.time_base = self._count, Fraction(1, 1000)
        self._count += 1
        self.graph.push(frame)
        frame.pts = own[0]
        if own[1] is not None:  # damaged files can have frames without one
            frame.time_base = own[1]

    def pull(self) -> Iterator[Any]:
        while True:
            try:
                yield self.graph.pull()
            except (BlockingIOError, EOFError, av.BlockingIOError, av.EOFError):
                return


def _deinterlaced(frames: Iterable[DecodedFrame]) -> Iterator[DecodedFrame]:
    """From the first interlaced frame on, merge the fields of all that are; the filter looks one frame ahead."""
    merger: _Filter | None = None
    shape: _Shape | None = None
    waiting: deque[DecodedFrame] = deque()

    def merged() -> Iterator[DecodedFrame]:
        assert merger is not None
        for native in merger.pull():
            item = waiting.popleft()
            remark = INTERLACED if item.native.interlaced_frame else item.remark
            yield replace(item, native=native, remark=remark, original=item.decoded)

    for item in frames:
        here = _shape(item.native)
        if merger is not None and here != shape:
            merger.push(None)
            yield from merged()
            merger = None
        if merger is None and not item.native.interlaced_frame:
            yield item
            continue
        if merger is None:
            merger, shape = _Filter(item.native, _MERGE), here
        waiting.append(item)
        merger.push(item.native)
        yield from merged()
    if merger is not None:
        merger.push(None)
        yield from merged()
