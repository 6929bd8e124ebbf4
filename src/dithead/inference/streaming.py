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
from dithead.inference.analyse.first_pass import Survey, survey
from dithead.inference.analyse.multi_face import Choice
from dithead.inference.analyse.occlusion import Lookout, Occlusion
from dithead.inference.compose.second_pass import render
from dithead.inference.pipeline import StrPath, load_talker
from dithead.inference.source.timeline import Clip, Shown, schedule
from dithead.inference.synthesise.audio_features import stretch
from dithead.inference.synthesise.lip_calibration import AHEAD
from dithead.inference.synthesise.sampler import MouthMaker, ReferenceMode
from dithead.media.planes import Planes, to_rgb, working_format
from dithead.media.video import probe
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.mel import MEL_RATE, SAMPLE_RATE, speech_level
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
        self.clip = Clip(Path(video), info)
        self.talker = load_talker(model, device)
        if not self.talker.audio.live:
            raise ConfigError("this model needs the whole speech at once; live use takes one that hears log-mel")
        self.seed, self.steps, self.reference = seed, steps, reference
        self.pix_fmt = working_format(info.pix_fmt, info.width, info.height, info.rotation)
        self.found: Survey
        with Lookout() as lookout:
            look = lookout if occlusion == "auto" else None
            mask = self.talker.config.mask
            self.found = survey(self.clip.frames(), self.talker.size, Choice.parse(face), lookout=look, mask=mask)
        with TemporaryDirectory() as folder:
            self.found.learn_habits(self.talker, self.clip, Path(folder) / "own.mel")

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

        The video is repeated as often as needed. loudness: of the speech (``audio_features.loudness_of``), if it is
        known; otherwise it is estimated from what has been heard so far.
        """
        ear = LiveSpeech(chunks, loudness, self.reach, self.talker.audio)
        maker = MouthMaker(self.talker, {None: ear}, seed=self.seed, steps=self.steps, reference=self.reference)
        endless = schedule(self.clip, self.found.stamps, "loop", float("inf"))
        for index, (item, planes) in enumerate(render(_while_heard(endless, ear), self.found, maker, self.pix_fmt, 1)):
            yield LiveFrame(index, item.time, planes)


class LiveSpeech:
    """Speech that arrives while it is used: asks for chunks only as far as needed, and keeps only what is needed."""

    def __init__(self, chunks: Iterable[Wave], loudness: float | None, reach: int, encoder: AudioEncoder) -> None:
        """``encoder`` says what is heard, and how much of the past."""
        self.reach, self.encoder = reach, encoder
        self._chunks, self._stream = iter(chunks), encoder.stream()
        self._loudness = loudness
        self._kept = torch.zeros(0, encoder.features_width)
        self._first = 0  # number of the first mel frame kept
        self._levels: list[Tensor] = []
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
        first, stop, moved = stretch(times, self._first + len(self._kept), self.reach, MEL_RATE, self.encoder.past)
        found = self._kept[first - self._first : stop - self._first]
        self._kept, self._first = self._kept[max(0, first - self._first) :], max(first, self._first)
        level = self._present_level()
        return found if level is None else self.encoder.at_level(found, level), moved

    def _next(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            blocks = list(self._stream.finish())
        else:
            self._samples += len(chunk)
            blocks = list(self._stream.push(torch.from_numpy(np.asarray(chunk, np.float32))))
        self._kept = torch.cat([self._kept, *blocks])
        if self._loudness is None:
            self._levels += [self.encoder.frame_levels(block) for block in blocks]

    def _present_level(self) -> float | None:
        """The level of the speech as far as it is known; None where too little of it has been heard."""
        if self._loudness is not None:
            return self._loudness
        levels = torch.cat(self._levels) if self._levels else torch.zeros(0)
        return speech_level(levels) if len(levels) >= _HEARD_AT_LEAST else None


def _while_heard(items: Iterator[Shown], ear: LiveSpeech) -> Iterator[Shown]:
    for item in items:
        if not ear.reaches(item.time):
            return
        yield item
