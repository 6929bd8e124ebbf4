"""Draws frames live: speech arrives in chunks, and a frame follows as soon as its lips can be predicted.

A frame waits for the speech shortly after it, see ``LiveHead.latency``. The pixels are those that ``generate`` makes of
the same speech with ``fit="loop"``, the same seed and the same loudness, but for the watermark, which names the kind of
job; for a model with a lip predictor nearly so,
because ``generate`` predicts the lips in long blocks and live use in short steps (``models.audio.lip_stream``).
Letters: B moments, n samples, F numbers in a feature frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from torch import Tensor

from dithead.errors import ConfigError, FaceError
from dithead.inference.ahead import ahead, groups_ahead
from dithead.inference.analyse.face_sheet import explain_face_error
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.multi_face import FaceChoice
from dithead.inference.analyse.occlusion import OcclusionDetector
from dithead.inference.background_model import load_talker
from dithead.inference.compose.second_pass import (
    DrawnBatch,
    Finish,
    PreparedBatch,
    compose_batch,
    drawn_batches,
    hear,
    heard_batches,
    joined_batches,
    seen_batches,
    split_batch,
)
from dithead.inference.denied_faces import refuse_denied_faces
from dithead.inference.live_hearing import SpeechBuffer, live_latency, needed_speech
from dithead.inference.output_watermark import OutputWatermark
from dithead.inference.source.still_image import StillClip, still_video
from dithead.inference.source.timeline import ScheduledFrame, SourceClip, schedule
from dithead.inference.synthesise.audio_features import SpeechFeatures
from dithead.inference.synthesise.lip_calibration import calibrate_tracklets, source_speech
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.inference.threads import each_on_one_thread, one_thread_each
from dithead.inference.visible_label import label_of
from dithead.media.planes import Planes, to_rgb, working_format
from dithead.media.video import probe
from dithead.option_values import file_name, make_options
from dithead.options import SamplingOptions, StrPath
from dithead.provenance.consent import read_consent
from dithead.types import RGB, Wave

_STILL_SECONDS = 4.0  # seconds of sway that a picture gets before it repeats (our choice)
_SEEN_AHEAD = 3  # frames that are looked at before their speech comes: those of a step of hearing (our choice)
_AT_ONCE = 3  # frames that are drawn together where they wait (our choice; docs/results/cost.md)
_PATIENCE = 0.5  # seconds for which an ended stream waits for each of its threads (our choice)


@dataclass(frozen=True)
class LiveFrame:
    """A frame to display ``time`` seconds after the speech began."""

    index: int  # its number in the output; it jumps where frames were left out
    time: float
    planes: Planes
    late: float = 0.0
    """Seconds by which it was ready later than possible: later than ``LiveHead.latency`` after its own sound came in,
    reckoned from the moment of the first chunk. It grows where drawing is slower than the video; negative: early."""

    @property
    def pixels(self) -> RGB:
        """(H, W, 3), R first."""
        return to_rgb(self.planes.to_frame(), self.planes.encoding)


class LiveHead:
    """A person in a video, ready to speak: the video has been analysed and the model is loaded."""

    def __init__(self, video: StrPath, *, longest: float | None = None, **options: Any) -> None:
        """Analyse the video and load the model.

        Args:
            video: A video of the person, or a picture, in which people then sway a little and blink.
            longest: Seconds of the video that are used, at most.
            options: Any of ``options.SamplingOptions``.

        Raises:
            MediaError: The video cannot be read.
            FaceError: It shows no usable face, or one that is on the deny list.
            ModelError: The model is missing or damaged.
            ConfigError: An option is unknown or out of range, or the model needs the whole speech at once.
        """
        self.options = make_options(SamplingOptions, "LiveHead", **options)
        self.consent = read_consent(self.options.consent)
        self.watermark = OutputWatermark(self.options)
        self.clip = _source(Path(file_name("video", video)), longest)
        info = self.clip.info
        self.talker = load_talker(self.options.model, self.options.device)
        if not self.talker.audio.live:
            raise ConfigError("this model needs the whole speech at once; choose one whose audio encoder takes log-mel")
        self.pix_fmt = working_format(info.pix_fmt, info.width, info.height, info.rotation)
        settings = AnalysisSettings(self.talker.size, self.talker.config.mask, FaceChoice.parse(self.options.face))
        with one_thread_each(), OcclusionDetector() as detector:
            used = detector if self.options.occlusion == "auto" else None
            try:
                self.analysis = analyse_video(self.clip.frames(), settings, detector=used)
            except FaceError as error:
                raise explain_face_error(error, self.clip, settings.choice) from None
        with one_thread_each(), TemporaryDirectory() as folder:
            speech = source_speech(self.talker, self.clip, Path(folder) / "own.mel")
            calibrate_tracklets(self.analysis, self.talker, self.clip, speech)
        self.drawing = self.talker.for_drawing(self.options.precision)
        """The model as it draws fastest."""
        refuse_denied_faces(self.analysis)
        self._last_sampler: MouthSampler | None = None
        self._read_references()
        self._finish = Finish(marker=self.watermark.marker(self.talker.config.name, "live"))
        self.label = label_of(self.options.label, info, self.analysis, self.talker.size)

    @property
    def reach(self) -> int:
        """Feature frames after a frame's moment that the model needs."""
        return self.talker.config.audio.window // 2 + 1

    @property
    def latency(self) -> float:
        """Seconds of speech after a frame's moment that must have come before it is drawn; drawing comes on top."""
        return live_latency(self.talker.audio, self.reach)

    def needs(self, time: float) -> float:
        """Return how many seconds of speech must have come before the frame at ``time`` seconds is drawn."""
        return needed_speech(time, self.talker.audio, self.reach)

    def frames(
        self, chunks: Iterable[Wave], *, loudness: float | None = None, most_late: float | None = None
    ) -> Generator[LiveFrame, None, None]:
        """Draw frames while speech comes, until it ends; the video is repeated as often as needed.

        Args:
            chunks: Speech (n,) at 16 kHz in pieces of any length.
            loudness: Of the speech (``audio_features.loudness_of``), where it is known; otherwise it is estimated from
                what has come so far.
            most_late: Seconds that a frame may be late; frames that would begin to be drawn later are left out, so that
                the others stay in step with the sound on a machine that is too slow. None draws every frame.

        Looking at the video, hearing, drawing and composing run on four threads, so ``chunks`` is iterated on another
        thread than the caller's, several frames ahead where the speech is there already. Frames that wait are drawn
        together.

        Yields:
            Each frame as soon as it is drawn.
        """
        clock = _Clock(self.latency)
        speech = SpeechBuffer(clock.started_by(chunks), loudness, self.reach, self.drawing.audio)
        sampler = self.sampler(speech)
        endless = schedule(self.clip, self.analysis.stamps, "loop", float("inf"))
        numbers: deque[int] = deque()
        seen = ahead(each_on_one_thread(self._seen(endless, sampler)), _SEEN_AHEAD, "see", _PATIENCE)
        heard = enumerate(_heard(seen, speech, sampler))
        groups = groups_ahead(each_on_one_thread(heard), _AT_ONCE, "hear", self._at_once, _PATIENCE)
        drawn = drawn_batches(_in_time(groups, clock, most_late, numbers), sampler)
        single = (one for batch in drawn for one in split_batch(batch))
        with closing(ahead(each_on_one_thread(single), _AT_ONCE, "draw", _PATIENCE)) as waiting:
            for item, planes in each_on_one_thread(map(self.compose, waiting)):
                yield LiveFrame(numbers.popleft(), item.time, planes, clock.late(item.time))

    def _read_references(self) -> None:
        """Read the pictures of those who are shown first, so that no frame waits for them."""
        sampler = self.sampler(SpeechBuffer([], None, self.reach, self.drawing.audio))
        with one_thread_each():
            for tracklet in self.analysis.tracklets_at(0):
                sampler.expect(tracklet)

    def sampler(self, speech: SpeechFeatures) -> MouthSampler:
        """Return what draws the mouths of one stream of speech."""
        o = self.options
        features: dict[int | None, Tensor | SpeechFeatures] = {None: speech}
        made = MouthSampler(self.drawing, features, seed=o.seed, steps=o.steps, reference=o.reference)
        if self._last_sampler is not None:
            made.share_pictures(self._last_sampler)
        self._last_sampler = made
        return made

    def draw(self, timeline: Iterable[ScheduledFrame], sampler: MouthSampler) -> Iterator[DrawnBatch]:
        """Draw the mouths of frames one by one; ``compose`` puts them in, on another thread if you like."""
        return drawn_batches(heard_batches(self._seen(timeline, sampler), sampler), sampler)

    def _seen(self, timeline: Iterable[ScheduledFrame], sampler: MouthSampler) -> Iterator[PreparedBatch]:
        """All that the mouths of frames are drawn from but the speech, one by one."""
        return seen_batches(timeline, self.analysis, sampler, self.pix_fmt, 1)

    @property
    def _at_once(self) -> int:
        """Frames that may be drawn together: what is drawn must not depend on how fast the speech comes."""
        return _AT_ONCE if self.drawing.same_in_every_batch else 1

    def compose(self, drawn: DrawnBatch) -> tuple[ScheduledFrame, Planes]:
        """Return a frame with its mouths, the watermark and the label."""
        compose_batch(drawn, self._finish)
        (item,), (planes,) = drawn.frames, drawn.planes
        if self.label is not None:
            self.label.apply(planes)
        return item, planes


