"""Makes the first pass in a process of its own, so that it does not wait for Python's lock while torch is imported.

Importing torch takes over a second, and in one process it would take turns with the first pass.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias

from dithead.errors import DitheadError
from dithead.face.landmarks import FaceLandmarker
from dithead.inference.ahead import ahead
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis, analyse_video
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.occlusion import OcclusionDetector
from dithead.inference.early_start import new_memory, saves_time, started, taken_early
from dithead.inference.source.kept_frames import KeptFrame, KeptFrames
from dithead.inference.source.timeline import SourceClip
from dithead.inference.threads import one_opencv_thread
from dithead.media.video import VideoFrame
from dithead.process_settings import keep_freed_memory
from dithead.stages import Span, add_spans, is_recording, recording

OUTSIDE_STAGES = "first pass, other threads"
"""Stage that stands for the processor time of the process that none of its stages counts: mostly decoding."""
_DECODED_AHEAD = 2  # frames, at most, that wait for their faces to be found (our choice)


class SeenFrame(NamedTuple):
    """A frame that the first pass has begun to look at."""

    number: int  # from 0
    time: float  # seconds since the part of the video began


Seen: TypeAlias = Callable[[SeenFrame], None]


class Finders:
    """The networks of a first pass; a context manager."""

    def __init__(self) -> None:
        self.faces, self.occluders = FaceLandmarker(), OcclusionDetector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faces.close()
        self.occluders.__exit__(kind, error, trace)

    def load(self) -> None:
        """Load them before they are used, as far as they can be: whoever uses them hears what is wrong."""
        with contextlib.suppress(DitheadError):
            self.faces.load()
            self.occluders.load()


class FirstPass(NamedTuple):
    """What the first pass of a job needs."""

    clip: SourceClip
    settings: AnalysisSettings
    occlusion: bool  # look for what hides the mouth
    store: ImageStore
    kept: KeptFrames | None = None  # where the decoded frames are kept

    def run(self, seen: Seen, finders: Finders | None = None) -> VideoAnalysis:
        """Make it.

        Args:
            seen: Called with each frame.
            finders: Those to use; new ones by default.

        Raises:
            MediaError: The video cannot be read.
            FaceError: No frame shows a usable face.
        """
        if finders is None:
            with Finders() as new:
                return self.run(seen, new)
        with one_opencv_thread():
            used = finders.occluders if self.occlusion else None
            frames = self.clip.frames()
            if self.kept is not None:
                frames = self.kept.keeping(frames)
            told = _told(ahead(frames, _DECODED_AHEAD, "decode"), seen)
            return analyse_video(told, self.settings, landmarker=finders.faces, detector=used, store=self.store)


class _Done(NamedTuple):
    """The last message of a process that succeeded."""

    analysis: VideoAnalysis
    spans: list[Span]
    frames: tuple[KeptFrame, ...] | None


class FirstPassProcess:
    """A process that will make the first pass, where that is worth one; a context manager, which ends it.

    Both share the memory in which frames are kept.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.memory: int | None = None
        """Descriptor of that memory; None before ``start``, and where the system has none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        memory, self.memory = self.memory, None
        if memory is not None:
            os.close(memory)
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(OSError):  # what it has not read
                self._process.communicate()

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self) -> None:
        """Start the process, where it saves time, or take the early one; it gets ready while the job is checked."""
        found = taken_early() or (started() if saves_time() else [])
        for process, memory in found:
            self._process, self.memory = process, memory
        if not found:
            self.memory = new_memory()

    def analyse(self, job: FirstPass, seen: Seen) -> VideoAnalysis | None:
        """Make the first pass of a job.

        Args:
            job: What it needs.
            seen: Called with each frame; what it raises ends the pass.

        Returns:
            The analysis; None where there is no process, or it died.

        Raises:
            MediaError: The video cannot be read.
            FaceError: No frame shows a usable face.
        """
        for message in self._messages(job):
            if isinstance(message, SeenFrame):
                seen(message)
            elif isinstance(message, BaseException):
                raise message
            else:
                add_spans(message.spans)
                if job.kept is not None:
                    job.kept.frames = message.frames
                return message.analysis
        return None

    def _messages(self, job: FirstPass) -> Iterator[SeenFrame | BaseException | _Done]:
        """What the process says until it has nothing more to say, or is gone."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return
        with contextlib.suppress(EOFError, OSError, pickle.PickleError):
            pickle.dump((job, is_recording()), self._process.stdin)
            self._process.stdin.flush()
            while True:
                yield pickle.load(self._process.stdout)  # noqa: S301 - only our own process writes it


def serve() -> None:
    """Make the first pass that stdin describes, and write which frames it sees and what it finds to stdout."""
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else is printed is no message
    keep_freed_memory()

    def tell(message: Any) -> None:
        pickle.dump(message, messages)
        messages.flush()

    with contextlib.suppress(EOFError, BrokenPipeError), Finders() as finders:  # the other process may be gone
        finders.load()  # while the job is checked
        job, record = pickle.load(sys.stdin.buffer)  # noqa: S301 - only the process that started this one writes it
        try:
            done: _Done | Exception = _recorded(job, tell, finders) if record else _done(job, job.run(tell, finders))
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - the other process raises it
            done = error
        tell(done)


def _recorded(job: FirstPass, tell: Seen, finders: Finders) -> _Done:
    """The analysis and its stages, for ``dithead bench``."""
    begin = time.perf_counter()
    with recording() as recorder:
        analysis = job.run(tell, finders)
    spans, end = recorder.spans, time.perf_counter()
    rest = time.process_time() - sum(span.own_cpu for span in spans)
    return _done(job, analysis, [*spans, Span(OUTSIDE_STAGES, 0, begin, end, 0.0, rest)])


def _done(job: FirstPass, analysis: VideoAnalysis, spans: Sequence[Span] = ()) -> _Done:
    return _Done(analysis, list(spans), None if job.kept is None else job.kept.frames)


def _told(frames: Generator[VideoFrame, None, None], seen: Seen) -> Iterator[VideoFrame]:
    with closing(frames):
        for frame in frames:
            seen(SeenFrame(frame.index, frame.time))
            yield frame
