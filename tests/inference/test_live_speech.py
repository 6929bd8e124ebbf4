"""Speech leaves as it came, with the pictures, and stops at once when it is cleared."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from dithead.inference.live_speech import LiveSpeech
from dithead.inference.streaming import LiveFrame

RATE = 24000


class Head:
    """A head that draws nothing: a frame of 25 a second for each 40 ms of speech, 0.2 s after it."""

    def __init__(self, dropped=()):
        self.clip = SimpleNamespace(info=SimpleNamespace(fps=Fraction(25)))
        self.dropped, self.heard = dropped, []

    def frames(self, chunks, *, most_late=None):
        samples = index = 0
        for chunk in chunks:
            self.heard.append(chunk)
            samples += len(chunk)
            while samples / 16000 >= index / 25 + 0.2:
                if index not in self.dropped:
                    yield LiveFrame(index, index / 25, None)
                index += 1


def collect(live, until):
    """Take steps until a condition on them holds."""
    steps = []
    for step in live.steps():
        steps.append(step)
        if until(steps):
            live.close()
    return steps


@pytest.mark.parametrize("dropped", [(), (2, 3)])
def test_speech_comes_out_as_it_went_in_and_its_end_is_told(dropped):
    live = LiveSpeech(Head(dropped), RATE)
    said = np.linspace(0.1, 0.9, 5000).astype(np.float32)
    for part in np.array_split(said, 7):
        live.push(part)
    live.end_utterance()
    steps = collect(live, lambda steps: steps[-1].ended)
    out = np.concatenate([step.speech for step in steps])
    assert np.array_equal(out[: len(said)], said)
    assert not out[len(said) :].any()
    for step in steps:
        assert step.speaking == bool(step.speech.any())
    before = sum(len(step.speech) for step in steps if step.frame.index < 5)
    assert before == pytest.approx(5 * 0.04 * RATE, abs=1), "pictures and speech go at one pace"
    assert sum(step.ended for step in steps) == 1
    heard = np.concatenate(live.head.heard)
    assert heard[200:3000].min() > 0.05, "the head hears the same speech, at 16 kHz"


def test_clearing_silences_what_waits_and_what_is_being_drawn():
    live = LiveSpeech(Head(), RATE)
    live.push(np.full(RATE * 5, 0.5, np.float32))
    live.end_utterance()
    steps = []
    for step in live.steps():
        steps.append(step)
        if len(steps) == 3:
            live.clear()
        if len(steps) == 12:
            live.close()
    assert all(step.speaking for step in steps[:3])
    assert not any(step.speech.any() or step.speaking or step.ended for step in steps[3:12])


def test_the_stream_of_an_event_loop_ends_with_its_loop():
    async def run():
        live = LiveSpeech(Head(), RATE)
        live.push(np.full(960, 0.5, np.float32))
        async for step in live.stream():
            assert step.speech.any()
            break
        return live

    assert isinstance(asyncio.run(run()), LiveSpeech)
