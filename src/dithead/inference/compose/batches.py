"""Divides the frames of an output into batches, which are drawn together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.source.timeline import ScheduledFrame


class BatchSizes(Protocol):
    """What batches depend on: a sampler, or what is known of one in another process."""

    def frames_at_once(self, batch: int, *, first: bool) -> int:
        """Return how many frames a batch should have, ``batch`` at most, the ``first`` of its faces or a later one."""
        ...


class KnownSizes(NamedTuple):
    """What a sampler has said of one size."""

    first: int
    later: int

    @classmethod
    def of(cls, sampler: BatchSizes, size: int) -> KnownSizes:
        """Ask a sampler."""
        return cls(sampler.frames_at_once(size, first=True), sampler.frames_at_once(size, first=False))

    def frames_at_once(self, batch: int, *, first: bool) -> int:
        """See ``BatchSizes``; ``batch`` is the size that the sampler was asked about."""
        del batch
        return self.first if first else self.later


@dataclass
class Batch:
    """Frames that follow one another and show the same tracklets."""

    tracklets: list[Tracklet]
    capacity: int  # frames, at most
    frames: list[ScheduledFrame] = field(default_factory=list)
    begins: bool = False  # other tracklets are shown than before
    ends: bool = False  # a segment


def batches(
    timeline: Iterable[ScheduledFrame], analysis: VideoAnalysis, sizes: BatchSizes, size: int, length: int | None
) -> Iterator[Batch]:
    """Group the timeline: a batch ends when it is full, where other tracklets begin, and after ``length`` frames.

    The last segment may be shorter; an empty batch ends it, so that no frame waits for the next one.
    """
    part, count = Batch([], 0), 0
    for item in timeline:
        tracklets = analysis.tracklets_at(item.index)
        if count == 0 or tracklets != part.tracklets:
            if part.frames:
                yield part
            part = Batch(tracklets, sizes.frames_at_once(size, first=True), begins=True)
        part.frames.append(item)
        count += 1
        if (ends := count == length) or len(part.frames) >= part.capacity:
            part.ends = ends
            yield part
            part, count = Batch(tracklets, sizes.frames_at_once(size, first=False)), 0 if ends else count
    if part.frames:
        yield part
    if length is not None and count:
        yield Batch([], 0, ends=True)


def batch_sizes(sizes: BatchSizes, size: int, length: int) -> Iterator[int]:
    """Yield without end how many frames the batches have while the same faces are shown, see ``batches``."""
    while True:
        left, first = length, True
        while left:
            yield (count := min(left, sizes.frames_at_once(size, first=first)))
            left, first = left - count, False
