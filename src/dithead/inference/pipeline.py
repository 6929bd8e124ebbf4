"""``generate``: a video and a speech track in, a video of the same person saying it out.

Two passes over the video, so that memory does not grow with its length: the first finds the faces, the second draws,
composes and encodes, a segment at a time.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import chain, count, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec

from dithead.errors import FaceError, OutputError, UnknownOptionError
from dithead.inference.ahead import ahead
from dithead.inference.analyse.face_sheet import explain_face_error
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis, analyse_video
from dithead.inference.analyse.multi_face import FaceChoice
from dithead.inference.analyse.occlusion import OcclusionDetector
from dithead.inference.background_model import BackgroundModel
from dithead.inference.compose.second_pass import Finish, draw_frames
from dithead.inference.denied_faces import refuse_denied_faces
from dithead.inference.forecast import announce, remember_speed
from dithead.inference.metadata import kept_metadata
from dithead.inference.notes import Lengths, drawing_notes, job_notes, result_notes
from dithead.inference.output_credentials import OutputCredentials, job_sources, model_record
from dithead.inference.output_watermark import make_watermarker, watermark_notes
from dithead.inference.redrawn_spans import RedrawnSpans
from dithead.inference.result import Drawings, GenerateResult
from dithead.inference.resume import WorkFolder, job_key, model_key
from dithead.inference.source.soundtrack import Soundtrack
from dithead.inference.source.still_image import StillClip, still_video
from dithead.inference.source.timeline import ScheduledFrame, SourceClip, schedule, scheduled_frames
from dithead.inference.threads import one_opencv_thread, one_thread_each
from dithead.inference.visible_label import label_of
from dithead.media.clock import REMARK as JUMPED
from dithead.media.contact_sheet import require_picture_name, write_comparison_sheet
from dithead.media.encoder import EncoderOptions, PictureEncoding, encoder_named
from dithead.media.files import muxer_for, printable, require_writable
from dithead.media.picture import parse_colour
from dithead.media.planes import Planes
from dithead.media.segments import join_segments, write_segment
from dithead.media.video import VideoFrame, probe
from dithead.option_fields import describe_options
from dithead.option_values import make_options
from dithead.options import GenerateJob
from dithead.progress import Progress, progress_of
from dithead.stages import stage

if TYPE_CHECKING:
    from dithead.inference.compose.second_pass import Sampler
    from dithead.models.talking_head import TalkingHead

P = ParamSpec("P")
FILES = ("video", "audio", "output")
"""Arguments of ``generate`` that may be given without their names."""
SEGMENT = 50
"""Output frames that an interruption can cost at most, two seconds of most videos (our choice)."""
_BATCH_PIXELS = 24_000_000  # source pixels held at once: 12 frames of 1080p


def _takes_a_job(
    build: Callable[P, GenerateJob],
) -> Callable[[Callable[[GenerateJob], GenerateResult]], Callable[P, GenerateResult]]:
    """Give a function of a job the parameters of ``GenerateJob``, where every option is written once."""

    def decorate(run: Callable[[GenerateJob], GenerateResult]) -> Callable[P, GenerateResult]:
        @functools.wraps(run)
        def call(*args: P.args, **kwargs: P.kwargs) -> GenerateResult:
            named = dict(zip(FILES, args, strict=False)) | kwargs
            if len(args) > len(FILES) or len(named) < len(args) + len(kwargs):
                raise UnknownOptionError(f"{run.__name__} takes {', '.join(FILES)} once; give options by their names")
            return run(make_options(GenerateJob, run.__name__, **named))

        call.__signature__ = inspect.signature(build).replace(  # type: ignore[attr-defined]
            return_annotation="GenerateResult"
        )
        call.__doc__ = (inspect.getdoc(run) or "").replace("OPTIONS", describe_options(GenerateJob).strip())
        return call

    return decorate


@_takes_a_job(GenerateJob)
def generate(job: GenerateJob) -> GenerateResult:
    """Write ``output``: ``video`` with the lips of its main face speaking ``audio``.

    The output has the video's frames, one for one, with their size, colours and time stamps; its sound is ``audio``.
    Frames without a usable face pass through unchanged. After an interruption the same call goes on where it stopped.

    Examples:
        dithead.generate("face.mp4", "speech.wav", "out.mp4", face="left", crf=16)
        dithead.generate("meeting.mp4", output="out.mp4", speakers={1: "anna.wav", 2: "ben.wav"}, progress=True)

    Args:
        video: A video, or a picture, of the person.
        audio: The speech: an audio file, or a video's sound. With ``speakers`` it may be left out.
        output: Where the new video goes: .mp4, .m4v, .mov or .mkv.
        OPTIONS
        progress: True shows progress bars on stderr. A function is called with what is being done, the steps done and
            the steps in all (None where unknown).

    Returns:
        The output's path, its frames, and what passed through unchanged or was left out.

    Raises:
        MediaError: An input cannot be read.
        FaceError: No frame shows a usable face.
        ModelError: The model is missing or damaged.
        OutputError: The output cannot be written; an existing one is only replaced by a finished one.
        ConfigError: An option is unknown or out of range.
    """
    with progress_of(job.progress) as progress:
        prepared = _Prepared(job, progress)
        announce(progress, prepared.clip, prepared.sound.seconds, job)
        begun = time.perf_counter()
        model = BackgroundModel(job.model, job.device)
        with WorkFolder(Path(job.output), job_key(job, model.crop_settings())) as work:
            analysis = _analyse(prepared, model, work)
            refuse_denied_faces(analysis)
            talker = model.talker()
            record = model_record(job.model, talker, work.model["weights"])
            kind = "portrait" if isinstance(prepared.clip, StillClip) else "video"
            prepared.finish = Finish(job.detail, make_watermarker(job, talker, kind))
            with one_thread_each():
                tally = _write(prepared, analysis, _make_sampler(prepared, talker, work), work, record)
        result = _result(prepared, analysis, talker, tally, time.perf_counter() - begun)
    remember_speed(prepared.clip, job, result)
    if job.sheet is not None:
        made = (f"output: {result.drawings.summary()}", job.output)
        write_comparison_sheet(("source", job.video), made, job.sheet, start=prepared.clip.start)
    return result


class _Prepared:
    """A job whose inputs were checked and whose output can be written. Raises what ``generate`` does."""

    def __init__(self, job: GenerateJob, progress: Progress) -> None:
        self.job, self.progress = job, progress
        info = probe(job.video)
        background = parse_colour(job.background)
        self.sound = Soundtrack.of_job(job, info)
        if info.still:
            self.clip: SourceClip = StillClip(
                Path(job.video), still_video(info), background=background, seconds=self.sound.seconds, idle=job.idle
            )
        else:
            self.clip = SourceClip(Path(job.video), info, job.start, job.end, background)
        encoder = encoder_named(job.encoder, job.codec, lossless=job.lossless)
        quality = EncoderOptions(job.crf, job.lossless, encoder, job.encoder_preset)
        self.encoding = PictureEncoding(self.clip.info, quality)
        self.encoding.require_encoder()
        inputs = [self.clip.path, self.sound.speech, *self.sound.speakers.values()]
        _check_output(Path(job.output), *inputs)
        if job.sheet is not None:
            require_picture_name(Path(job.sheet))
        speakers = frozenset(self.sound.speakers)
        choice = FaceChoice("numbers", speakers) if speakers else FaceChoice.parse(job.face)
        self.choice: FaceChoice | None = choice
        self.credentials = OutputCredentials(job)
        self.finish = Finish(job.detail)  # the mark is added when the model is known
        room = max(1, _BATCH_PIXELS // (self.clip.info.width * self.clip.info.height))
        self.batch = max(1, min(job.batch, room))


def _check_output(output: Path, *inputs: Path) -> None:
    muxer_for(output)
    for source in inputs:
        if output.exists() and output.samefile(source):
            raise OutputError(f"{printable(output)}: is also an input; give another name for the output")
    require_writable(output)


def _analyse(prepared: _Prepared, model: BackgroundModel, work: WorkFolder) -> VideoAnalysis:
    """The first pass, or what an interrupted call with the same model has kept of it."""
    if work.has_analysis():
        work.keep_only_from(model_key(model.talker()))
    if (known := work.load_analysis()) is not None:
        return known
    analysis = _first_pass(prepared, model, work)
    talker = model.talker()
    work.keep_only_from(model_key(talker))
    from dithead.inference.synthesise.lip_calibration import calibrate_tracklets

    with one_thread_each():
        calibrate_tracklets(analysis, talker, prepared.clip, work.features("own"))
    work.save_analysis(analysis)
    return analysis


def _first_pass(prepared: _Prepared, model: BackgroundModel, work: WorkFolder) -> VideoAnalysis:
    """Find the faces, while the model is being loaded."""
    job, clip = prepared.job, prepared.clip
    frames = _counted(clip.frames(), "finding the face", clip.expected_frames, prepared.progress)
    settings = AnalysisSettings(*model.crop_settings(), prepared.choice)
    try:
        with one_opencv_thread(), OcclusionDetector() as detector:
            used = detector if job.occlusion == "auto" else None
            return analyse_video(_while_loading(frames, model), settings, detector=used, store=work.new_store())
    except FaceError as error:
        raise explain_face_error(error, prepared.clip, prepared.choice) from None


def _while_loading(frames: Iterable[VideoFrame], model: BackgroundModel) -> Iterator[VideoFrame]:
    """The frames, until loading the model fails."""
    for frame in frames:
        model.check()
        yield frame


def _make_sampler(prepared: _Prepared, talker: TalkingHead, work: WorkFolder) -> Sampler:
    # Imported here because they import torch, which the first pass does not wait for.
    from dithead.inference.synthesise.audio_features import FileFeatures
    from dithead.inference.synthesise.frame_interpolation import FrameInterpolator
    from dithead.inference.synthesise.sampler import MouthSampler

    job = prepared.job
    tracks = [(None, prepared.sound.speech), *prepared.sound.speakers.items()]
    features = {number: FileFeatures(talker.audio, path, work.features(number or 0)) for number, path in tracks}
    fast = talker.for_drawing(job.precision)
    sampler = MouthSampler(fast, features, seed=job.seed, steps=job.steps, reference=job.reference)
    return FrameInterpolator(sampler) if job.interpolate else sampler


def _write(
    prepared: _Prepared, analysis: VideoAnalysis, sampler: Sampler, work: WorkFolder, model: dict[str, Any]
) -> _Tally:
    """Draw and encode all segments that are not there yet, then join them; returns the count of frames."""
    job, encoding, seconds = prepared.job, prepared.encoding, prepared.sound.seconds
    clip = replace(prepared.clip, seekable=JUMPED not in analysis.remarks)
    tally = _Tally(scheduled_frames(clip, analysis.stamps, job.fit, seconds), prepared.progress)
    redrawn = RedrawnSpans(analysis, clip.info)
    timeline = redrawn.watched(schedule(clip, analysis.stamps, job.fit, seconds))
    for number in count():
        part = islice(timeline, SEGMENT)
        if work.segment(number).exists():
            for item in part:
                tally.count(item.pts)
            sampler.load_state(work.state(number))
        elif (first := next(part, None)) is not None:
            segment = _Segment(work, number, sampler)
            with closing(_draw_segment(chain([first], part), prepared, analysis, segment)) as drawn:
                write_segment(work.segment(number), tally.counted(drawn), encoding)
        if tally.frames < (number + 1) * SEGMENT:
            break
    end = tally.end(encoding.time_base, clip.info.fps)
    metadata = kept_metadata(clip.info)
    sources = job_sources(job, prepared.sound, portrait=isinstance(clip, StillClip))
    seal = prepared.credentials.seal(lambda: prepared.credentials.job_claim(model, redrawn.spans(), sources))
    with stage("join"):
        sound = prepared.sound.heard
        join_segments(work.segments(), Path(job.output), encoding, end=end, audio=sound, metadata=metadata, seal=seal)
    tally.drawings = work.drawings()
    return tally


def _draw_segment(
    timeline: Iterable[ScheduledFrame], prepared: _Prepared, analysis: VideoAnalysis, segment: _Segment
) -> Generator[tuple[Planes, int], None, None]:
    """Planes and time stamps of a segment; what the next one depends on is on disk before this one is complete.

    Decoding, drawing and composing run on threads of their own, and the caller encodes meanwhile.
    """
    label = label_of(prepared.job.label, prepared.clip.info, analysis, segment.sampler.size)
    pix_fmt, finish, drawings, frames = prepared.encoding.pix_fmt, prepared.finish, Drawings(), 0
    drawn = draw_frames(
        timeline, analysis, segment.sampler, pix_fmt, prepared.batch, finish, drawings=drawings, overlap=True
    )
    with closing(ahead(drawn, prepared.batch, "compose")) as composed:
        for item, planes in composed:
            frames += 1
            if label is not None:
                label.apply(planes)
            yield planes, item.pts
    segment.keep(frames, drawings)


class _Segment(NamedTuple):
    """A segment that is being drawn: where its state goes when it is done."""

    work: WorkFolder
    number: int
    sampler: Sampler

    def keep(self, frames: int, drawings: Drawings) -> None:
        """Write what the next segment depends on, and what was drawn in this one."""
        self.sampler.save_state(self.work.state(self.number))
        self.work.save_drawings(self.number, frames, drawings)


def _result(
    prepared: _Prepared, analysis: VideoAnalysis, talker: TalkingHead, tally: _Tally, seconds: float
) -> GenerateResult:
    job, info = prepared.job, prepared.clip.info
    video = float(analysis.stamps[-1] * prepared.encoding.time_base + 1 / info.fps)
    lengths = Lengths(prepared.sound.seconds, video, float(tally.end(prepared.encoding.time_base, info.fps)))
    return GenerateResult(
        output=Path(job.output),
        frames=tally.frames,
        fps=round(float(info.fps), 3),
        seconds=round(seconds, 3),
        frames_per_second=round(tally.frames / seconds, 2),
        faces_missed=analysis.faces_missed,
        model=str(job.model) if isinstance(job.model, str | PathLike) else talker.config.name,
        seed=job.seed,
        passed_through=analysis.passed_through,
        damaged=analysis.damaged,
        drawings=tally.drawings,
        credentials=prepared.credentials.credentials,
        notes=[
            *drawing_notes(tally.drawings),
            *result_notes(info, analysis, lengths, job.fit, prepared.sound),
            *job_notes(job, info, video),
            *prepared.credentials.notes(),
            *watermark_notes(job),
        ],
    )


class _Tally:
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


def _counted(frames: Iterable[VideoFrame], what: str, total: int | None, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        progress(what, frame.index + 1, total)
        yield frame
