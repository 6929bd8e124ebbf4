"""The second pass of a job, a segment at a time: draws, encodes, and joins all segments to the signed output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.compose.second_pass import Finish, PreparedBatch, Segments, draw_frames
from dithead.inference.helper_process import HelperProcess
from dithead.inference.metadata import kept_metadata
from dithead.inference.output_credentials import job_sources
from dithead.inference.prepared_job import PreparedJob
from dithead.inference.redrawn_spans import RedrawnSpans
from dithead.inference.result import Drawings, GenerateResult
from dithead.inference.resume import WorkFolder
from dithead.inference.second_pass_job import (
    EncodedFrame,
    PassedFrame,
    PlannedPass,
    SecondPass,
    compose_elsewhere,
    second_pass,
)
from dithead.inference.segment_files import write_segments
from dithead.inference.source.timeline import scheduled_frames
from dithead.media.clock import REMARK as JUMPED
from dithead.media.files import Seal
from dithead.media.planes import Planes
from dithead.media.segments import join_segments
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
    process: HelperProcess

    def save_state(self, number: int) -> None:
        """Keep what the mouths after a segment depend on."""
        self.sampler.save_state(self.work.state(number))

    def load_state(self, first: int) -> None:
        """Go on with segment ``first``, after those that an earlier call has left."""
        if first:
            self.sampler.load_state(self.work.state(first - 1))

    def counts(self) -> tuple[Tally, RedrawnSpans]:
        """Return what counts the frames of the output, and what notes where they are redrawn."""
        plan = self.plan
        expected = scheduled_frames(plan.clip, plan.analysis.stamps, plan.fit, plan.seconds)
        return Tally(expected, self.prepared.progress), RedrawnSpans(plan.analysis, plan.clip.info)

    def begin(self) -> None:
        """Let the helper process cut the first frames while something else is still to be done here."""
        if self.process.started:
            self.process.begin(self.second_pass)

    @cached_property
    def second_pass(self) -> SecondPass:
        """The part of the helper process."""
        return second_pass(self.plan, self.sampler)

    @cached_property
    def plan(self) -> PlannedPass:
        """What the second pass makes."""
        prepared, sampler = self.prepared, self.sampler
        clip = replace(prepared.clip, seekable=JUMPED not in self.analysis.remarks)
        job, seconds = prepared.job, prepared.sound.seconds
        shape = prepared.encoding, prepared.batch, self.finish, job.label, sampler.size
        return PlannedPass(clip, self.analysis, job.fit, seconds, *shape, self.work.files, SEGMENT)


class Tally:
    """Counts the output's frames and reports them."""

    def __init__(self, expected: int, progress: Progress) -> None:
        self.expected, self.progress = expected, progress
        self.frames, self.last = 0, 0
        self.resumed = 0
        """Frames that an earlier call, which was interrupted, had drawn and encoded."""
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
    prepared, work = drawing.prepared, drawing.work
    found = drawing.plan.files.finished() * drawing.plan.length
    tally, redrawn = _second_pass(drawing)
    tally.drawings, tally.resumed = work.drawings(), min(found, tally.frames)
    sign = prepared.credentials.seal(lambda: _claim(prepared, redrawn, model))
    results: list[GenerateResult] = []

    def seal(path: Path, final: Path) -> None:
        if sign is not None:
            sign(path, final)
        results.append(result_of(tally))
        work.save_finished(path, results[0])  # before the file gets its name, so that there is no moment in between

    _join(drawing, tally, seal)
    return results[0]


def _second_pass(drawing: Drawing) -> tuple[Tally, RedrawnSpans]:
    """Draw and encode the segments that an earlier call has not left, in two processes if there are two."""
    sampler, begin = drawing.sampler, drawing.work.begin()
    if drawing.process.started:
        sampler.save_state(begin)
        counts = drawing.counts()
        if _in_two_processes(drawing, *counts):
            return counts
        sampler.load_state(begin)
    counts = drawing.counts()
    _in_one_process(drawing, *counts)
    return counts


def _in_two_processes(drawing: Drawing, tally: Tally, redrawn: RedrawnSpans) -> bool:
    """Whether the output was drawn and encoded; False where the other process died."""

    def passed(message: PassedFrame | PreparedBatch | EncodedFrame) -> None:
        if isinstance(message, PreparedBatch):
            for item in message.frames:
                redrawn.add(item.index, item.time)
            return
        if isinstance(message, PassedFrame):
            redrawn.add(message.source, message.time)
        tally.count(message.pts)

    job = drawing.second_pass
    drawing.load_state(job.first)
    return compose_elsewhere(drawing.process, job, drawing.sampler, drawing.save_state, passed)


def _in_one_process(drawing: Drawing, tally: Tally, redrawn: RedrawnSpans) -> None:
    """Draw and encode the output; decoding, drawing, composing and encoding run on threads of their own.

    What the next segment depends on is on disk before the last frame of a segment is handed out.
    """
    plan = drawing.plan
    first, timeline = plan.files.finished(), redrawn.watched(plan.timeline())
    for item in islice(timeline, first * plan.length):
        tally.count(item.pts)
    drawing.load_state(first)
    segments = Segments(plan.length, drawing.save_state, plan.files.save_drawings, first)
    frames = draw_frames(
        timeline, plan.analysis, drawing.sampler, plan.encoding.pix_fmt, plan.batch, plan.finish, segments
    )
    with closing(plan.labelled(frames)) as labelled:
        write_segments(tally.counted(labelled), plan.files, first, plan.length, plan.encoding)


def _join(drawing: Drawing, tally: Tally, seal: Seal) -> None:
    """Put all segments and the sound into the output, and seal it."""
    prepared, encoding, info = drawing.prepared, drawing.prepared.encoding, drawing.prepared.clip.info
    end, metadata = tally.end(encoding.time_base, info.fps), kept_metadata(info)
    segments, sound = drawing.work.files.segments(), prepared.encoded_sound
    with stage("join"):
        join_segments(segments, Path(prepared.job.output), encoding, end=end, audio=sound, metadata=metadata, seal=seal)


def _claim(prepared: PreparedJob, redrawn: RedrawnSpans, model: dict[str, Any]) -> Claim:
    """What the output's credentials say, once it is drawn."""
    sources = job_sources(prepared.job, prepared.sound, portrait=prepared.kind == "portrait")
    watermark = prepared.watermark.record(model["name"], prepared.kind)
    return prepared.credentials.job_claim(model, redrawn.spans(), sources, watermark)
