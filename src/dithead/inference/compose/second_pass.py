"""Makes the second pass over the video: draws the mouths in batches and composes them into the frames.

Letters: B frames of a batch, S crop side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dithead.face.compositing import Patch
from dithead.inference.ahead import ahead
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.compose_mouth import SourceView, compose
from dithead.inference.result import Drawings
from dithead.inference.source.timeline import ScheduledFrame
from dithead.inference.synthesise.reference_bank import FrameReference
from dithead.media.planes import Planes, planes_of
from dithead.stages import stage
from dithead.types import Similarity

if TYPE_CHECKING:
    from dithead.inference.synthesise.frame_interpolation import FrameInterpolator
    from dithead.inference.synthesise.sampler import MouthSampler
    from dithead.provenance.watermark import Watermarker

    Sampler: TypeAlias = MouthSampler | FrameInterpolator


@dataclass(frozen=True)
class Finish:
    """What is done to a mouth once it is drawn."""

    detail: bool = True
    """Give it the fine detail of the person's own pictures, and replace it where it failed."""
    marker: Watermarker | None = None
    """Hides the mark in it; None: it stays unmarked."""


@dataclass
class _Batch:
    """Frames that follow one another and show the same tracklets."""

    tracklets: list[Tracklet]
    capacity: int  # frames, at most
    frames: list[ScheduledFrame] = field(default_factory=list)


class _Mouths(NamedTuple):
    """The mouths of one face in the frames of a batch."""

    tracklet: Tracklet
    transforms: list[Similarity]  # from the frames to the aligned crops
    views: list[SourceView]
    drawn: NDArray[np.uint8]  # (B, S, S, 3)
    references: Sequence[FrameReference | None]


class DrawnBatch(NamedTuple):
    """A batch whose mouths are drawn, but not in the planes yet."""

    frames: list[ScheduledFrame]
    planes: list[Planes]
    mouths: list[_Mouths]  # of each face


def draw_frames(
    timeline: Iterable[ScheduledFrame],
    analysis: VideoAnalysis,
    sampler: Sampler,
    pix_fmt: str,
    batch: int,
    finish: Finish | None = None,
    drawings: Drawings | None = None,
    overlap: bool = False,
) -> Iterator[tuple[ScheduledFrame, Planes]]:
    """Draw the mouths of a video.

    Args:
        timeline: The output's frames in order.
        analysis: What the first pass found.
        sampler: Draws the mouths.
        pix_fmt: FFmpeg's name of the output's pixel format.
        batch: Frames held at once, at most; three where frames are interpolated.
        finish: What is done to a mouth once it is drawn; by default all but the mark.
        drawings: Counts the mouths drawn, and those that had to be replaced or mended.
        overlap: Decode and draw on threads of their own while earlier frames are composed.

    Yields:
        Each frame with its new planes, in order.
    """
    finish = finish or Finish()
    frames = ahead(timeline, batch, "decode") if overlap else timeline
    batches = drawn_batches(frames, analysis, sampler, pix_fmt, batch, detail=finish.detail)
    for part in ahead(batches, 1, "draw") if overlap else batches:
        yield from composed(part, finish, drawings)


def composed(
    part: DrawnBatch, finish: Finish, drawings: Drawings | None = None
) -> Iterator[tuple[ScheduledFrame, Planes]]:
    """Put the mouths of a batch into its planes, and yield each frame with them; ``drawings`` counts the mouths."""
    for mouths in part.mouths:
        for patch in _compose(part, mouths, finish.marker):
            if drawings is not None:
                drawings.add(patch.replaced, patch.mended)
    yield from zip(part.frames, part.planes, strict=True)


def drawn_batches(
    timeline: Iterable[ScheduledFrame],
    analysis: VideoAnalysis,
    sampler: Sampler,
    pix_fmt: str,
    batch: int,
    *,
    detail: bool = True,
) -> Iterator[DrawnBatch]:
    """Draw the mouths, see ``draw_frames``; nothing is composed yet."""
    for part in _batches(timeline, analysis, sampler, batch):
        with stage("planes"):
            planes = [planes_of(f.frame.native, pix_fmt, f.frame.encoding, f.frame.rotation) for f in part.frames]
        mouths = [_draw(part.frames, planes, tracklet, sampler, detail=detail) for tracklet in part.tracklets]
        yield DrawnBatch(part.frames, planes, mouths)


def _batches(
    timeline: Iterable[ScheduledFrame], analysis: VideoAnalysis, sampler: Sampler, size: int
) -> Iterator[_Batch]:
    """Group the timeline; a batch ends when it is full and where other tracklets begin."""
    sampler.begin()
    part = _Batch([], sampler.frames_at_once(size, first=True))
    for item in timeline:
        tracklets = analysis.tracklets_at(item.index)
        if tracklets != part.tracklets:
            if part.frames:
                yield part
            sampler.begin()
            part = _Batch(tracklets, sampler.frames_at_once(size, first=True))
        part.frames.append(item)
        if len(part.frames) >= part.capacity:
            yield part
            part = _Batch(tracklets, sampler.frames_at_once(size, first=False))
    if part.frames:
        yield part


def _draw(
    frames: list[ScheduledFrame], planes: list[Planes], tracklet: Tracklet, sampler: Sampler, *, detail: bool
) -> _Mouths:
    """Draw the mouths of one face."""
    transforms = [tracklet.transforms[f.index - tracklet.start] for f in frames]
    with stage("crops"):
        views = [
            SourceView.of_planes(p, transform, sampler.size, f.index)
            for f, p, transform in zip(frames, planes, transforms, strict=True)
        ]
    times = np.array([f.time for f in frames])
    drawn = sampler.draw(tracklet, np.stack([view.crop for view in views]), times, [f.index for f in frames])
    references = sampler.frame_references(tracklet, times) if detail else [None] * len(frames)
    return _Mouths(tracklet, transforms, views, drawn, references)


def _compose(part: DrawnBatch, mouths: _Mouths, marker: Watermarker | None) -> Iterator[Patch]:
    """Put the mouths of one face into the planes of the frames, and yield each change."""
    drawn = zip(mouths.drawn, mouths.views, mouths.references, strict=True)
    for (mouth, view, reference), frame, p, transform in zip(
        drawn, part.frames, part.planes, mouths.transforms, strict=True
    ):
        with stage("compose"):
            patch = compose(mouth, view, reference, mouths.tracklet)
            if patch is not None:
                p.add_rgb_difference(patch.difference, patch.top, patch.left)
        if patch is not None:
            if marker is not None and patch.allowed is not None:
                with stage("watermark"):
                    marker.apply(p, transform, patch.allowed, frame.time)
            yield patch
