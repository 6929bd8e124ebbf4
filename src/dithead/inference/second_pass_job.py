"""The second pass in two processes: the helper cuts, composes and encodes the frames, and this one draws mouths.

Python lets one thread of a process compute at a time wherever no library does, and drawing and composing would wait for
each other at thousands of calls a second. The output has the bytes that one process gives it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.inference.ahead import ahead
from dithead.inference.analyse.finders import Finders
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.batches import KnownSizes, batches
from dithead.inference.compose.compose_mouth import SourceView
from dithead.inference.compose.second_pass import (
    DrawnBatch,
    DrawnMouths,
    Finish,
    PreparedBatch,
    Segments,
    composed_frames,
    cut_batches,
    drawn_batches,
    heard_batches,
    reported,
    seen_by,
)
from dithead.inference.helper_channel import Channel
from dithead.inference.helper_process import HelperProcess
from dithead.inference.segment_files import SegmentFiles, write_segments
from dithead.inference.source.timeline import ScheduledFrame, SourceClip, schedule
from dithead.inference.synthesise.reference_bank import FrameReference
from dithead.inference.threads import one_opencv_thread
from dithead.inference.visible_label import label_of
from dithead.media.encoder import PictureEncoding
from dithead.media.planes import Planes
from dithead.options import Fit

if TYPE_CHECKING:
    from dithead.inference.compose.second_pass import Sampler

_CUT_AHEAD = 2  # batches, at most, that are cut and wait to be drawn (our choice)


class PassedFrame(NamedTuple):
    """A frame of a segment that an earlier call has left."""

    source: int  # number of its source frame
    time: float  # seconds in the output
    pts: int


class EncodedFrame(NamedTuple):
    """A frame that was handed to the encoder."""

    pts: int


class _Mouths(NamedTuple):
    """What is drawn of one face in a batch."""

    tracklet: Tracklet
    drawn: NDArray[np.uint8]  # (B, S, S, 3)
    references: Sequence[FrameReference | None]


@dataclass(frozen=True)
class PlannedPass:
    """What both passes over the output's frames need, whichever process makes them."""

    clip: SourceClip
    analysis: VideoAnalysis
    fit: Fit
    seconds: float  # of speech
    encoding: PictureEncoding
    batch: int  # frames held at once, at most
    finish: Finish
    label: str | None  # visible in every frame
    size: int  # crop side S
    files: SegmentFiles
    length: int  # frames of a segment

    def timeline(self) -> Iterator[ScheduledFrame]:
        """Yield the output's frames in order."""
        return schedule(self.clip, self.analysis.stamps, self.fit, self.seconds)

    def labelled(self, frames: Iterable[tuple[ScheduledFrame, Planes]]) -> Generator[tuple[Planes, int], None, None]:
        """Yield planes and time stamps of composed frames, with the label if there is one."""
        label = label_of(self.label, self.clip.info, self.analysis, self.size)
        with closing(ahead(frames, self.batch, "compose")) as composed:
            for item, planes in composed:
                if label is not None:
                    label.apply(planes)
                yield planes, item.pts


@dataclass(frozen=True)
class SecondPass:
    """The part of the helper process."""

    plan: PlannedPass
    sizes: KnownSizes
    first: int  # number of the first segment to be made
    outside: str = "second pass, other threads"  # mostly encoding

    @property
    def shared(self) -> Sequence[Tracklet]:
        """See ``HelperJob.shared``."""
        return self.plan.analysis.tracklets

    def serve(self, channel: Channel, finders: Finders) -> bool:
        """Cut, compose and encode the frames in the helper process; see ``HelperJob.serve``."""
        del finders
        plan, timeline = self.plan, self.plan.timeline()
        for item in islice(timeline, self.first * plan.length):
            channel.tell(PassedFrame(item.index, item.time, item.pts))
        with one_opencv_thread(), closing(plan.labelled(self._composed(timeline, channel))) as frames:
            write_segments(_told(frames, channel), plan.files, self.first, plan.length, plan.encoding)
        return True

    def _composed(
        self, timeline: Iterator[ScheduledFrame], channel: Channel
    ) -> Generator[tuple[ScheduledFrame, Planes], None, None]:
        plan = self.plan
        parts = batches(timeline, plan.analysis, self.sizes, plan.batch, plan.length)
        offers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        whole = cut_batches(parts, plan.encoding.pix_fmt, plan.size)
        cut = ahead(_offered(whole, channel, offers), _CUT_AHEAD, "cut")
        segments = Segments(plan.length, lambda _: None, plan.files.save_drawings, self.first)
        with closing(cut), closing(ahead(_answers(channel, offers), 1, "receive")) as answers:
            drawn = (_with_mouths(part, mouths) for part, mouths in zip(cut, answers, strict=True))
            yield from composed_frames(drawn, plan.finish, segments)


def _offered(
    cut: Iterable[PreparedBatch], channel: Channel, offers: queue.SimpleQueue[bool]
) -> Iterator[PreparedBatch]:
    """Send what is drawn from to the other process, and keep the rest."""
    try:
        yield from _each_offered(cut, channel, offers)
    finally:
        offers.put(False)


