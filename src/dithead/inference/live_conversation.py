"""A person who listens and speaks without end: frames and sound on one clock, whatever comes and when.

Between utterances the person goes on moving with a closed mouth; frames of such moments are kept, so that listening
costs next to nothing. An interruption, and an utterance that comes faster than it is spoken, change what is drawn next
and not what was drawn. Letters: n samples.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dithead.errors import ConfigError
from dithead.inference.ahead import ahead
from dithead.inference.compose.second_pass import DrawnBatch
from dithead.inference.live_hearing import LEVELS, SpeechBuffer
from dithead.inference.live_speech import PIECE, LiveSpeech, Rewound, SpeechClosed
from dithead.inference.source.timeline import ScheduledFrame, schedule
from dithead.inference.streaming import LiveFrame, LiveHead
from dithead.inference.threads import each_on_one_thread
from dithead.media.planes import Planes
from dithead.media.resample import Resampler
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.types import Wave

LOWEST_RATE, HIGHEST_RATE = 8000, 48000
"""Sample rates of speech that are taken, in hertz."""
_IDLE_BYTES = 128 * 2**20  # bytes of frames with a closed mouth that are kept, at most (our choice)
_CALM = 1.0  # seconds of silence before a moment from which its frame is one with a closed mouth (our choice)
_LEFT_OUT = 1.5  # seconds left out after which speech is taken up anew, not made up for (our choice)
_TOLERANCE = 0.03  # seconds by which a frame may be expected too late and is drawn all the same (our choice)
_RAREST = 0.5
"""Seconds without a frame after which one is drawn even if it comes too late, so that the picture does not stand still.
It is begun at most this late (our choice)."""
_NEWEST = 0.2  # weight of the newest frame in the time that drawing takes (our choice)
_TRIED = 6  # frames by which the drawing time is measured (our choice)
_SLACK = (0.12, 0.6)  # least and largest seconds that drawing gets (our choice)


@dataclass(frozen=True)
class LiveSound:
    """A piece of the speech (n,), to be heard ``time`` seconds after the conversation began."""

    time: float
    wave: Wave
    sent: bool = True  # it holds speech that was sent, or else the silence in between

    @property
    def pcm(self) -> bytes:
        """The samples as 16-bit PCM, low byte first."""
        return np.clip(np.round(self.wave * 32768), -32768, 32767).astype("<i2").tobytes()


@dataclass
class LiveCounts:
    """What a conversation has done so far."""

    drawn: int = 0  # frames
    kept: int = 0  # frames that were taken from those kept
    skipped: int = 0  # frames left out, because they would have come too late


class _Drawn(NamedTuple):
    """A frame on its way from the thread that draws to the one that composes."""

    number: int
    item: ScheduledFrame
    made: Planes | DrawnBatch  # a kept frame, or one whose mouths are not in its planes yet
    begun: float  # seconds at which drawing began


class PreparedHead:
    """A ``LiveHead`` whose drawing time is known; several conversations may share it."""

    def __init__(self, head: LiveHead) -> None:
        """Draw a few frames: the first ones take longer, and the others tell how long drawing takes."""
        self.head = head
        self.idle: dict[int, Planes] = {}  # frames with a closed mouth, by their number in the source
        self.frame_seconds, self.frame_work = self._measured()

    @property
    def slack(self) -> float:
        """Seconds after the last speech needed at which a frame is shown."""
        return float(np.clip(2 * self.frame_seconds, *_SLACK))

    @property
    def fps(self) -> float:
        """Frames a second."""
        return float(self.head.clip.info.fps)

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height of the frames as they are shown, in pixels."""
        info = self.head.clip.info
        return info.width, info.height

    def keep(self, index: int, planes: Planes) -> None:
        """Keep a frame with a closed mouth."""
        size = sum(array.nbytes for array in planes.arrays)
        if (len(self.idle) + 1) * size <= _IDLE_BYTES:
            self.idle[index] = planes

    def _measured(self) -> tuple[float, float]:
        """Seconds and seconds of processor time that drawing a frame takes: the median, and the mean."""
        silence = np.zeros(round((self.head.latency + (_TRIED + 2) / self.fps) * SAMPLE_RATE), np.float32)
        marks = [(time.perf_counter(), time.process_time()) for _ in self.head.frames([silence])]
        if len(marks) < 3:
            return 0.0, 0.0
        wall, work = np.diff(np.array(marks[1:]), axis=0).T
        return float(np.median(wall)), float(work.mean())


