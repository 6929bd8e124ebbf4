"""The first pass of a job: finds the faces while the model loads, or takes what an interrupted call has kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from dithead.errors import FaceError
from dithead.inference.analyse.face_sheet import explain_face_error
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis
from dithead.inference.first_pass_job import FirstPass, SeenFrame, analyse_elsewhere
from dithead.inference.helper_process import HelperProcess
from dithead.inference.model_preparation import ModelPreparation, ReadyModel
from dithead.inference.prepared_job import PreparedJob
from dithead.inference.source.kept_frames import KeptFrames, room
from dithead.inference.source.timeline import SourceClip
from dithead.inference.threads import one_thread_each


class JobAnalysis(NamedTuple):
    """What the first pass of a job has found."""

    analysis: VideoAnalysis
    calibrated: bool  # an interrupted call has left it


def analyse_job(preparation: ModelPreparation, process: HelperProcess) -> JobAnalysis:
    """Make the first pass, or read what an interrupted call with the same model has kept of it.

    Raises:
        MediaError: The video cannot be read.
        FaceError: No frame shows a usable face.
        ModelError: The model cannot be loaded.
        ConfigError: The configured certificate or key cannot be used.
        OutputError: No key can be stored.
    """
    work = preparation.work
    if work.has_analysis():
        preparation.prepared.credentials.load()
        work.keep_only_from(preparation.ready().key)
    if (known := work.load_analysis()) is not None:
        return JobAnalysis(known, calibrated=True)
    analysis = _first_pass(preparation, process)
    work.keep_only_from(preparation.ready().key)
    return JobAnalysis(analysis, calibrated=False)


def calibrate_job(preparation: ModelPreparation, found: JobAnalysis) -> None:
    """Calibrate the faces unless they are, and keep the analysis for a call that goes on with this job."""
    if not found.calibrated:
        _calibrate(found.analysis, preparation.ready(), preparation.prepared.clip)
        preparation.work.save_analysis(found.analysis)


def _calibrate(analysis: VideoAnalysis, ready: ReadyModel, clip: SourceClip) -> None:
    """Calibrate the faces, while the references of those that are drawn first are read."""
    from dithead.inference.synthesise.lip_calibration import calibrate_tracklets

    earliest = min(tracklet.start for tracklet in analysis.tracklets)
    with one_thread_each(), ThreadPoolExecutor(1, "dithead-references") as worker:
        read = [worker.submit(ready.sampler.expect, tracklet) for tracklet in analysis.tracklets_at(earliest)]
        calibrate_tracklets(analysis, ready.talker, clip, ready.own_speech)
        for each in read:
            each.result()


def _first_pass(preparation: ModelPreparation, process: HelperProcess) -> VideoAnalysis:
    """Find the faces, in a process of its own where there is one, while the model is being made ready."""
    prepared, preparing = preparation.prepared, preparation.model
    clip, options = prepared.clip, prepared.job
    settings = AnalysisSettings(*preparing.crop_settings(), prepared.choice, prepared.hide_talking)

    def seen(frame: SeenFrame) -> None:
        prepared.progress("finding the face", frame.number + 1, clip.expected_frames)
        preparation.check()
        if process.started:  # so this process has time left
            preparation.saw(frame.time)

    kept = _kept_frames(prepared, process)

    def job() -> FirstPass:
        return FirstPass(clip, settings, options.occlusion == "auto", preparation.work.new_store(), kept)

    first = job()
    process.begin(first)
    prepared.credentials.load()
    if process.started:
        preparation.check()  # begins to import torch, which only frames of this process would have to wait for
    try:
        analysis = analyse_elsewhere(process, first, seen) or job().run(seen)
    except FaceError as error:
        raise explain_face_error(error, clip, prepared.choice) from None
    if kept is not None:
        prepared.clip = replace(clip, kept=kept.frames)
    return analysis


def _kept_frames(prepared: PreparedJob, process: HelperProcess) -> KeptFrames | None:
    """Where the frames are kept for the second pass; None where they would not fit."""
    clip, memory = prepared.clip, process.memory
    limit = room(clip.expected_frames, clip.info.width, clip.info.height)
    return None if memory is None or not limit else KeptFrames(memory, prepared.encoding.pix_fmt, limit)
