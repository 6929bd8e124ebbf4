"""``generate``: a video and a speech track in, a video of the same person saying it out.

Two passes over the video, so that memory does not grow with its length: the first finds the faces, the second draws,
composes and encodes, a segment at a time.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, count, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from dithead.errors import FaceError, OutputError
from dithead.inference.analyse.face_sheet import shots_with_faces
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis, analyse_video
from dithead.inference.analyse.multi_face import FaceChoice
from dithead.inference.analyse.occlusion import OcclusionDetector
from dithead.inference.background_model import BackgroundModel
from dithead.inference.compose.second_pass import draw_frames
from dithead.inference.metadata import kept_metadata
from dithead.inference.notes import Lengths, result_notes
from dithead.inference.output_credentials import OutputCredentials, model_record
from dithead.inference.redrawn_spans import RedrawnSpans
from dithead.inference.result import GenerateResult
from dithead.inference.resume import WorkFolder, job_key, model_key
from dithead.inference.source.still_image import StillClip, still_video
from dithead.inference.source.timeline import ScheduledFrame, SourceClip, schedule
from dithead.media.audio import audio_seconds, probe_audio
from dithead.media.clock import REMARK as JUMPED
from dithead.media.encoder import EncoderOptions, PictureEncoding, codec_named
from dithead.media.files import muxer_for, printable, require_writable
from dithead.media.picture import parse_colour
from dithead.media.planes import Planes
from dithead.media.segments import join_segments, write_segment
from dithead.media.video import VideoFrame, probe
from dithead.option_fields import describe_options
from dithead.options import GenerateJob, Progress
from dithead.stages import stage

if TYPE_CHECKING:
    from dithead.inference.compose.second_pass import Sampler
    from dithead.models.talking_head import TalkingHead

P = ParamSpec("P")
SEGMENT = 250
"""Output frames that a crash can cost at most (our choice)."""
_BATCH_PIXELS = 24_000_000  # source pixels held at once: 12 frames of 1080p


def _takes_a_job(
    build: Callable[P, GenerateJob],
) -> Callable[[Callable[[GenerateJob], GenerateResult]], Callable[P, GenerateResult]]:
    """Give a function of a job the parameters of ``GenerateJob``, where every option is written once."""

    def decorate(run: Callable[[GenerateJob], GenerateResult]) -> Callable[P, GenerateResult]:
        @functools.wraps(run)
        def call(*args: P.args, **kwargs: P.kwargs) -> GenerateResult:
            return run(build(*args, **kwargs))

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

    Example:
        dithead.generate("face.mp4", "speech.wav", "out.mp4", face="left", crf=16)

    Args:
        video: A video, or a picture, of the person.
        audio: The speech: an audio file, or a video's sound.
        output: Where the new video goes: .mp4, .mov, .mkv or .webm.
        OPTIONS
        progress: Called with what is being done, the steps done and the steps in all.

    Returns:
        The output's path, its frames, and what passed through unchanged or was left out.

    Raises:
        MediaError: An input cannot be read.
        FaceError: No frame shows a usable face.
        ModelError: The model is missing or damaged.
        OutputError: The output cannot be written; an existing one is only replaced by a finished one.
        ConfigError: An option is unknown or out of range.
    """
    prepared = _Prepared(job)
    begun = time.perf_counter()
    model = BackgroundModel(job.model, job.device)
    with WorkFolder(Path(job.output), job_key(job, model.crop_settings())) as work:
        analysis = _analyse(prepared, model, work)
        talker = model.talker()
        record = model_record(job.model, talker, work.model["weights"])
        tally = _write(prepared, analysis, _make_sampler(prepared, talker, work), work, record)
    return _result(prepared, analysis, talker, tally, time.perf_counter() - begun)


class _Prepared:
    """A job whose inputs were checked and whose output can be written. Raises what ``generate`` does."""

    def __init__(self, job: GenerateJob) -> None:
        info = probe(job.video)
        self.job, background = job, parse_colour(job.background)
        self.speech_seconds = audio_seconds(Path(job.audio))
        if info.still:
            self.clip: SourceClip = StillClip(
                Path(job.video), still_video(info), background=background, seconds=self.speech_seconds, idle=job.idle
            )
        else:
            self.clip = SourceClip(Path(job.video), info, job.start, job.end, background)
        self.encoding = PictureEncoding(self.clip.info, EncoderOptions(job.crf, job.lossless, codec_named(job.codec)))
        _check_output(Path(job.output), self.clip.path, Path(job.audio))
        self.speakers = {number: Path(path) for number, path in (job.speakers or {}).items()}
        for path in self.speakers.values():
            probe_audio(path)
        choice = FaceChoice("numbers", frozenset(self.speakers)) if self.speakers else FaceChoice.parse(job.face)
        self.choice: FaceChoice | None = choice
        self.credentials = OutputCredentials(job)
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

    calibrate_tracklets(analysis, talker, prepared.clip, work.features("own"))
    work.save_analysis(analysis)
    return analysis


def _first_pass(prepared: _Prepared, model: BackgroundModel, work: WorkFolder) -> VideoAnalysis:
    """Find the faces, while the model is being loaded."""
    job, clip = prepared.job, prepared.clip
    frames = _counted(clip.frames(), "finding the face", clip.info.frames, job.progress)
    settings = AnalysisSettings(*model.crop_settings(), prepared.choice)
    try:
        with OcclusionDetector() as detector:
            used = detector if job.occlusion == "auto" else None
            return analyse_video(_while_loading(frames, model), settings, detector=used, store=work.new_store())
    except FaceError as error:
        raise _explained(error, prepared) from None


