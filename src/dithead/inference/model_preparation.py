"""Makes ready, beside the first pass, what the second pass needs of the model and of the sound alone.

The first pass tells which mouths there are; weights, speech features and the mark's pattern do not depend on it.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from dithead.inference.background_model import BackgroundModel
from dithead.inference.compose.batches import batch_sizes
from dithead.inference.output_segments import SEGMENT
from dithead.inference.prepared_job import PreparedJob
from dithead.inference.resume import WorkFolder, model_key
from dithead.inference.threads import one_torch_thread
from dithead.stages import stage

if TYPE_CHECKING:
    from dithead.inference.compose.second_pass import Sampler
    from dithead.inference.synthesise.audio_features import SpeechFeatures
    from dithead.models.talking_head import TalkingHead
    from dithead.provenance.watermark import Watermarker

_POLL = 0.05  # seconds after which a waiting thread looks whether more frames were seen


class ReadyModel(NamedTuple):
    """A model, and what one job needs besides what its first pass finds."""

    talker: TalkingHead
    key: dict[str, str]  # ``resume.model_key``
    sampler: Sampler
    own_speech: SpeechFeatures | None  # of the source; None where it has none
    marker: Watermarker | None


class ModelPreparation:
    """Makes the model of a job ready on a thread of its own; a context manager, which stops that at its end."""

    def __init__(self, prepared: PreparedJob, model: BackgroundModel, work: WorkFolder) -> None:
        self.prepared, self.model, self.work = prepared, model, work
        self._begun: Future[ReadyModel] | None = None
        self._heard: Future[None] | None = None
        self._unwanted, self._needed = threading.Event(), threading.Event()
        self._moments: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unwanted.set()
        self._needed.set()

    def saw(self, time: float) -> None:
        """Take the moment of a frame, in seconds: its speech is heard before all faces are known."""
        self._moments.append(time)

    def check(self) -> None:
        """Begin, or raise the error with which loading the model has failed, if it has; this does not wait."""
        self.model.check()
        if self._begun is None:
            worker = ThreadPoolExecutor(1, "dithead-prepare")
            self._begun = worker.submit(self._prepare)
            self._heard = worker.submit(self._hear_ahead, self._begun)
            worker.shutdown(wait=False)

    def ready(self) -> ReadyModel:
        """Wait for everything.

        Raises:
            ModelError: The model does not fit the architecture that it names.
            ConfigError: The machine lacks the device.
            MediaError: The speech cannot be read.
        """
        self.check()
        self._needed.set()
        assert self._begun is not None, "check has begun it"
        assert self._heard is not None, "check has begun it"
        ready = self._begun.result()
        self._heard.result()
        return ready

    def _hear_ahead(self, begun: Future[ReadyModel]) -> None:
        """Hear the speech of frames that were seen, in the batches in which they will be drawn, until it is needed.

        The first pass leaves part of the cores idle.
        """
        if begun.exception() is not None:
            return
        sampler, first = begun.result().sampler, 0
        with one_torch_thread():
            for size in batch_sizes(sampler, self.prepared.batch, SEGMENT):
                while len(self._moments) < first + size:
                    self.prepared.encode_ahead(self._moments)
                    if self._needed.wait(_POLL):
                        return
                if self._needed.is_set():
                    return
                sampler.hear_ahead(np.array(self._moments[first : first + size]))
                first += size

    def _prepare(self) -> ReadyModel:
        talker = self.model.talker()
        with stage("prepare model"), one_torch_thread():
            from dithead.inference.synthesise.lip_calibration import source_speech

            job, work = self.prepared, self.work
            marker = job.watermark.marker(talker.config.name, job.kind)
            if marker is not None:
                marker.prepare()
            sampler = make_sampler(job, talker, work, self._unwanted)
            own = source_speech(talker, job.clip, work.features("own"), self._unwanted)
            return ReadyModel(talker, model_key(talker), sampler, own, marker)


def make_sampler(
    prepared: PreparedJob, talker: TalkingHead, work: WorkFolder, unwanted: threading.Event | None = None
) -> Sampler:
    """Return what draws the mouths of a job; reading the speech ends when it is ``unwanted``."""
    # Imported here because they import torch, which the first pass does not wait for.
    from dithead.inference.synthesise.audio_features import FileFeatures
    from dithead.inference.synthesise.frame_interpolation import FrameInterpolator
    from dithead.inference.synthesise.sampler import MouthSampler
    from dithead.models.recorded import unrecorded

    job, audio = prepared.job, talker.audio
    tracks = [(None, prepared.sound.speech), *prepared.sound.speakers.items()]
    features = {number: FileFeatures(audio, path, work.features(number or 0), unwanted) for number, path in tracks}
    with unrecorded():
        fast = talker.for_drawing(job.precision)
    sampler = MouthSampler(fast, features, seed=job.seed, steps=job.steps, reference=job.reference)
    return FrameInterpolator(sampler) if job.interpolate else sampler
