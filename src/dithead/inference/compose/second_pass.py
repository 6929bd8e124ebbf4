"""Makes the second pass over the video: draws the mouths in batches and composes them into the frames.

Letters: B frames of a batch, S crop side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dithead.inference.ahead import ahead
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.batches import Batch, batches
from dithead.inference.compose.compose_mouth import ComposedMouth, SourceView, compose
from dithead.inference.result import Drawings
from dithead.inference.source.timeline import ScheduledFrame
from dithead.inference.synthesise.reference_bank import FrameReference
from dithead.media.planes import Planes
from dithead.stages import stage

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


@dataclass(frozen=True)
class Segments:
    """Parts of the output after each of which the work can be taken up again.

    Both functions are called with the number of a segment whose last frame has not been handed out yet.
    """

    length: int
    """Frames of each; the last one may have fewer."""
    drawn: Callable[[int], None]
    """Called on the drawing thread when the mouths of a segment are drawn, and no later ones."""
    composed: Callable[[int, int, Drawings], None]
    """Called with the frames of a segment, and how its mouths were drawn, when they are composed."""
    first: int = 0
    """Number of the segment with which the timeline begins."""


class DrawnMouths(NamedTuple):
    """The mouths of one face in the frames of a batch."""

    tracklet: Tracklet
    views: list[SourceView]
    drawn: NDArray[np.uint8]  # (B, S, S, 3)
    references: Sequence[FrameReference | None]


class PreparedBatch(NamedTuple):
    """A batch that has all that its mouths are drawn from."""

    frames: list[ScheduledFrame]
    planes: list[Planes]
    faces: list[tuple[Tracklet, list[SourceView]]]
    begins: bool  # other tracklets are shown than before
    ends: bool  # a segment


class DrawnBatch(NamedTuple):
    """A batch whose mouths are drawn, but not in the planes yet."""

    frames: list[ScheduledFrame]
    planes: list[Planes]
    mouths: list[DrawnMouths]  # of each face
    ends: bool  # a segment


def draw_frames(
    timeline: Iterable[ScheduledFrame],
    analysis: VideoAnalysis,
    sampler: Sampler,
    pix_fmt: str,
    batch: int,
    finish: Finish,
    segments: Segments,
) -> Iterator[tuple[ScheduledFrame, Planes]]:
    """Draw the mouths of a video; decoding and hearing, drawing, and composing run on threads of their own.

    Args:
        timeline: The output's frames in order.
        analysis: What the first pass found.
        sampler: Draws the mouths.
        pix_fmt: FFmpeg's name of the output's pixel format.
        batch: Frames held at once, at most; three where frames are interpolated.
        finish: What is done to a mouth once it is drawn.
        segments: What is done after each part.

    Yields:
        Each frame with its new planes, in order.
    """
    seen = seen_batches(timeline, analysis, sampler, pix_fmt, batch, segments.length)
    drawn = drawn_batches(ahead(heard_batches(seen, sampler), 1, "decode"), sampler, detail=finish.detail)
    yield from composed_frames(ahead(reported(drawn, segments), 1, "draw"), finish, segments)


def composed_frames(
    drawn: Iterable[DrawnBatch], finish: Finish, segments: Segments
) -> Iterator[tuple[ScheduledFrame, Planes]]:
    """Compose batches, and yield each frame with its new planes, see ``draw_frames``."""
    number, count, drawings = segments.first, 0, Drawings()
    for part in drawn:
        drawings += compose_batch(part, finish)
        count += len(part.frames)
        if part.ends:
            segments.composed(number, count, drawings)
            number, count, drawings = number + 1, 0, Drawings()
        yield from zip(part.frames, part.planes, strict=True)


def compose_batch(part: DrawnBatch, finish: Finish) -> Drawings:
    """Put the mouths of a batch into its planes, and return how they were drawn."""
    drawings = Drawings()
    for mouths in part.mouths:
        for made in _compose(part, mouths, finish.marker):
            drawings.add(made.replaced, made.mended)
    return drawings


def seen_batches(
    timeline: Iterable[ScheduledFrame],
    analysis: VideoAnalysis,
    sampler: Sampler,
    pix_fmt: str,
    batch: int,
    length: int | None = None,
) -> Iterator[PreparedBatch]:
    """Cut the crops of frames, and encode what is known of them without their speech.

    It may run on another thread than ``drawn_batches``, and so may ``heard_batches``, which come between both. See
    ``draw_frames`` for the arguments; segments of ``length`` frames end a batch.
    """
    cut = cut_batches(batches(timeline, analysis, sampler, batch, length), pix_fmt, sampler.size)
    yield from seen_by(sampler, cut)


def cut_batches(parts: Iterable[Batch], pix_fmt: str, size: int) -> Iterator[PreparedBatch]:
    """Cut the crops, of side ``size``, of the faces in batches; ``pix_fmt`` is FFmpeg's name of the output's format."""
    for part in parts:
        with stage("planes"):
            planes = [f.frame.planes(pix_fmt) for f in part.frames]
        faces = [(tracklet, _views(part.frames, planes, tracklet, size)) for tracklet in part.tracklets]
        yield PreparedBatch(part.frames, planes, faces, part.begins, part.ends)


def seen_by(sampler: Sampler, cut: Iterable[PreparedBatch]) -> Iterator[PreparedBatch]:
    """Encode what is known of frames without their speech."""
    for part in cut:
        for tracklet, views in part.faces:
            sampler.see(tracklet, _crops(views), _times(part.frames))
        yield part


def heard_batches(seen: Iterable[PreparedBatch], sampler: Sampler) -> Iterator[PreparedBatch]:
    """Hear the speech of batches that are drawn next."""
    for part in seen:
        hear(part, sampler)
        yield part


def hear(part: PreparedBatch, sampler: Sampler) -> None:
    """Hear the speech of a batch whose mouths are drawn next."""
    for tracklet, _ in part.faces:
        sampler.hear(tracklet, _times(part.frames))


def joined_batches(parts: Sequence[PreparedBatch]) -> Iterator[PreparedBatch]:
    """Make larger batches of several that follow one another, where they show the same tracklets."""
    first = 0
    for k in range(1, len(parts) + 1):
        if k == len(parts) or parts[k].begins or parts[k - 1].ends:
            yield _joined(parts[first:k])
            first = k


def _joined(parts: Sequence[PreparedBatch]) -> PreparedBatch:
    views = zip(*([views for _, views in part.faces] for part in parts), strict=True)
    tracklets = [tracklet for tracklet, _ in parts[0].faces]
    faces = [(tracklet, [v for each in of for v in each]) for tracklet, of in zip(tracklets, views, strict=True)]
    frames, planes = [f for part in parts for f in part.frames], [p for part in parts for p in part.planes]
    return PreparedBatch(frames, planes, faces, parts[0].begins, parts[-1].ends)


def split_batch(drawn: DrawnBatch) -> Iterator[DrawnBatch]:
    """Yield the frames of a batch one by one, so that the first may be composed before the others."""
    last = len(drawn.frames) - 1
    for k in range(last + 1):
        mouths = [DrawnMouths(m.tracklet, m.views[k:][:1], m.drawn[k:][:1], m.references[k:][:1]) for m in drawn.mouths]
        yield DrawnBatch(drawn.frames[k:][:1], drawn.planes[k:][:1], mouths, drawn.ends and k == last)


def drawn_batches(prepared: Iterable[PreparedBatch], sampler: Sampler, *, detail: bool = True) -> Iterator[DrawnBatch]:
    """Draw the mouths of batches, see ``draw_frames``; nothing is composed yet."""
    for part in prepared:
        if part.begins:
            sampler.begin()
        mouths = [_draw(part.frames, tracklet, views, sampler, detail=detail) for tracklet, views in part.faces]
        yield DrawnBatch(part.frames, part.planes, mouths, part.ends)


def reported(drawn: Iterable[DrawnBatch], segments: Segments) -> Iterator[DrawnBatch]:
    """Yield the batches, and report each segment before the first batch of the next one is drawn."""
    number = segments.first
    for part in drawn:
        if part.ends:
            segments.drawn(number)
            number += 1
        yield part


def _views(frames: list[ScheduledFrame], planes: list[Planes], tracklet: Tracklet, size: int) -> list[SourceView]:
    """Cut the crops of one face."""
    with stage("crops"):
        return [
            SourceView.of_planes(p, tracklet.transforms[f.index - tracklet.start], size, f.index)
            for f, p in zip(frames, planes, strict=True)
        ]


def _times(frames: list[ScheduledFrame]) -> NDArray[np.float64]:
    return np.array([frame.time for frame in frames])


def _crops(views: list[SourceView]) -> NDArray[np.uint8]:
    return np.stack([view.crop for view in views])


def _draw(
    frames: list[ScheduledFrame], tracklet: Tracklet, views: list[SourceView], sampler: Sampler, *, detail: bool
) -> DrawnMouths:
    """Draw the mouths of one face."""
    times = _times(frames)
    indices = [f.index for f in frames]
    drawn = sampler.draw(tracklet, _crops(views), times, indices)
    references = sampler.frame_references(tracklet, times, indices) if detail else [None] * len(frames)
    return DrawnMouths(tracklet, views, drawn, references)


def _compose(part: DrawnBatch, mouths: DrawnMouths, marker: Watermarker | None) -> Iterator[ComposedMouth]:
    """Put the mouths of one face into the planes of the frames, and yield each change."""
    drawn = zip(mouths.drawn, mouths.views, mouths.references, part.frames, part.planes, strict=True)
    for mouth, view, reference, frame, p in drawn:
        with stage("compose"):
            made = compose(mouth, view, reference, mouths.tracklet)
            if made is not None:
                made.add_to(p)
        if made is not None:
            if marker is not None:
                with stage("watermark"):
                    marker.apply(p, view.transform, made.allowed, frame.time)
            yield made