def _each_offered(
    cut: Iterable[PreparedBatch], channel: Channel, offers: queue.SimpleQueue[bool]
) -> Iterator[PreparedBatch]:
    for part in cut:
        frames = [replace(item, frame=replace(item.frame, native=None)) for item in part.frames]
        faces = [
            (tracklet, [SourceView.of_crop(view.crop, view.index) for view in views]) for tracklet, views in part.faces
        ]
        channel.tell(PreparedBatch(frames, [], faces, part.begins, part.ends))
        offers.put(True)
        yield part


def _answers(channel: Channel, offers: queue.SimpleQueue[bool]) -> Iterator[list[_Mouths]]:
    """Receive what was drawn for each batch that was offered, and no more, because another job may follow."""
    while offers.get():
        yield channel.heard()


def _with_mouths(part: PreparedBatch, faces: Sequence[_Mouths]) -> DrawnBatch:
    views = [views for _, views in part.faces]
    mouths = [DrawnMouths(f.tracklet, v, f.drawn, f.references) for f, v in zip(faces, views, strict=True)]
    return DrawnBatch(part.frames, part.planes, mouths, part.ends)


def _told(frames: Iterable[tuple[Planes, int]], channel: Channel) -> Iterator[tuple[Planes, int]]:
    for planes, pts in frames:
        channel.tell(EncodedFrame(pts))
        yield planes, pts


class MouthDrawing:
    """The part of this process: draws, on threads of its own, what the helper process asks for.

    Args:
        process: The helper process.
        sampler: Draws the mouths.
        segments: Told when the mouths of a segment are drawn.
        detail: Send the person's own pictures along.
    """

    def __init__(self, process: HelperProcess, sampler: Sampler, segments: Segments, *, detail: bool) -> None:
        self.process, self.sampler, self.segments, self.detail = process, sampler, segments, detail
        assert process.channel is not None, "there is a process"
        self.channel = process.channel
        self.error: BaseException | None = None
        self._asked: queue.SimpleQueue[PreparedBatch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="dithead-draw", daemon=True)
        self._thread.start()

    def draw(self, part: PreparedBatch) -> None:
        """Draw the mouths of a batch, soon."""
        self._asked.put(part)

    def stop(self) -> None:
        """Draw nothing more; what is being drawn goes on."""
        self._asked.put(None)

    def finish(self) -> None:
        """Wait until nothing is drawn any more, and raise what went wrong here."""
        self.stop()
        self._thread.join()
        if self.error is not None and not isinstance(self.error, BrokenPipeError):
            raise self.error

    def _run(self) -> None:
        asked = iter(self._asked.get, None)
        try:
            with closing(ahead(heard_batches(seen_by(self.sampler, asked), self.sampler), 1, "hear")) as heard:
                drawn = drawn_batches(self._forgetting(heard), self.sampler, detail=self.detail)
                try:
                    for part in reported(drawn, self.segments):
                        self._send(part)
                finally:
                    self.stop()  # whoever waits for the next batch
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            self.error = error
            self.process.kill()

    def _forgetting(self, parts: Iterable[PreparedBatch]) -> Iterator[PreparedBatch]:
        """Let pictures of other faces go, on both sides, wherever others may be shown from here on."""
        for part in parts:
            if part.begins:
                self.channel.forget_pictures()
            yield part

    def _send(self, part: DrawnBatch) -> None:
        mouths = [_Mouths(m.tracklet, m.drawn, [_needed(r) for r in m.references]) for m in part.mouths]
        self.channel.tell(mouths)


def _needed(reference: FrameReference | None) -> FrameReference | None:
    """What composing reads of a reference: where a donor is chosen, no other picture."""
    return reference if reference is None or reference.donor is None else replace(reference, pictures=())


def second_pass(plan: PlannedPass, sampler: Sampler) -> SecondPass:
    """Return the part of the helper process."""
    return SecondPass(plan, KnownSizes.of(sampler, plan.batch), plan.files.finished())


def compose_elsewhere(
    process: HelperProcess,
    job: SecondPass,
    sampler: Sampler,
    drawn: Callable[[int], None],
    passed: Callable[[PassedFrame | PreparedBatch | EncodedFrame], None],
) -> bool:
    """Make the second pass in two processes.

    Args:
        process: The helper process.
        job: Its part.
        sampler: Draws the mouths.
        drawn: Called with the number of a segment when its mouths are drawn, and no later ones.
        passed: Called with every message of the helper process, in order.

    Returns:
        Whether it was made; False where there is no process, or it died.

    Raises:
        MediaError: The video cannot be read.
        OutputError: The output cannot be written.
    """
    if process.channel is None:
        return False
    segments = Segments(job.plan.length, drawn, lambda *_: None, job.first)
    drawing = MouthDrawing(process, sampler, segments, detail=job.plan.finish.detail)

    def hear(message: PassedFrame | PreparedBatch | EncodedFrame) -> None:
        if isinstance(message, PreparedBatch):
            drawing.draw(message)
        passed(message)

    try:
        made = process.result_of(job, hear)
    except BaseException:
        drawing.stop()
        raise
    drawing.finish()
    if made:
        process.dismiss()
    return bool(made)
