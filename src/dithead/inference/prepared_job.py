"""Checks a job before any work is done: its inputs, its options, its output and what will be marked.

What signs the output is loaded by ``job_analysis.analyse_job``: the helper process need not wait for that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from dithead.errors import ConfigError
from dithead.inference.analyse.multi_face import FaceChoice
from dithead.inference.output_credentials import OutputCredentials
from dithead.inference.output_watermark import OutputWatermark
from dithead.inference.source.soundtrack import Soundtrack
from dithead.inference.source.still_image import StillClip, still_video
from dithead.inference.source.timeline import SourceClip
from dithead.media.audio_track import AudioTrack, EncodedTrack
from dithead.media.contact_sheet import require_picture_output
from dithead.media.encoder import EncoderOptions, PictureEncoding, encoder_named
from dithead.media.files import muxer_for, require_output
from dithead.media.info import VideoInfo
from dithead.media.picture import parse_colour
from dithead.media.video import probe
from dithead.options import SOURCE, GenerateJob
from dithead.progress import Progress

_BATCH_PIXELS = 24_000_000  # source pixels held at once: 12 frames of 1080p


class PreparedJob:
    """A job whose inputs were checked and whose output can be written.

    Args:
        job: The job.
        progress: Told of the work.
        hide_talking: Only frames with closed lips may lend anything.

    Raises:
        MediaError: An input cannot be read.
        OutputError: The output cannot be written.
        ConfigError: An option does not fit the inputs, or the configuration of trust is wrong.
    """

    def __init__(self, job: GenerateJob, progress: Progress, *, hide_talking: bool = False) -> None:
        self.job, self.progress, self.hide_talking = job, progress, hide_talking
        info = probe(job.video)
        background = parse_colour(job.background)
        self.sound = Soundtrack.of_job(job, info)
        self.clip = _source_clip(job, info, background, self.sound.seconds)
        self.encoding = _encoding(job, self.clip.info)
        self._check_names()
        self.choice = _face_choice(job, frozenset(self.sound.speakers), self.clip.info)
        self.credentials, self.watermark = OutputCredentials(job, load=False), OutputWatermark(job)
        room = max(1, _BATCH_PIXELS // (self.clip.info.width * self.clip.info.height))
        self.batch = max(1, min(job.batch, room))

    @cached_property
    def encoded_sound(self) -> EncodedTrack:
        """What is heard, as AAC; some of it may be encoded before it is needed, see ``encode_ahead``."""
        return EncodedTrack(AudioTrack(self.sound.heard))

    def encode_ahead(self, moments: Sequence[float]) -> None:
        """Encode the sound that the output certainly has, while there is nothing else to do.

        Args:
            moments: Seconds of the frames that were seen so far, ascending. Those before the end of the speech are
                shown, whatever becomes of the others.
        """
        if count := bisect_left(moments, self.sound.seconds):
            self.encoded_sound.encode_until(moments[count - 1])

    @property
    def kind(self) -> str:
        """What the output is made from, one of ``provenance.watermark.JOBS``."""
        return "portrait" if isinstance(self.clip, StillClip) else "video"

    def _check_names(self) -> None:
        """Raise OutputError where the output cannot be written, or a picture has another kind of name."""
        output = Path(self.job.output)
        muxer_for(output)
        sources = [self.clip.path, self.sound.speech, *self.sound.speakers.values()]
        if (background := self.job.background_sound) not in (None, SOURCE):
            sources.append(Path(background))
        require_output(output, sources)
        if self.job.sheet is not None:
            require_picture_output(Path(self.job.sheet), sources)


def _source_clip(job: GenerateJob, info: VideoInfo, background: tuple[int, int, int], seconds: float) -> SourceClip:
    """The part of the video that is used, or a picture for as long as the speech lasts."""
    path = Path(job.video)
    if info.still:
        return StillClip(path, still_video(info), background=background, seconds=seconds, idle=job.idle)
    return SourceClip(path, info, job.start, job.end, background)


def _encoding(job: GenerateJob, info: VideoInfo) -> PictureEncoding:
    """How the output is encoded. Raises ConfigError where this machine has no such encoder."""
    encoder = encoder_named(job.encoder, job.codec, lossless=job.lossless)
    encoding = PictureEncoding(info, EncoderOptions(job.crf, job.lossless, encoder, job.encoder_preset))
    encoding.require_encoder()
    return encoding


def _face_choice(job: GenerateJob, speakers: frozenset[int], info: VideoInfo) -> FaceChoice | None:
    """Which faces speak; None for the largest. Raises ConfigError where a point lies beyond the picture's edge."""
    choice = FaceChoice("numbers", speakers) if speakers else FaceChoice.parse(job.face)
    if choice is not None and (choice.point[0] > info.width or choice.point[1] > info.height):
        raise ConfigError(f"face {job.face} lies outside the picture, which has {info.width}x{info.height} pixels")
    return choice
