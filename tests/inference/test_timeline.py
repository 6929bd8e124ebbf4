"""The schedule of source frames for every way to fit lengths, without a face or a model."""

from __future__ import annotations

import gc
from fractions import Fraction

import av
import numpy as np
import pytest

from dithead.errors import ConfigError, MediaError
from dithead.inference.source import timeline
from dithead.inference.source.timeline import SourceClip, schedule
from dithead.media.video import probe, read_span

STAMPS = [0, 40, 70, 150, 190]  # milliseconds


@pytest.fixture
def clip(footage):
    frames = [np.full((32, 32, 3), 40 * k + 20, np.uint8) for k in range(5)]
    path = footage(frames, stamps=STAMPS, time_base=Fraction(1, 1000))
    return SourceClip(path, probe(path))


def scheduled(clip: SourceClip, fit: str, seconds: float) -> list[tuple[int, int]]:
    """(index, time in ms) of each output frame; checks that the pictures are those of the index."""
    items = list(schedule(clip, np.array(STAMPS), fit, seconds))
    for item in items:
        assert abs(int(item.frame.pixels[16, 16, 0]) - (40 * item.index + 20)) <= 2
    return [(item.index, item.pts) for item in items]


ONCE = list(enumerate(STAMPS))
STEP = 47  # ms a frame on average, which the last one is held


@pytest.mark.parametrize("seconds", [0.05, 0.2, 5.0])
def test_silence_keeps_exactly_the_video(clip, seconds):
    assert scheduled(clip, "silence", seconds) == ONCE


@pytest.mark.parametrize("fit", ["loop", "bounce", "freeze"])
def test_short_speech_keeps_exactly_the_video(clip, fit):
    assert scheduled(clip, fit, 0.1) == ONCE


def test_cut_ends_with_the_shorter(clip):
    assert scheduled(clip, "cut", 0.1) == ONCE[:3]
    assert scheduled(clip, "cut", 9.0) == ONCE
    assert scheduled(clip, "cut", 0.0001) == ONCE[:1]


def test_loop_repeats_with_the_same_rhythm(clip):
    items = scheduled(clip, "loop", 0.7)
    period = items[5][1]
    assert 190 < period <= 190 + 60
    assert items[:5] == ONCE
    assert items[5:10] == [(k, t + period) for k, t in ONCE]
    assert items[-1][1] < 700 <= items[-1][1] + period


def test_bounce_goes_back_and_forth_without_doubling_the_ends(clip):
    items = scheduled(clip, "bounce", 0.8)
    assert [k for k, _ in items] == [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1, 0, 1][: len(items)]
    times = [t for _, t in items]
    assert times == sorted(set(times))
    assert times[5:9] == [230, 310, 340, 380]  # mirrored at 190
    assert times[-1] < 800


def test_freeze_holds_the_last_frame(clip):
    items = scheduled(clip, "freeze", 0.5)
    assert {k for k, _ in items[5:]} == {4}
    assert np.ptp(np.diff([t for _, t in items[4:]])) == 0
    assert items[-1][1] < 500


def test_a_part_counts_from_its_own_beginning(clip):
    part = SourceClip(clip.path, clip.info, start=0.03, end=0.16)
    assert [(f.index, f.pts) for f in part.frames()] == [(0, 0), (1, 30), (2, 110)]
    backwards = list(part.frames_backwards(np.array([0, 30, 110])))
    assert [(f.index, f.pts) for f in backwards] == [(2, 110), (1, 30), (0, 0)]
    assert abs(int(backwards[0].pixels[0, 0, 0]) - 140) <= 2


def test_a_span_is_found_by_seeking(clip):
    assert [f.pts for f in read_span(clip.path, 70, 150)] == [70, 150]


def test_an_empty_part_is_refused(clip):
    with pytest.raises(ConfigError, match="leave nothing"):
        SourceClip(clip.path, clip.info, start=2, end=1)
    with pytest.raises(MediaError, match=r"source\.mkv: has no frame after 9 s"):
        list(SourceClip(clip.path, clip.info, start=9).frames())


def test_what_was_played_backwards_is_given_back(clip, monkeypatch):
    """The opening frame of each span lies in a cycle, and with it would stay the buffers of its decoder."""
    monkeypatch.setattr(timeline, "_BACKWARDS", 1)
    gc.collect()
    gc.disable()
    try:
        held = [
            sum(type(each) is av.VideoFrame for each in gc.get_objects())
            for _ in clip.frames_backwards(np.array(STAMPS))
        ]
    finally:
        gc.enable()
    assert held[-1] == held[1]
