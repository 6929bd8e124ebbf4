"""Keeps the decoded frames of a short clip in memory, so that the second pass need not decode them again.

The first pass may run in another process, so they lie in a file without a name that both processes hold open. A clip
that does not fit is decoded twice: to go on decoding in its middle, a file would have to be trusted to seek exactly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.media.planes import Planes, planes_of, views_of
from dithead.media.video import VideoFrame

MOST = 768 << 20
"""Bytes that are kept of one clip, at most: ten seconds of 1080p at 25 frames a second (our choice)."""
_SHARE = 16  # part of the memory that is free which is taken, at most: a sixteenth (our choice)
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))  # of a container


@dataclass
class KeptFrame(VideoFrame):
    """A frame whose samples were kept when it was decoded; ``native`` is None."""

    memory: int = -1  # descriptor of the file
    begin: int = 0  # where its samples are in it
    stop: int = 0  # where they end
    size: tuple[int, int] = (0, 0)  # stored width and height
    pix_fmt: str = ""

    def planes(self, pix_fmt: str) -> Planes:
        """See ``VideoFrame.planes``; the format is that in which it was kept."""
        assert pix_fmt == self.pix_fmt, "only frames in the working format are kept"
        planes = Planes.empty(*self.size, pix_fmt, self.encoding)
        _read(self.memory, planes.arrays, self.begin)
        return planes_of(planes.frame, pix_fmt, self.encoding, self.rotation) if self.rotation else planes


class KeptFrames:
    """The memory for the frames of one clip.

    Args:
        memory: Descriptor of a file, see ``early_start.new_memory``.
        pix_fmt: The format of the output's planes: frames of other formats are not kept.
        limit: Bytes, at most.
    """

    def __init__(self, memory: int, pix_fmt: str, limit: int) -> None:
        self.memory, self.pix_fmt, self.limit = memory, pix_fmt, limit
        self.frames: tuple[KeptFrame, ...] | None = None
        """All frames of the clip; None where they are not known, or did not fit."""

    def keeping(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """Yield the frames of the whole clip, and keep them if all fit and all are of one kind."""
        kept: list[KeptFrame] | None = []
        for frame in frames:
            if kept is not None and not self._keep(frame, kept):
                kept = None
                os.ftruncate(self.memory, 0)
            yield frame
        self.frames = None if kept is None else tuple(kept)

    def _keep(self, frame: VideoFrame, kept: list[KeptFrame]) -> bool:
        native = frame.native
        if native.format.name.replace("yuvj", "yuv") != self.pix_fmt:
            return False
        arrays, begin = views_of(native), kept[-1].stop if kept else 0
        stop = begin + sum(array.nbytes for array in arrays)
        if stop > self.limit or not _written(self.memory, arrays, begin):
            return False
        known = {name: getattr(frame, name) for name in VideoFrame.__dataclass_fields__} | {"native": None}
        size = (native.width, native.height)
        kept.append(KeptFrame(**known, memory=self.memory, begin=begin, stop=stop, size=size, pix_fmt=self.pix_fmt))
        return True


def room(frames: int | None, width: int, height: int) -> int:
    """Return how many bytes may be kept of a clip; 0 where its frames would certainly not fit.

    Args:
        frames: How many it probably has; None: unknown.
        width: Of each.
        height: Of each.
    """
    limit = min(MOST, _free_memory() // _SHARE)
    least = (frames or 0) * width * height * 3 // 2  # of 4:2:0 in 8 bits, the smallest format
    return limit if 0 < least <= limit else 0


def _free_memory() -> int:
    """Bytes that can still be used; 0 where that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return 0
    try:
        most, used = (int(file.read_text("ascii")) for file in _LIMITS)
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return max(0, min(free, most - used))


def _written(memory: int, arrays: Sequence[NDArray[Any]], place: int) -> bool:
    """Write the samples of planes; returns whether there was room."""
    data = [np.ascontiguousarray(array).data.cast("B") for array in arrays]
    try:
        return os.pwritev(memory, data, place) == sum(map(len, data))
    except OSError:
        return False


def _read(memory: int, arrays: Sequence[NDArray[Any]], place: int) -> None:
    """Read the samples of planes."""
    whole = [array if array.flags.c_contiguous else np.empty(array.shape, array.dtype) for array in arrays]
    os.preadv(memory, [each.data.cast("B") for each in whole], place)
    for array, each in zip(arrays, whole, strict=True):
        if each is not array:
            array[:] = each
