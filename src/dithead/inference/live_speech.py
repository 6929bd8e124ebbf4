"""Joins a voice assistant to ``LiveHead``: speech goes in as it comes, pictures and the same speech come out in step.

An assistant speaks in bursts. ``LiveSpeech`` feeds the head in real time, with silence where there is no speech, so
that the person goes on moving; every picture leaves together with the speech that is heard from it on.
Letter: n samples.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import av
import numpy as np

from dithead.inference.streaming import LiveFrame, LiveHead
from dithead.types import Wave

_CHUNK = 0.04  # seconds of speech that are fed at once (our choice)
_MODEL_RATE = 16000
MOST_LATE = 0.2
"""Seconds that a picture may be late before it is left out (our choice)."""


@dataclass(frozen=True)
class LiveStep:
    """A picture, and the speech from it to the next one."""

    frame: LiveFrame
    speech: Wave  # (n,) at ``LiveSpeech.rate``; silence between two utterances
    speaking: bool  # whether any of it was pushed, or all of it is filling silence
    ended: int  # how many utterances end in it


class LiveSpeech:
    """Speech that is pushed by one thread and leaves with pictures from another, for one person.

    The delay of what is pushed is ``LiveHead.latency`` and the time of drawing, whatever the length of the speech.
    """

    def __init__(self, head: LiveHead, rate: int = 24000, *, most_late: float | None = MOST_LATE) -> None:
        """Begin with silence.

        Args:
            head: The person.
            rate: Samples a second of the speech that is pushed, and of that which comes out.
            most_late: Seconds that a picture may be late; later ones are left out and their speech comes with the next
                one. None draws every picture.
        """
        self.head, self.rate, self.most_late = head, rate, most_late
        self._lock, self._closed = Lock(), False
        self._waiting: deque[Wave | None] = deque()  # pushed and not yet fed; None ends an utterance
        self._fed: deque[tuple[Wave, bool]] = deque()  # fed and not yet out, with whether it was pushed
        self._ends: deque[int] = deque()  # samples fed when utterances ended
        self._fed_samples = self._out_samples = 0

    def push(self, speech: Wave) -> None:
        """Add speech (n,) at ``rate``, as fast as it comes; it is fed at the pace at which it is heard."""
        with self._lock:
            self._waiting.append(np.asarray(speech, np.float32))

    def end_utterance(self) -> None:
        """Mark the end of an utterance; ``LiveStep.ended`` tells when it has been heard."""
        with self._lock:
            self._waiting.append(None)

    def clear(self) -> None:
        """Stop speaking at once: drop what is waiting and silence what is being drawn (barge-in)."""
        with self._lock:
            self._waiting.clear()
            self._ends.clear()
            self._fed = deque((np.zeros_like(each), False) for each, _ in self._fed)

    def close(self) -> None:
        """End the pictures once what has been fed is drawn."""
        self._closed = True

    def steps(self) -> Iterator[LiveStep]:
        """Draw, in real time, until ``close``; for a thread of its own."""
        interval = float(1 / self.head.clip.info.fps)
        for frame in self.head.frames(self._chunks(), most_late=self.most_late):
            yield self._step(frame, round((frame.time + interval) * self.rate))

    async def stream(self) -> AsyncIterator[LiveStep]:
        """Draw on a thread of its own; leaving the loop closes this object."""
        loop, steps = asyncio.get_running_loop(), self.steps()
        worker = ThreadPoolExecutor(1, "dithead-live")
        try:
            while (step := await loop.run_in_executor(worker, next, steps, None)) is not None:
                yield step
        finally:
            self.close()
            worker.shutdown(wait=False, cancel_futures=True)

    def _chunks(self) -> Iterator[Wave]:
        """Yield speech or silence at 16 kHz in real time, and remember it as it was pushed."""
        resampler = av.AudioResampler("flt", "mono", _MODEL_RATE)
        size, begun, count = round(_CHUNK * self.rate), time.monotonic(), 0
        while not self._closed:
            chunk = self._next(size)
            frame = av.AudioFrame.from_ndarray(chunk[None], "flt", "mono")
            frame.sample_rate = self.rate
            frame.pts = count * size
            for each in resampler.resample(frame):
                yield each.to_ndarray()[0]
            count += 1
            time.sleep(max(0.0, begun + count * _CHUNK - time.monotonic()))

    def _next(self, size: int) -> Wave:
        """Take what is waiting, at most ``size`` samples, fill it with silence, and count it as fed."""
        with self._lock:
            parts: list[Wave] = []
            taken = 0
            while self._waiting and taken < size:
                speech = self._waiting.popleft()
                if speech is None:
                    self._ends.append(self._fed_samples + taken)
                    continue
                parts.append(speech[: size - taken])
                taken += len(parts[-1])
                if len(parts[-1]) < len(speech):
                    self._waiting.appendleft(speech[len(parts[-1]) :])
            while self._waiting and self._waiting[0] is None:
                self._waiting.popleft()
                self._ends.append(self._fed_samples + taken)
            chunk = np.concatenate([*parts, np.zeros(size - taken, np.float32)])
            self._fed.append((chunk, taken > 0))
            self._fed_samples += size
            return chunk

    def _step(self, frame: LiveFrame, until: int) -> LiveStep:
        """Take the speech up to a sample, and the ends of utterances before it."""
        with self._lock:
            parts, speaking = [], False
            while self._out_samples < until and self._fed:
                chunk, pushed = self._fed.popleft()
                part = chunk[: until - self._out_samples]
                if len(part) < len(chunk):
                    self._fed.appendleft((chunk[len(part) :], pushed))
                parts.append(part)
                speaking |= pushed
                self._out_samples += len(part)
            ended = 0
            while self._ends and self._ends[0] <= self._out_samples:
                self._ends.popleft()
                ended += 1
        speech = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return LiveStep(frame, speech, speaking, ended)