def _source(path: Path, longest: float | None) -> SourceClip:
    """The frames of a video, or of a picture in which people sway and blink."""
    info = probe(path)
    if info.still:
        return StillClip(path, still_video(info), seconds=_STILL_SECONDS)
    return SourceClip(path, info, end=longest)


class _Clock:
    """Tells how late a frame is; it starts when the first chunk of speech comes."""

    def __init__(self, latency: float) -> None:
        self.latency, self.begun = latency, 0.0

    def started_by(self, chunks: Iterable[Wave]) -> Iterator[Wave]:
        for chunk in chunks:
            self.begun = self.begun or monotonic()
            yield chunk

    def late(self, time: float) -> float:
        """Seconds since the frame at ``time`` could have been ready."""
        return monotonic() - self.begun - time - self.latency


def _in_time(
    groups: Iterable[list[tuple[int, PreparedBatch]]], clock: _Clock, most_late: float | None, numbers: deque[int]
) -> Iterator[PreparedBatch]:
    """Leave out frames that are too late, note the numbers of the others, and join those that wait."""
    for group in groups:
        kept = [each for each in group if most_late is None or clock.late(each[1].frames[0].time) <= most_late]
        numbers.extend(number for number, _ in kept)
        yield from joined_batches([part for _, part in kept])


def _heard(seen: Iterable[PreparedBatch], speech: SpeechBuffer, sampler: MouthSampler) -> Iterator[PreparedBatch]:
    """Hear the speech of single frames as long as it lasts."""
    for part in seen:
        if not speech.reaches(part.frames[0].time):
            return
        hear(part, sampler)
        yield part
