"""Places time stamps on one axis that only grows, also where a file's clock restarts or leaps.

Recordings of streams, phones and broadcasts are joined from parts, each with a clock of its own. Where a stamp goes
back by more than a tenth of a second, or forward by more than any recording lasts, the clock has changed, and what
follows is placed directly after what came before. Smaller steps back are errors of a muxer: the frame moves on by a
tick.
"""

from __future__ import annotations

from fractions import Fraction

from dithead.limits import MAX_SECONDS

RESTART = 0.1
"""Seconds that a stamp must go back to mean that the clock was restarted (our choice)."""
_ONE_WRONG = 1.0  # seconds after the last good time within which a stamp by the earlier clock is believed (our choice)
REMARK = "its clock jumps; the parts follow one another"
"""What a result says of a source whose clock restarts or leaps."""


class ClockJumps:
    """Corrects times (in seconds, or in ticks of ``unit`` seconds) for changes of the clock."""

    def __init__(self, unit: float = 1.0) -> None:
        self._back, self._ahead, self._near = RESTART / unit, MAX_SECONDS / unit, _ONE_WRONG / unit
        self._offset = self._earlier = 0.0
        self.jumped = False  # whether the last time began a new clock

    def placed(self, time: float, last: float, expected: float) -> float:
        """Return a time on the common axis.

        Args:
            time: The time by the file's clock.
            last: The time, on the common axis, of what came before.
            expected: Where on the common axis this should lie if it follows directly.
        """
        here, before = time + self._offset, time + self._earlier
        self.jumped = not self._fits(here, last)
        if self._offset != self._earlier and last < before < last + self._near and abs(here - last) > self._near:
            self._offset, self.jumped = self._earlier, False  # one stamp was wrong, not the clock
            return before
        if self.jumped:
            self._earlier, self._offset = self._offset, expected - time
        return time + self._offset

    def _fits(self, time: float, last: float) -> bool:
        return last - self._back <= time <= last + self._ahead


class FrameTimes:
    """Gives each frame of a video its tick, counted from the first frame and always growing."""

    def __init__(self, time_base: Fraction, step: int) -> None:
        self._jumps, self._step = ClockJumps(float(time_base)), step
        self._start: int | None = None
        self.last = -1

    @property
    def jumped(self) -> bool:
        """Whether the clock changed at the last frame."""
        return self._jumps.jumped

    def place(self, stamp: int | None) -> int:
        """Return the tick of the next frame, whose time stamp by the file is ``stamp`` (None: unknown)."""
        if self._start is None:
            self._start = stamp or 0
            self.last = 0
            return 0
        expected = self.last + self._step
        if stamp is None:
            self.last = expected
        else:
            placed = round(self._jumps.placed(stamp - self._start, self.last, expected))
            self.last = max(placed, self.last + 1)  # equal or backward stamps would break every writer
        return self.last
