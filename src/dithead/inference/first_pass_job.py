"""The first pass as a job: made in this process, or in a ``HelperProcess`` beside the import of torch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import NamedTuple, TypeAlias

from dithead.inference.ahead import ahead
from dithead.inference.analyse.finders import Finders
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis, analyse_video
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.helper_channel import Channel
from dithead.inference.helper_process import HelperProcess
from dithead.inference.source.kept_frames import KeptFrame, KeptFrames
from dithead.inference.source.timeline import SourceClip
from dithead.inference.threads import one_opencv_thread
from dithead.media.video import VideoFrame

_DECODED_AHEAD = 4  # frames, at most, that wait for their faces to be found (our choice)


class SeenFrame(NamedTuple):
    """A frame that the first pass has begun to look at."""

    number: int  # from 0
    time: float  # seconds since the part of the video began


Seen: TypeAlias = Callable[[SeenFrame], None]


class FirstPass(NamedTuple):
    """What the first pass of a job needs."""

    clip: SourceClip
    settings: AnalysisSettings
    occlusion: bool  # look for what hides the mouth
    store: ImageStore
    kept: KeptFrames | None = None  # where the decoded frames are kept
    outside: str = "first pass, other threads"  # mostly decoding

    @property
    def shared(self) -> tuple[()]:
        """See ``HelperJob.shared``."""
        return ()

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

    def serve(self, channel: Channel, finders: Finders) -> AnalysedClip:
        """Make it in the helper process, and tell the other one which frames it sees."""
        analysis = self.run(channel.tell, finders)
        return AnalysedClip(analysis, None if self.kept is None else self.kept.frames)


class AnalysedClip(NamedTuple):
    """What a first pass in another process has made."""

    analysis: VideoAnalysis
    frames: tuple[KeptFrame, ...] | None  # where they were kept


def analyse_elsewhere(process: HelperProcess, job: FirstPass, seen: Seen) -> VideoAnalysis | None:
    """Make a first pass in the helper process.

    Args:
        process: The process.
        job: What the first pass needs.
        seen: Called with each frame; what it raises ends the pass.

    Returns:
        The analysis; None where there is no process, or it died.

    Raises:
        MediaError: The video cannot be read.
        FaceError: No frame shows a usable face.
    """
    found: AnalysedClip | None = process.result_of(job, seen)
    if found is None:
        return None
    if job.kept is not None:
        job.kept.frames = found.frames
    return found.analysis


def _told(frames: Generator[VideoFrame, None, None], seen: Seen) -> Iterator[VideoFrame]:
    with closing(frames):
        for frame in frames:
            seen(SeenFrame(frame.index, frame.time))
            yield frame
