"""A conversation for asyncio: what is due comes in order, what is too old is left out, and faults are not swallowed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dithead.inference.live_conversation import LiveSound
from dithead.inference.live_stream import live_stream
from dithead.inference.streaming import LiveFrame


class Talk:
    """A conversation whose frames are drawn at once and shown 0.2 s later, ten a second, beside as many sounds."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.begun, self.fault, self.closed = time.monotonic(), fault, threading.Event()
        self.speech = SimpleNamespace(late=lambda seconds: time.monotonic() - self.begun - seconds - 0.2)

    def frames(self) -> Iterator[LiveFrame]:
        for number in range(1000):
            if self.fault is not None and number == 2:
                raise self.fault
            if self.closed.wait(max(0.0, self.begun + number / 10 - time.monotonic())):
                return
            yield LiveFrame(number, number / 10, None)

    def sounds(self) -> Iterator[LiveSound]:
        for number in range(1000):
            if self.closed.wait(max(0.0, self.begun + 0.2 + number / 10 - time.monotonic())):
                return
            yield LiveSound(number / 10, np.zeros(4, np.float32))

    def close(self) -> None:
        self.closed.set()


def taken(talk: Talk, seconds: float, pause: float = 0.0) -> list[tuple[float, Any]]:
    """What came in so many seconds, each with the moment at which it was taken; ``pause`` comes after the first."""

    async def take() -> list[tuple[float, Any]]:
        got: list[tuple[float, Any]] = []
        async for each in live_stream(talk):
            got.append((time.monotonic() - talk.begun, each))
            await asyncio.sleep(pause if len(got) == 1 else 0)
            if got[-1][0] > seconds:
                break
        return got

    return asyncio.run(take())


def test_frames_and_sounds_come_when_they_are_due():
    talk = Talk()
    got = taken(talk, 0.75)
    assert {type(each) for _, each in got} == {LiveFrame, LiveSound}
    for moment, each in got:
        assert moment >= each.time + 0.2 - 0.01, "not before it is due"
    for kind in (LiveFrame, LiveSound):
        times = [each.time for _, each in got if isinstance(each, kind)]
        assert len(times) > 1
        assert times == sorted(set(times)), "in order, and none twice"


def test_a_slow_consumer_misses_the_frames_that_are_too_old():
    got = taken(Talk(), 0.9, pause=0.45)
    skipped = set(range(6)) - {each.index for _, each in got if isinstance(each, LiveFrame)}
    assert len(skipped) >= 3


def test_leaving_closes_the_conversation():
    talk = Talk()
    taken(talk, 0.25)
    assert talk.closed.wait(5)


def test_a_fault_of_drawing_is_raised():
    with pytest.raises(ZeroDivisionError):
        taken(Talk(ZeroDivisionError()), 5)
