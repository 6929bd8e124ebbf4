"""Live use: speech comes in chunks, frames come out as soon as what the mouth says at their moment is known.

A frame waits for the speech shortly after it, see ``latency``. The pixels are those that ``generate`` makes of the same
speech with ``fit="loop"``, the same seed and the same loudness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.errors import ConfigError
from dithead.hub import DEFAULT_MODEL
from dithead.inference.analyse.first_pass import VideoAnalysis, analyse_video
from dithead.inference.analyse.multi_face import FaceChoice
from dithead.inference.analyse.occlusion import Occlusion, OcclusionDetector
from dithead.inference.compose.second_pass import render
from dithead.inference.pipeline import StrPath, load_talker
from dithead.inference.source.timeline import ScheduledFrame, SourceClip, schedule
from dithead.inference.synthesise.audio_features import MelStream, levelled, shift_for, stretch
from dithead.inference.synthesise.lip_calibration import AHEAD
from dithead.inference.synthesise.sampler import MouthSampler, ReferenceMode
from dithead.media.planes import Planes, to_rgb, working_format
from dithead.media.video import probe
from dithead.models.audio.base import MelListener
from dithead.models.audio.mel import HOP, MEL_RATE, N_MELS, SAMPLE_RATE, speech_level
from dithead.types import RGB, Wave

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

_HEARD_AT_LEAST = 50  # mel frames from which on the loudness of live speech is estimated


@dataclass(frozen=True)
class LiveFrame:
    """A frame to show ``time`` seconds after the speech began."""

    index: int
    time: float
    planes: Planes

    @property
    def pixels(self) -> RGB:
        """(H, W, 3)."""
        return to_rgb(self.planes.to_frame(), self.planes.encoding)


class LiveHead:
    """A person in a video, ready to speak: the video has been looked through and the model is loaded.

    Arguments are those of ``generate``; raises what it raises for a bad video or model.
    """

    def __init__(
        self,
        video: StrPath,
        *,
        model: StrPath | TalkingHead = DEFAULT_MODEL,
        steps: int | None = None,
        seed: int = 0,
        device: str = "auto",
        reference: ReferenceMode = "static",
        face: str = "largest",
        occlusion: Occlusion = "auto",
    ) -> None:
        info = probe(video)
        self.clip = SourceClip(Path(video), info)
        self.talker = load_talker(model, device)
        if not isinstance(self.talker.audio, MelListener):
            raise ConfigError("this model needs the whole speech at once; live use takes one that hears log-mel")
        self.listener: MelListener = self.talker.audio
        self.seed, self.steps, self.reference = seed, steps, reference
        self.pix_fmt = working_format(info.pix_fmt, info.width, info.height, info.rotation)
        self.found: VideoAnalysis
        with OcclusionDetector() as detector:
            look = detector if occlusion == "auto" else None
            mask = self.talker.config.mask
            self.found = analyse_video(
                self.clip.frames(), self.talker.size, FaceChoice.parse(face), detector=look, mask=mask
            )
        with TemporaryDirectory() as folder:
            self.found.calibrate_lips(self.talker, self.clip, Path(folder) / "own.mel")

    @property
    def reach(self) -> int:
        """Mel frames after a frame's moment that the model listens to."""
        return self.talker.config.audio.window // 2 + 1

    @property
    def latency(self) -> float:
        """Seconds of speech after a frame's moment that must have come before it is drawn; drawing comes on top."""
        return (self.reach + 8) / MEL_RATE + AHEAD  # two mel frames touched on either side, and a block of four

    def frames(self, chunks: Iterable[Wave], *, loudness: float | None = None) -> Iterator[LiveFrame]:
        """Yield the frames for 16 kHz speech that comes in chunks (n,) of any length, until it ends.

        The video is repeated as often as needed. loudness: of the speech (``hearing.loudness_of``), if it is known;
        otherwise it is estimated from what has been heard so far.
        """
        ear = SpeechBuffer(chunks, loudness, self.reach, self.listener)
        sampler = MouthSampler(self.talker, {None: ear}, seed=self.seed, steps=self.steps, reference=self.reference)
        endless = schedule(self.clip, self.found.stamps, "loop", float("inf"))
        for index, (item, planes) in enumerate(
            render(_while_heard(endless, ear), self.found, sampler, self.pix_fmt, 1)
        ):
            yield LiveFrame(index, item.time, planes)


class SpeechBuffer:
    """Speech that arrives while it is used: asks for chunks only as far as needed, and keeps only what is needed."""

    def __init__(self, chunks: Iterable[Wave], loudness: float | None, reach: int, listener: MelListener) -> None:
        """``listener`` says what is heard, and how much of the past."""
        self.reach, self._past = reach, listener.past
        self._chunks, self._stream = iter(chunks), MelStream(listener.scale, sound=listener.sound)
        self._shift = None if loudness is None else shift_for(loudness)
        self._kept: NDArray[np.float32] = np.zeros((0, N_MELS + HOP * listener.sound), np.float32)
        self._first = 0  # number of the first mel frame kept
        self._means: list[NDArray[np.float32]] = []
        self._samples, self._ended = 0, False

    def reaches(self, time: float) -> bool:
        """Whether there is speech at ``time``; waits for chunks until that is certain."""
        while not self._ended and self._samples <= time * SAMPLE_RATE:
            self._next()
        return time * SAMPLE_RATE < self._samples

    def around(self, times: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """See ``Hearing``."""
        wanted = int(times.max() * MEL_RATE) + self.reach + 2
        while not self._ended and self._first + len(self._kept) < wanted:
            self._next()
        first, stop, warp_by_flow = stretch(times, self._first + len(self._kept), self.reach, past=self._past)
        found = self._kept[first - self._first : stop - self._first]
        self._kept, self._first = self._kept[max(0, first - self._first) :], max(first, self._first)
        return levelled(found, self._present_shift()), warp_by_flow

    def _next(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            blocks = list(self._stream.finish())
        else:
            self._samples += len(chunk)
            blocks = list(self._stream.push(chunk))
        self._kept = np.concatenate([self._kept, *blocks])
        if self._shift is None:
            self._means += [block[:, :N_MELS].mean(axis=1) for block in blocks]

    def _present_shift(self) -> float:
        if self._shift is not None:
            return self._shift
        heard = np.concatenate(self._means) if self._means else np.zeros(0, np.float32)
        return shift_for(speech_level(torch.from_numpy(heard[:, None]))) if len(heard) >= _HEARD_AT_LEAST else 0.0


def _while_heard(items: Iterator[ScheduledFrame], ear: SpeechBuffer) -> Iterator[ScheduledFrame]:
    for item in items:
        if not ear.reaches(item.time):
            return
        yield item
