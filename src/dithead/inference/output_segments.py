"""The second pass of a job, a segment at a time: draws, encodes, and joins all segments to the signed output."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.inference.ahead import ahead
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.compose.second_pass import Finish, Segments, draw_frames
from dithead.inference.metadata import kept_metadata
from dithead.inference.output_credentials import job_sources
from dithead.inference.prepared_job import PreparedJob
from dithead.inference.redrawn_spans import RedrawnSpans
from dithead.inference.result import Drawings, GenerateResult
from dithead.inference.resume import WorkFolder
from dithead.inference.source.timeline import ScheduledFrame, schedule, scheduled_frames
from dithead.inference.visible_label import label_of
from dithead.media.clock import REMARK as JUMPED
from dithead.media.files import Seal
from dithead.media.planes import Planes
from dithead.media.segments import join_segments, write_segment
from dithead.progress import Progress
from dithead.provenance.manifest import Claim
from dithead.stages import stage

if TYPE_CHECKING:
    from dithead.inference.compose.second_pass import Sampler

SEGMENT = 50
"""Output frames that an interruption can cost at most, two seconds of most videos (our choice)."""


@dataclass(frozen=True)
class Drawing:
    """Everything that the second pass of one job needs."""

    prepared: PreparedJob
    analysis: VideoAnalysis
    sampler: Sampler
    finish: Finish
    work: WorkFolder


class Tally:
    """Counts the output's frames and reports them."""

    def __init__(self, expected: int, progress: Progress) -> None:
        self.expected, self.progress = expected, progress
        self.frames, self.last = 0, 0
        self.drawings = Drawings()

    def end(self, time_base: Fraction, fps: Fraction) -> Fraction:
        """Seconds at which the last frame counted ends."""
        return self.last * time_base + 1 / fps

    def count(self, pts: int) -> None:
        """Count a frame with this time stamp."""
        self.frames, self.last = self.frames + 1, pts
        self.progress("drawing mouths", self.frames, max(self.expected, self.frames))

    def counted(self, drawn: Iterable[tuple[Planes, int]]) -> Iterator[tuple[Planes, int]]:
        """Count the frames that pass, each with its time stamp."""
        for planes, pts in drawn:
            self.count(pts)
            yield planes, pts


def write_output(
    drawing: Drawing, model: dict[str, Any], result_of: Callable[[Tally], GenerateResult]
) -> GenerateResult:
    """Draw and encode all segments that are not there yet, then join and sign them.

    Args:
        drawing: What is drawn, and with what.
        model: What the credentials say of the model, see ``output_credentials.model_record``.
        result_of: Makes the result from the count of frames, once the output is whole and signed.

    Returns:
        The result.

    Raises:
        MediaError: The video cannot be read.
        OutputError: The output cannot be written or signed.
    """
    prepared, analysis, work = drawing.prepared, drawing.analysis, drawing.work
    seconds, fit = prepared.sound.seconds, prepared.job.fit
    clip = replace(prepared.clip, seekable=JUMPED not in analysis.remarks)
    tally = Tally(scheduled_frames(clip, analysis.stamps, fit, seconds), prepared.progress)
    redrawn = RedrawnSpans(analysis, clip.info)
    _write_segments(drawing, redrawn.watched(schedule(clip, analysis.stamps, fit, seconds)), tally)
    tally.drawings = work.drawings()
    sign = prepared.credentials.seal(lambda: _claim(prepared, redrawn, model))
    results: list[GenerateResult] = []

    def seal(path: Path, final: Path) -> None:
        if sign is not None:
            sign(path, final)
        results.append(result_of(tally))
        work.save_finished(path, results[0])  # before the file gets its name, so that there is no moment in between

    _join(drawing, tally, seal)
    return results[0]


def _write_segments(drawing: Drawing, timeline: Iterator[ScheduledFrame], tally: Tally) -> None:
    """Draw and encode the segments that an earlier call has not left."""
    work, first = drawing.work, 0
    while work.segment(first).exists():
        for item in islice(timeline, SEGMENT):
            tally.count(item.pts)
        first += 1
    if first:
        drawing.sampler.load_state(work.state(first - 1))
    with closing(_drawn(drawing, timeline, first)) as drawn:
        for number in count(first):
            if (frame := next(drawn, None)) is None:
                break
            part = tally.counted(chain([frame], islice(drawn, SEGMENT - 1)))
            write_segment(work.segment(number), part, drawing.prepared.encoding)


def _drawn(
    drawing: Drawing, timeline: Iterable[ScheduledFrame], first: int
) -> Generator[tuple[Planes, int], None, None]:
    """Planes and time stamps of all segments from the ``first`` on, one after the other.

    Decoding, drawing and composing run on threads of their own, and the caller encodes meanwhile. What the next segment
    depends on is on disk before the last frame of a segment is handed out.
    """
    prepared, analysis, sampler, work = drawing.prepared, drawing.analysis, drawing.sampler, drawing.work
    label = label_of(prepared.job.label, prepared.clip.info, analysis, sampler.size)
    segments = Segments(SEGMENT, lambda number: sampler.save_state(work.state(number)), work.save_drawings, first)
    frames = draw_frames(
        timeline, analysis, sampler, prepared.encoding.pix_fmt, prepared.batch, drawing.finish, segments
    )
    with closing(ahead(frames, prepared.batch, "compose")) as composed:
        for item, planes in composed:
            if label is not None:
                label.apply(planes)
            yield planes, item.pts


def _join(drawing: Drawing, tally: Tally, seal: Seal) -> None:
    """Put all segments and the sound into the output, and seal it."""
    prepared, encoding, info = drawing.prepared, drawing.prepared.encoding, drawing.prepared.clip.info
    end, metadata = tally.end(encoding.time_base, info.fps), kept_metadata(info)
    segments, sound = drawing.work.segments(), prepared.sound.heard
    with stage("join"):
        join_segments(segments, Path(prepared.job.output), encoding, end=end, audio=sound, metadata=metadata, seal=seal)


def _claim(prepared: PreparedJob, redrawn: RedrawnSpans, model: dict[str, Any]) -> Claim:
    """What the output's credentials say, once it is drawn."""
    sources = job_sources(prepared.job, prepared.sound, portrait=prepared.kind == "portrait")
    watermark = prepared.watermark.record(model["name"], prepared.kind)
    return prepared.credentials.job_claim(model, redrawn.spans(), sources, watermark)
