"""Records when and where an output's mouths were redrawn, from the analysis and the order of its frames.

Nothing of the drawing itself is needed, so a resumed job records the same as one that ran through. Memory grows with
the seconds, not with the frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.source.timeline import ScheduledFrame
from dithead.media.info import VideoInfo
from dithead.provenance.manifest import RedrawnSpan

_PIECE = 1.0  # seconds after which a new span begins, so that boxes follow the face (our choice)
_MOST = 120  # spans in a manifest, 20 kB: longer outputs have longer spans (our choice)


@dataclass
class _OpenSpan:
    start: float
    end: float
    low: NDArray[np.float64]  # (2,) left and top
    high: NDArray[np.float64]  # (2,) right and bottom


class RedrawnSpans:
    """Collects spans while the frames of the output pass through ``watched``."""

    def __init__(self, analysis: VideoAnalysis, info: VideoInfo) -> None:
        self.analysis, self.step = analysis, float(1 / info.fps)
        self._limit = np.array([info.width, info.height], np.float64)
        self._open: dict[int, _OpenSpan] = {}
        self._closed: list[RedrawnSpan] = []

    def watched(self, timeline: Iterable[ScheduledFrame]) -> Iterator[ScheduledFrame]:
        """Pass the output's frames through, in order."""
        for item in timeline:
            self.add(item.index, item.time)
            yield item

    def add(self, index: int, time: float) -> None:
        """Take the output's next frame: the number of its source frame, and the second at which it is shown."""
        for tracklet in self.analysis.tracklets_at(index):
            if index - tracklet.start not in tracklet.occlusion.hidden:
                self._add(tracklet, index, time)

    def spans(self) -> tuple[RedrawnSpan, ...]:
        """Return the spans of the frames so far, face by face, in order."""
        found = sorted([*self._closed, *(self._span(face, span) for face, span in self._open.items())])
        while len(found) > _MOST and (merged := _merged_in_pairs(found)) != found:
            found = merged
        return tuple(found)

    def _add(self, tracklet: Tracklet, index: int, time: float) -> None:
        face = max(1, tracklet.face)
        back = invert(tracklet.transforms[index - tracklet.start])
        corners = transform_points(tracklet.mask_polygon(index), back)
        low, high = corners.min(axis=0).clip(0, self._limit), corners.max(axis=0).clip(0, self._limit)
        span = self._open.get(face)
        is_new = span is None or time > span.end + self.step / 2 or span.end - span.start >= _PIECE
        if span is None or is_new:
            if span is not None:
                self._closed.append(self._span(face, span))
            self._open[face] = _OpenSpan(time, time + self.step, low, high)
            return
        span.end = time + self.step
        span.low, span.high = np.minimum(span.low, low), np.maximum(span.high, high)

    @staticmethod
    def _span(face: int, span: _OpenSpan) -> RedrawnSpan:
        left, top = np.floor(span.low).astype(int).tolist()
        width, height = (np.ceil(span.high).astype(int) - (left, top)).tolist()
        return RedrawnSpan(face, round(span.start, 3), round(span.end, 3), (left, top, width, height))


def _merged_in_pairs(spans: list[RedrawnSpan]) -> list[RedrawnSpan]:
    """Half as many spans: each two neighbours of one face become one, whose box holds both."""
    merged: list[RedrawnSpan] = []
    rest = list(reversed(spans))
    while rest:
        first = rest.pop()
        if rest and rest[-1].face == first.face:
            merged.append(_joined(first, rest.pop()))
        else:
            merged.append(first)
    return merged


def _joined(first: RedrawnSpan, second: RedrawnSpan) -> RedrawnSpan:
    (x0, y0, w0, h0), (x1, y1, w1, h1) = first.box, second.box
    left, top = min(x0, x1), min(y0, y1)
    box = (left, top, max(x0 + w0, x1 + w1) - left, max(y0 + h0, y1 + h1) - top)
    return RedrawnSpan(first.face, first.start, second.end, box)
