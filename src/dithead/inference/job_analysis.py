"""The first pass of a job: finds the faces while the model loads, or takes what an interrupted call has kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dithead.errors import FaceError
from dithead.inference.analyse.face_sheet import explain_face_error
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalysis, analyse_video
from dithead.inference.analyse.occlusion import OcclusionDetector
from dithead.inference.background_model import BackgroundModel
from dithead.inference.prepared_job import PreparedJob
from dithead.inference.resume import WorkFolder, model_key
from dithead.inference.threads import one_opencv_thread, one_thread_each
from dithead.media.video import VideoFrame
from dithead.progress import Progress


def analyse_job(prepared: PreparedJob, model: BackgroundModel, work: WorkFolder) -> VideoAnalysis:
    """Make the first pass, or read what an interrupted call with the same model has kept of it.

    Raises:
        MediaError: The video cannot be read.
        FaceError: No frame shows a usable face.
        ModelError: The model cannot be loaded.
    """
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


def _first_pass(prepared: PreparedJob, model: BackgroundModel, work: WorkFolder) -> VideoAnalysis:
    """Find the faces, while the model is being loaded."""
    job, clip = prepared.job, prepared.clip
    frames = _counted(clip.frames(), "finding the face", clip.expected_frames, prepared.progress)
    settings = AnalysisSettings(*model.crop_settings(), prepared.choice, prepared.hide_talking)
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


def _counted(frames: Iterable[VideoFrame], what: str, total: int | None, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        progress(what, frame.index + 1, total)
        yield frame
