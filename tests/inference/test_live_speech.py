"""Speech on the clock: silence where none came, fast utterances begin at once, interruptions end at once."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.inference.live_speech import LiveSpeech, Rewound, SpeechClosed

RATE, PIECE = 1000, 40


class Bench:
    """A clock that stands still until it is moved, and speech with 0.6 s of look-ahead and 0.2 s for drawing."""

    def __init__(self, **options) -> None:
        self.now = 50.0
        self.speech = LiveSpeech(RATE, 0.6, 0.2, clock=lambda: self.now, **options)
        self.heard = np.zeros(0, np.float32)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, drawing and hearing what is due."""
        for _ in range(round(seconds / 0.02)):
            self.now = round(self.now + 0.02, 6) + 1e-6  # so that no rounding makes a piece wait
            while self.speech.laid + PIECE <= (self.now - self.speech.begun) * RATE:
                try:
                    self.speech.reach((self.speech.laid + PIECE) / RATE, self.speech.generation)
                except Rewound:
                    continue
            self.speech.draws(max(0.0, self.now - self.speech.begun - 0.6))
            while self.now >= self.speech.due(len(self.heard) / RATE):
                time, wave, sent = self.speech.sound()
                assert sent or not wave.any()
                assert round(time * RATE) == len(self.heard), "nothing is left out and nothing comes twice"
                self.heard = np.concatenate([self.heard, wave])

    def first_heard(self) -> float:
        """When, by the clock, the first sample that is no silence is heard."""
        return self.speech.due(int(np.flatnonzero(self.heard)[0]) / RATE)


def test_silence_is_heard_where_nothing_comes():
    bench = Bench()
    bench.pass_time(3.0)
    assert len(bench.heard) == pytest.approx(2200, abs=PIECE)
    assert not bench.heard.any()
    assert bench.speech.is_quiet(0.0)


def test_live_speech_is_heard_whole_and_after_the_delay():
    bench, spoken = Bench(real_time=True), np.linspace(0.1, 0.9, 1000, dtype=np.float32)
    bench.pass_time(1.0)
    for k in range(25):
        bench.speech.push(spoken[k * 40 : k * 40 + 40])
        bench.pass_time(0.04)
    bench.pass_time(2.0)
    assert np.array_equal(bench.heard[bench.heard > 0], spoken)
    begun = 51.0
    assert bench.first_heard() - begun == pytest.approx(0.8 + 0.12, abs=0.07), "the delay, and the time to gather"
    assert bench.speech.latency == pytest.approx(0.92, abs=0.07)


@pytest.mark.parametrize("real_time", [True, False])
def test_speech_that_comes_as_it_is_spoken_is_drawn_once_however_unevenly_it_comes(real_time):
    bench, rng = Bench(real_time=real_time), np.random.default_rng(0)
    bench.pass_time(1.0)
    spoken, sent = np.linspace(0.1, 0.9, 4000, dtype=np.float32), 0
    while sent < 4000:
        bench.speech.push(spoken[sent : sent + 40])
        sent += 40
        bench.pass_time(0.04 if rng.random() < 0.5 else 0.02)
        bench.pass_time(0.0 if rng.random() < 0.5 else 0.02)
    bench.pass_time(2.0)
    assert bench.speech.generation <= 1, "what was drawn ahead stays"
    assert np.array_equal(bench.heard[bench.heard > 0], spoken)


def test_an_utterance_that_comes_at_once_begins_where_nothing_is_drawn_yet():
    bench, spoken = Bench(), np.full(2000, 0.5, np.float32)
    bench.pass_time(2.0)
    came = bench.now
    bench.speech.push(spoken)
    bench.pass_time(4.0)
    assert np.count_nonzero(bench.heard) == 2000
    assert bench.first_heard() - came < 0.2 + 0.12 + 0.06, "only the drawing and the gathering are waited for"


def test_a_short_utterance_begins_at_once_when_it_is_whole():
    bench = Bench()
    bench.pass_time(2.0)
    came = bench.now
    bench.speech.push(np.full(200, 0.5, np.float32))
    bench.speech.finish()
    bench.pass_time(2.0)
    assert np.count_nonzero(bench.heard) == 200
    assert bench.first_heard() - came < 0.2 + 0.06


def test_an_interruption_is_heard_at_once_and_fades():
    bench = Bench()
    bench.pass_time(1.0)
    bench.speech.push(np.full(5000, 0.5, np.float32))
    bench.pass_time(2.0)
    stopped, before = bench.now, bench.speech.generation
    bench.speech.interrupt()
    assert bench.speech.generation > before, "what is drawn ahead is drawn anew"
    bench.pass_time(3.0)
    last = int(np.flatnonzero(bench.heard)[-1])
    assert bench.speech.due(last / RATE) - stopped < 0.2 + 0.06
    assert np.abs(np.diff(bench.heard[last - 20 :])).max() < 0.2, "no click"
    bench.speech.push(np.full(400, 0.25, np.float32))
    bench.speech.finish()
    bench.pass_time(2.0)
    assert np.count_nonzero(bench.heard == 0.25) == 400, "the next utterance is spoken"


def test_speech_that_was_drawn_is_not_changed_and_the_rest_is_drawn_again():
    bench = Bench()
    bench.pass_time(1.0)
    generation = bench.speech.generation
    pieces = bench.speech.pieces(0, generation)
    assert len(next(pieces)) == 1000
    bench.speech.interrupt()
    with pytest.raises(Rewound):
        next(pieces)


def test_a_microphone_that_is_behind_catches_up_in_its_pauses():
    bench = Bench(real_time=True)
    bench.pass_time(0.5)
    loud, quiet = np.full(200, 0.5, np.float32), np.zeros(200, np.float32)
    for wave in (loud, loud, quiet, quiet, loud, quiet, quiet):
        bench.speech.push(wave)
    bench.pass_time(3.0)
    assert np.count_nonzero(bench.heard) == 600, "no word is lost"
    for _ in range(20):
        bench.speech.push(loud)
    bench.pass_time(0.3)
    assert bench.speech.latency < 0.8 + 1.6, "but nothing waits without end"


def test_too_much_is_refused_and_a_machine_that_slept_goes_on():
    bench = Bench()
    with pytest.raises(ConfigError, match="wait already"):
        bench.speech.push(np.zeros(301 * RATE, np.float32))
    bench.now += 500.0
    bench.pass_time(1.0)
    assert bench.speech.laid < 3 * RATE, "the sleep is not made up for"
    bench.speech.close()
    with pytest.raises(SpeechClosed):
        bench.speech.reach(1e9, bench.speech.generation)