def _while_loading(frames: Iterable[VideoFrame], model: BackgroundModel) -> Iterator[VideoFrame]:
    """The frames, until loading the model fails."""
    for frame in frames:
        model.check()
        yield frame


def _explained(error: FaceError, prepared: _Prepared) -> FaceError:
    """Add the file's name to an error, and where certain faces were asked for, how many there are."""
    path, choice = prepared.clip.path, prepared.choice
    if choice is not None and choice.kind == "numbers" and not prepared.clip.info.still:
        shown = max((len(shot.faces) for shot in shots_with_faces(path)), default=0)
        if shown and min(choice.numbers) > shown:
            asked = ", ".join(map(str, sorted(choice.numbers)))
            return FaceError(f"{printable(path)}: no face {asked}; the video shows {shown} (dithead faces {path.name})")
    return FaceError(f"{printable(path)}: {error}; give a video that shows a face")


def _make_sampler(prepared: _Prepared, talker: TalkingHead, work: WorkFolder) -> Sampler:
    # Imported here because they import torch, which the first pass does not wait for.
    from dithead.inference.synthesise.audio_features import FileFeatures
    from dithead.inference.synthesise.frame_interpolation import FrameInterpolator
    from dithead.inference.synthesise.sampler import MouthSampler

    job = prepared.job
    tracks = [(None, Path(job.audio)), *prepared.speakers.items()]
    features = {number: FileFeatures(talker.audio, path, work.features(number or 0)) for number, path in tracks}
    sampler = MouthSampler(talker, features, seed=job.seed, steps=job.steps, reference=job.reference)
    return FrameInterpolator(sampler) if job.interpolate else sampler


def _write(
    prepared: _Prepared, analysis: VideoAnalysis, sampler: Sampler, work: WorkFolder, model: dict[str, Any]
) -> _Tally:
    """Draw and encode all segments that are not there yet, then join them; returns the count of frames."""
    job, clip, encoding = prepared.job, prepared.clip, prepared.encoding
    tally = _Tally(analysis.frames, job.progress)
    clip = replace(clip, seekable=JUMPED not in analysis.remarks)
    redrawn = RedrawnSpans(analysis, clip.info)
    timeline = redrawn.watched(tally.counted(schedule(clip, analysis.stamps, job.fit, prepared.speech_seconds)))
    for number in count():
        part = islice(timeline, SEGMENT)
        if work.segment(number).exists():
            for _ in part:
                pass
            sampler.load_state(work.state(number))
        elif (first := next(part, None)) is not None:
            drawn = _draw_segment(chain([first], part), prepared, analysis, sampler, work.state(number))
            write_segment(work.segment(number), drawn, encoding)
        if tally.frames < (number + 1) * SEGMENT:
            break
    end = tally.end(encoding.time_base, clip.info.fps)
    metadata = kept_metadata(clip.info)

    def seal(path: Path, final: Path) -> None:
        portrait = isinstance(clip, StillClip)
        claim = prepared.credentials.job_claim(job, model, redrawn.spans(), portrait=portrait)
        with stage("sign"):
            prepared.credentials.write(path, claim, final)

    with stage("join"):
        join_segments(
            work.segments(), Path(job.output), encoding, end=end, audio=Path(job.audio), metadata=metadata, seal=seal
        )
    return tally


def _draw_segment(
    timeline: Iterable[ScheduledFrame], prepared: _Prepared, analysis: VideoAnalysis, sampler: Sampler, state: Path
) -> Iterator[tuple[Planes, int]]:
    """Planes and time stamps of a segment; what the next one depends on is on disk before this one is complete."""
    pix_fmt, detail = prepared.encoding.pix_fmt, prepared.job.detail
    for item, planes in draw_frames(timeline, analysis, sampler, pix_fmt, prepared.batch, detail=detail):
        yield planes, item.pts
    sampler.save_state(state)


def _result(
    prepared: _Prepared, analysis: VideoAnalysis, talker: TalkingHead, tally: _Tally, seconds: float
) -> GenerateResult:
    job, info = prepared.job, prepared.clip.info
    video = float(analysis.stamps[-1] * prepared.encoding.time_base + 1 / info.fps)
    lengths = Lengths(prepared.speech_seconds, video, float(tally.end(prepared.encoding.time_base, info.fps)))
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
        credentials=prepared.credentials.credentials,
        notes=result_notes(info, analysis, lengths, job.fit, prepared.speakers) + prepared.credentials.notes(),
    )


class _Tally:
    """Counts the output's frames and reports them."""

    def __init__(self, expected: int, progress: Progress) -> None:
        self.expected, self.progress = expected, progress
        self.frames, self.last = 0, 0

    def end(self, time_base: Fraction, fps: Fraction) -> Fraction:
        """Seconds at which the last frame counted ends."""
        return self.last * time_base + 1 / fps

    def counted(self, timeline: Iterable[ScheduledFrame]) -> Iterator[ScheduledFrame]:
        for item in timeline:
            self.frames, self.last = self.frames + 1, item.pts
            self.progress("drawing mouths", self.frames, max(self.expected, self.frames))
            yield item


def _counted(frames: Iterable[VideoFrame], what: str, total: int | None, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        progress(what, frame.index + 1, total)
        yield frame