class Conversation:
    """One person, shown and heard; methods may be called by any thread."""

    def __init__(
        self,
        prepared: PreparedHead,
        rate: int = SAMPLE_RATE,
        *,
        real_time: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            prepared: The person.
            rate: Sample rate of the speech in hertz; what is heard has the same.
            real_time: The speech comes from a microphone.
            clock: Seconds; ``time.monotonic`` outside of tests.

        Raises:
            ConfigError: The rate is none that is taken.
        """
        if not LOWEST_RATE <= rate <= HIGHEST_RATE or rate * PIECE != round(rate * PIECE):
            raise ConfigError(f"the sample rate must be 8000 to 48000 and a multiple of 25, not {rate}")
        self.prepared, self.head = prepared, prepared.head
        self.speech = LiveSpeech(rate, self.head.latency, prepared.slack, real_time=real_time, clock=clock)
        self.counts = LiveCounts()
        self._levels: deque[Tensor] = deque(maxlen=LEVELS)
        self._buffer: SpeechBuffer | None = None
        self._generation, self._drew = -1, 0.0
        self._begun = 0.0  # moment of the last frame that was not left out
        self._takes = prepared.frame_seconds  # that drawing a frame takes, as it is now
        self._sampler = self.head.sampler(self._new_buffer(0.0))
        self._lock = threading.Lock()

    def push(self, wave: Wave) -> None:
        """Take speech (n,), to be spoken after what waits already. Raises ConfigError where too much waits."""
        self.speech.push(wave)

    def push_pcm(self, pcm: bytes) -> None:
        """Take speech as 16-bit PCM, mono and low byte first, see ``push``; half a sample at the end is left out."""
        wave = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2")
        self.push(wave.astype(np.float32) / np.float32(32768))

    def finish(self) -> None:
        """Say that an utterance has come whole, so that even a short one may begin at once."""
        self.speech.finish()

    def interrupt(self) -> None:
        """Drop what is not spoken yet; the mouth closes."""
        self.speech.interrupt()

    @property
    def said(self) -> bool:
        """Whether all speech that was sent has been given out by ``sounds``."""
        return self.speech.said

    def close(self) -> None:
        """End ``frames`` and ``sounds``."""
        self.speech.close()

    @property
    def latency(self) -> float:
        """Seconds from the moment at which speech came to that at which it is heard and seen, as last laid."""
        return self.speech.latency

    def sounds(self) -> Iterator[LiveSound]:
        """Yield the sound in pieces of 40 ms, each when it is due, until ``close``; on a thread of its own."""
        try:
            while True:
                yield LiveSound(*self.speech.sound())
        except SpeechClosed:
            return

    def frames(self) -> Iterator[LiveFrame]:
        """Yield the frames as soon as they are drawn, until ``close``; ``late`` counts from when it is to be shown.

        Frames that would come too late are left out, so that the others stay in step with the sound.
        """
        endless = schedule(self.head.clip, self.head.analysis.stamps, "bounce", float("inf"))
        drawn = ahead(each_on_one_thread(self._drawn(endless)), 1, "draw")  # two cores: one draws, one composes
        with closing(drawn), suppress(SpeechClosed):
            for each in drawn:
                planes = self._composed(each)
                yield LiveFrame(each.number, each.item.time, planes, self.speech.late(each.item.time))

    def _drawn(self, timeline: Iterator[ScheduledFrame]) -> Iterator[_Drawn]:
        """The frames that come in time: kept ones, and others whose mouths are not in their planes yet."""
        for number, item in enumerate(timeline):
            made = self._made(number, item)
            if made is not None:
                yield made

    def _made(self, number: int, item: ScheduledFrame) -> _Drawn | None:
        """A frame, or None where it would come too late."""
        self.speech.draws(item.time)
        while True:
            generation = self.speech.generation
            try:
                self.speech.reach(item.time + self.head.latency, generation)
                if not self._worth_drawing(item.time):
                    self.counts.skipped += 1
                    return None
                begun, self._begun = time.perf_counter(), item.time
                return _Drawn(number, item, self._listening(item) or self._speaking(item, generation), begun)
            except Rewound:
                continue

    def _worth_drawing(self, seconds: float) -> bool:
        """Whether a frame can come in time, or the last one was so long ago that this one is shown all the same."""
        late = self.speech.late(seconds)
        in_time = late <= _TOLERANCE - min(self._takes, self.prepared.slack)
        return in_time or (seconds - self._begun >= _RAREST and late < _RAREST)

    def _listening(self, item: ScheduledFrame) -> Planes | None:
        """The kept frame of a moment in silence, if there is one."""
        if item.index not in self.prepared.idle or not self.speech.is_quiet(item.time - _CALM):
            return None
        self.counts.kept += 1
        self._buffer = None  # it would have to take all the silence first
        return self.prepared.idle[item.index]

    def _speaking(self, item: ScheduledFrame, generation: int) -> DrawnBatch:
        if self._buffer is None or generation != self._generation or item.time - self._drew > _LEFT_OUT:
            self._buffer, self._generation = self._new_buffer(item.time), generation
        self._drew = item.time
        self._sampler.speech.features = {None: self._buffer}
        (drawn,) = self.head.draw([item], self._sampler)
        return drawn

    def _composed(self, each: _Drawn) -> Planes:
        if isinstance(each.made, Planes):
            return each.made
        _, planes = self.head.compose(each.made)
        self._takes += _NEWEST * (time.perf_counter() - each.begun - self._takes)
        self.counts.drawn += 1
        if self.speech.is_quiet(each.item.time - _CALM):
            self.prepared.keep(each.item.index, planes)
        return planes

    def _new_buffer(self, seconds: float) -> SpeechBuffer:
        """What takes the speech from shortly before ``seconds`` on."""
        begin = self.speech.before(seconds)
        generation = self.speech.generation
        pieces = self.speech.pieces(begin, generation)
        heard = Resampler(self.speech.rate, SAMPLE_RATE).blocks(pieces)
        encoder, reach = self.head.drawing.audio, self.head.reach
        return SpeechBuffer(heard, None, reach, encoder, origin=begin / self.speech.rate, levels=self._levels)
