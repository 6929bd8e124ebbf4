"""The first pass of a job: finds the faces while the model loads, or takes what an interrupted call has kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from dithead.errors import FaceError
from dithead.inference.analyse.face_sheet import explain_face_error
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis, analyse_video
from dithead.inference.analyse.occlusion import OcclusionDetector
from dithead.inference.model_preparation import ModelPreparation, ReadyModel
from dithead.inference.source.timeline import SourceClip
from dithead.inference.threads import one_opencv_thread, one_thread_each
from dithead.media.video import VideoFrame
from dithead.progress import Progress


def analyse_job(preparation: ModelPreparation) -> VideoAnalysis:
    """Make the first pass, or read what an interrupted call with the same model has kept of it.

    Raises:
        MediaError: The video cannot be read.
        FaceError: No frame shows a usable face.
        ModelError: The model cannot be loaded.
    """
    work = preparation.work
    if work.has_analysis():
        work.keep_only_from(preparation.ready().key)
    if (known := work.load_analysis()) is not None:
        return known
    analysis = _first_pass(preparation)
    work.keep_only_from(preparation.ready().key)
    _calibrate(analysis, preparation.ready(), preparation.prepared.clip)
    work.save_analysis(analysis)
    return analysis


def _calibrate(analysis: VideoAnalysis, ready: ReadyModel, clip: SourceClip) -> None:
    """Calibrate the faces, while the references of those that are drawn first are read."""
    from dithead.inference.synthesise.lip_calibration import calibrate_tracklets

    earliest = min(tracklet.start for tracklet in analysis.tracklets)
    with one_thread_each(), ThreadPoolExecutor(1, "dithead-references") as worker:
        read = [worker.submit(ready.sampler.expect, tracklet) for tracklet in analysis.tracklets_at(earliest)]
        calibrate_tracklets(analysis, ready.talker, clip, ready.own_speech)
        for each in read:
            each.result()


def _first_pass(preparation: ModelPreparation) -> VideoAnalysis:
    """Find the faces, while the model is being made ready."""
    prepared = preparation.prepared
    job, clip = prepared.job, prepared.clip
    frames = _counted(clip.frames(), "finding the face", clip.expected_frames, prepared.progress)
    settings = AnalysisSettings(*preparation.model.crop_settings(), prepared.choice, prepared.hide_talking)
    try:
        with one_opencv_thread(), OcclusionDetector() as detector:
            used = detector if job.occlusion == "auto" else None
            store = preparation.work.new_store()
            return analyse_video(_while_loading(frames, preparation), settings, detector=used, store=store)
    except FaceError as error:
        raise explain_face_error(error, prepared.clip, prepared.choice) from None


def _while_loading(frames: Iterable[VideoFrame], preparation: ModelPreparation) -> Iterator[VideoFrame]:
    """The frames, until loading the model fails."""
    for frame in frames:
        preparation.check()
        yield frame


def _counted(frames: Iterable[VideoFrame], what: str, total: int | None, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        progress(what, frame.index + 1, total)
        yield frame
