"""Lays speech that comes when it likes on a clock that never stops, with silence where none has come.

A microphone gives speech as fast as it is spoken, a synthetic voice much faster, and between two utterances nothing
comes. The picture needs a steady stream that is known a little ahead (``lookahead``). What lies on the clock but is not
drawn yet can still be replaced: an utterance that comes faster than it is spoken begins there at once, and so does the
silence after an interruption. Letters: n samples.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dithead.errors import ConfigError
from dithead.types import Wave

PIECE = 0.04
"""Seconds of speech that are laid on the clock at once: a frame of most videos (our choice)."""
_GATHER = 0.12  # seconds that the beginning of an utterance waits for more, so that jitter breaks no word (our choice)
_FADE = 0.008  # seconds in which interrupted speech fades, so that nothing clicks (our choice)
_QUIET = 0.004  # largest sample of what counts as silence, -48 dB of full scale (our choice)
_MOST_WAITING = 300.0  # seconds of speech that may wait, at most (our choice)
_BEHIND = 0.4  # seconds of live speech that may wait before its pauses are shortened (our choice)
_FAR_BEHIND = 1.5  # seconds from which anything is left out (our choice)
_STOPPED = 2.0  # seconds without a step after which the clock is set back: the machine slept (our choice)


class Rewound(Exception):  # noqa: N818  # no error
    """What lay on the clock from here on was replaced: draw again from the present frame on."""


class SpeechClosed(Exception):  # noqa: N818  # no error
    """Nobody listens any more."""


@dataclass(frozen=True)
class _Waiting:
    """A piece of speech that waits for its turn."""

    wave: Wave
    came: float  # by the clock; of the rest of a piece: when it could have come if it were spoken


class LiveSpeech:
    """One person's speech on the clock; ``push`` and ``interrupt`` may be called by any thread."""

    def __init__(
        self,
        rate: int,
        lookahead: float,
        slack: float,
        *,
        real_time: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            rate: Sample rate in hertz.
            lookahead: Seconds of speech after a frame's moment that are needed to draw it.
            slack: Further seconds until the frame is shown, for the drawing.
            real_time: The speech comes from a microphone, so it must not pile up: its pauses are shortened where it is
                behind.
            clock: Seconds; ``time.monotonic`` outside of tests.
        """
        self.rate, self.delay, self.real_time, self._clock = rate, lookahead + slack, real_time, clock
        self.begun = clock()
        self.piece = round(PIECE * rate)
        self.generation = 0
        self.latency = self.delay
        """Seconds from the moment at which speech came to that at which it is heard and seen, as last laid."""
        self._lock = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._whole = False  # the utterance that waits has come to its end
        self._kept = np.zeros(0, np.float32)  # what lies on the clock, from sample ``_first`` on
        self._first = 0
        self._loud = -rate * 3600  # the last sample that is no silence
        self._filled = 0  # from here on, the clock holds nothing but silence that nobody sent
        self._frame = self._heard = 0  # samples: of the frame that is drawn, and of the sound given out
        self._closed = False

    @property
    def laid(self) -> int:
        """Samples that lie on the clock."""
        return self._first + len(self._kept)

    def push(self, wave: Wave) -> None:
        """Take speech (n,), to be spoken after what waits already. Raises ConfigError where too much waits."""
        with self._lock:
            if self._seconds_waiting() + len(wave) / self.rate > _MOST_WAITING:
                raise ConfigError(f"more than {_MOST_WAITING:g} s of speech wait already; send the rest later")
            self._waiting.append(_Waiting(np.asarray(wave, np.float32), self._clock()))
            self._whole = False

    def finish(self) -> None:
        """Say that the utterance has come whole, so that even a short one may begin at once."""
        with self._lock:
            self._whole = True

    def interrupt(self) -> None:
        """Drop what waits, and replace what is not drawn yet by silence."""
        with self._lock:
            self._waiting.clear()
            self._whole = False
            here = max(self._frame, self._heard)
            fade = round(_FADE * self.rate)
            tail = self._between(here, min(here + fade, self.laid))
            self._replace(here, tail * np.linspace(1, 0, len(tail), dtype=np.float32))
            self._loud = min(self._loud, here + fade)

    def close(self) -> None:
        """Let all who wait go on, with ``SpeechClosed``."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def draws(self, seconds: float) -> None:
        """Note which frame is drawn now: what lies before it is settled."""
        with self._lock:
            self._frame = round(seconds * self.rate)
            self._forget()

    def late(self, seconds: float) -> float:
        """Seconds since the frame at ``seconds`` had to be shown; negative before that."""
        return self._clock() - self.due(seconds)

    def due(self, seconds: float) -> float:
        """Return when, by the clock, the frame and the sound at ``seconds`` are to be seen and heard."""
        return self.begun + seconds + self.delay

    def is_quiet(self, begin: float) -> bool:
        """Whether everything on the clock from ``begin`` seconds on is silence."""
        return self._loud < begin * self.rate

    def reach(self, seconds: float, generation: int) -> None:
        """Wait until the clock holds everything before ``seconds``. Raises what ``pieces`` does."""
        while True:
            with self._lock:
                if self.laid >= seconds * self.rate:
                    return
            self._advance(generation)

    def before(self, seconds: float) -> int:
        """Return the first sample that is still known and lies at most a second before ``seconds``."""
        with self._lock:
            return max(self._first, round((seconds - 1) * self.rate), 0)

    def pieces(self, begin: int, generation: int) -> Iterator[Wave]:
        """Yield what lies on the clock from sample ``begin`` on, then each new piece when its time has come.

        Raises:
            Rewound: What was yielded does not hold any more.
            SpeechClosed: ``close`` was called.
        """
        while True:
            with self._lock:
                wave = self._between(begin, self.laid)
            if len(wave):
                begin += len(wave)
                yield wave
            else:
                self._advance(generation)

    @property
    def said(self) -> bool:
        """Whether all speech that was sent has been given out."""
        with self._lock:
            return not self._waiting and self._heard >= self._filled

    def sound(self) -> tuple[float, Wave, bool]:
        """Wait until the next piece of sound is due; return its seconds, its samples, and whether it was sent.

        Raises:
            SpeechClosed: ``close`` was called.
        """
        with self._lock:
            while (left := self.due(self._heard / self.rate) - self._clock()) > 0:
                self._wait(left)
            if left < -_STOPPED:
                self.begun -= left
            if self._closed:
                raise SpeechClosed
            while self.laid < self._heard + self.piece:
                self._lay()
            begin, self._heard = self._heard, self._heard + self.piece
            wave, sent = self._between(begin, self._heard), begin < self._filled
            self._forget()
        return begin / self.rate, wave, sent

    def _advance(self, generation: int) -> None:
        """Wait until the next piece is due, and lay it on the clock."""
        with self._lock:
            while True:
                if self._closed:
                    raise SpeechClosed
                if generation != self.generation:
                    raise Rewound
                left = self.begun + (self.laid + self.piece) / self.rate - self._clock()
                if left <= 0:
                    break
                self._wait(left)
            if left < -_STOPPED:
                self.begun -= left
            self._lay()
            if generation != self.generation:
                raise Rewound

    def _lay(self) -> None:
        """Lay the next piece on the clock: speech, or silence where none waits."""
        begins = self._waiting and self._filled < self.laid
        if begins and not self._whole and self._clock() - self._waiting[0].came < _GATHER:
            self._append(np.zeros(self.piece, np.float32), sent=False)
        elif begins and self._fits_before():
            self._replace(max(self._frame, self._heard, self._filled), np.zeros(0, np.float32))
        else:
            self._append(*self._take(self.piece))

    def _fits_before(self) -> bool:
        """Whether so much waits that the utterance can begin where silence lies on the clock already.

        Some must be left over: speech that comes as fast as it is spoken would begin anew after each late piece.
        """
        room = self.laid - max(self._frame, self._heard, self._filled)
        enough = self._seconds_waiting() >= room / self.rate + _GATHER
        return room > 0 and not self.real_time and (self._whole or enough)

    def _replace(self, begin: int, head: Wave) -> None:
        """Replace what lies on the clock from ``begin`` on by ``head`` and what waits."""
        stop = self.laid
        self._kept = self._kept[: max(0, begin - self._first)]
        self._filled = begin
        if len(head):
            self._append(head, sent=True)
        if stop > self.laid:
            self._append(*self._take(stop - self.laid))
        self.generation += 1
        self._lock.notify_all()

    def _take(self, count: int) -> tuple[Wave, bool]:
        """``count`` samples of what waits, followed by silence; and whether any of them was sent."""
        self._catch_up()
        got: list[Wave] = []
        missing = count
        while missing and self._waiting:
            first = self._waiting.popleft()
            self.latency = self.due((self.laid + count - missing) / self.rate) - first.came
            got.append(first.wave[:missing])
            if missing < len(first.wave):
                self._waiting.appendleft(_Waiting(first.wave[missing:], first.came + missing / self.rate))
            missing -= len(got[-1])
        return np.concatenate([*got, np.zeros(missing, np.float32)]), bool(got)

    def _catch_up(self) -> None:
        """Shorten the pauses of live speech that is behind, and leave out whatever is far behind."""
        while self.real_time and (behind := self._seconds_waiting()) > _BEHIND:
            if behind < _FAR_BEHIND and np.abs(self._waiting[0].wave).max(initial=0) > _QUIET:
                return
            self._waiting.popleft()

    def _append(self, wave: Wave, sent: bool) -> None:
        loud = np.flatnonzero(np.abs(wave) > _QUIET)
        if len(loud):
            self._loud = self.laid + int(loud[-1])
        self._kept = np.concatenate([self._kept, wave])
        if sent:
            self._filled = self.laid

    def _between(self, begin: int, stop: int) -> Wave:
        return self._kept[max(0, begin - self._first) : max(0, stop - self._first)]

    def _forget(self) -> None:
        """Drop what was drawn and heard more than a second ago, in steps of a second."""
        done = min(self._frame, self._heard) - self._first - self.rate
        if done > self.rate:
            self._kept, self._first = self._kept[done:], self._first + done

    def _seconds_waiting(self) -> float:
        return sum(len(each.wave) for each in self._waiting) / self.rate

    def _wait(self, seconds: float) -> None:
        self._lock.wait(seconds)
        if self._closed:
            raise SpeechClosed
