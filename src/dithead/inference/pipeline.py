"""``generate``: a video and a speech track in, a video of the same person saying it out.

Two passes over the video, so that memory does not grow with its length: the first finds the faces, the second draws,
composes and encodes, a segment at a time.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from dithead.errors import UnknownOptionError
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.background_model import BackgroundModel
from dithead.inference.compose.second_pass import Finish
from dithead.inference.denied_faces import refuse_denied_faces
from dithead.inference.forecast import announce, remember_speed
from dithead.inference.helper_process import HelperProcess
from dithead.inference.job_analysis import analyse_job, calibrate_job
from dithead.inference.model_preparation import ModelPreparation
from dithead.inference.notes import Lengths, drawing_notes, job_notes, result_notes
from dithead.inference.output_credentials import model_record
from dithead.inference.output_segments import Drawing, Tally, write_output
from dithead.inference.output_watermark import shown_faces
from dithead.inference.prepared_job import PreparedJob
from dithead.inference.result import GenerateResult
from dithead.inference.resume import WorkFolder, job_key, model_key
from dithead.inference.threads import one_thread_each
from dithead.media.contact_sheet import write_comparison_sheet
from dithead.option_fields import describe_options
from dithead.option_values import make_options
from dithead.options import GenerateJob
from dithead.progress import progress_of

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

P = ParamSpec("P")
FILES = ("video", "audio", "output")
"""Arguments of ``generate`` that may be given without their names."""


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
    with generated(job) as result:
        return result


@contextmanager
def generated(job: GenerateJob, *, hide_talking: bool = False) -> Iterator[GenerateResult]:
    """Make a job's output as ``generate`` does, and keep what was needed for it until the block ends.

    Whoever must note the result does so inside the block. If the process dies before that, the next call finds the
    output finished, and returns its result without drawing or signing anything again.

    With ``hide_talking`` only frames with closed lips may lend references, detail and calibration, as if the person of
    the video never spoke: so ``dithead evaluate`` measures what such a source costs.
    """
    with progress_of(job.progress) as progress, HelperProcess() as process:
        process.start()
        prepared = PreparedJob(job, progress, hide_talking=hide_talking)
        announce(progress, prepared.clip, prepared.sound.seconds, job)
        model = BackgroundModel(job.model, job.device)
        key = job_key(job, model.crop_settings()) | prepared.watermark.key_record() | {"hide_talking": hide_talking}
        with WorkFolder(Path(job.output), key) as work, ModelPreparation(prepared, model, work) as preparation:
            result = work.finished(lambda: model_key(model.talker()))
            if result is None:
                result = _run(preparation, process)
                remember_speed(prepared.clip, job, result)
            if job.sheet is not None:
                made = (f"output: {result.drawings.summary()}", job.output)
                write_comparison_sheet(("source", job.video), made, job.sheet, start=prepared.clip.start)
            yield result


def _run(preparation: ModelPreparation, process: HelperProcess) -> GenerateResult:
    """Make both passes."""
    prepared, begun = preparation.prepared, time.perf_counter()
    found = analyse_job(preparation, process)
    analysis, ready = found.analysis, preparation.ready()
    finish = Finish(prepared.job.detail, ready.marker)
    drawing = Drawing(prepared, analysis, ready.sampler, finish, preparation.work, process)
    drawing.begin()
    calibrate_job(preparation, found)
    refuse_denied_faces(analysis)

    def result_of(tally: Tally) -> GenerateResult:
        return _result(prepared, analysis, ready.talker, tally, time.perf_counter() - begun)

    with one_thread_each():
        return write_output(drawing, model_record(ready.talker, ready.key["weights"]), result_of)


def _result(
    prepared: PreparedJob, analysis: VideoAnalysis, talker: TalkingHead, tally: Tally, seconds: float
) -> GenerateResult:
    job, info = prepared.job, prepared.clip.info
    return GenerateResult(
        output=Path(job.output),
        frames=tally.frames,
        fps=round(float(info.fps), 3),
        seconds=round(seconds, 3),
        frames_per_second=round((tally.frames - tally.resumed) / seconds, 2),
        faces_missed=analysis.faces_missed,
        model=str(job.model) if isinstance(job.model, str | PathLike) else talker.config.name,
        seed=job.seed,
        passed_through=analysis.passed_through,
        damaged=analysis.damaged,
        drawings=tally.drawings,
        resumed=tally.resumed,
        credentials=prepared.credentials.credentials,
        watermark=prepared.watermark.key_kind,
        notes=_notes(prepared, analysis, talker.size, tally),
    )


def _notes(prepared: PreparedJob, analysis: VideoAnalysis, size: int, tally: Tally) -> list[str]:
    """What the output lacks of the input, and which marks were switched off."""
    job, info, time_base = prepared.job, prepared.clip.info, prepared.encoding.time_base
    video = float(analysis.stamps[-1] * time_base + 1 / info.fps)
    lengths = Lengths(prepared.sound.seconds, video, float(tally.end(time_base, info.fps)))
    return [
        *drawing_notes(tally.drawings),
        *result_notes(info, analysis, lengths, job.fit, prepared.sound),
        *job_notes(job, info, video),
        *prepared.credentials.notes(),
        *prepared.watermark.notes(shown_faces(analysis.tracklets, size, lengths.output / analysis.frames)),
    ]
