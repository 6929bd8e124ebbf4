"""The offset of a source's own sound is found, or said to be unsure, before its lips are calibrated."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.mouth_strips import LENGTH, SIDE, MouthStrip, MouthStrips
from dithead.inference.synthesise import lip_calibration
from dithead.inference.synthesise.lip_calibration import calibrate_tracklets
from dithead.inference.synthesise.source_sync import LEAST, REACH, SourceSync, combine, measure_source_sync
from dithead.media.video import read_frames

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
FACE = np.full((478, 2), 80, np.float32)


def add(strips: MouthStrips, times) -> None:
    picture = np.zeros((160, 160, 3), np.uint8)
    for time in times:
        picture[100:130, 60:100] = int(time * 10) % 250
        strips.add(picture, np.eye(2, 3), FACE, 160, float(time))


@pytest.fixture(scope="module")
def strips() -> list[MouthStrip]:
    """Four seconds of a presenter, as the first pass keeps them."""
    frames = islice(read_frames(PRESENTERS / "mia.mp4"), 100)
    analysis = analyse_video(frames, AnalysisSettings(160))
    return [strip for tracklet in analysis.tracklets for strip in tracklet.mouth_strips]


@pytest.mark.parametrize("late", [0, 3, 5, 12, -3, -5, -12])
def test_a_moved_sound_is_found(strips, late):
    sync = measure_source_sync(PRESENTERS / "mia.mp4", strips, -late / 25)
    assert sync is not None
    assert sync.sure
    assert abs(sync.frames - late) <= 1
    assert bool(sync.remark) == (abs(sync.frames) > 1)
    if late > 1:
        assert "late" in sync.remark
    if late < -1:
        assert "early" in sync.remark


def test_another_speech_is_not_theirs(strips):
    other = measure_source_sync(PRESENTERS / "ben.mp4", strips)
    assert other is not None
    assert not other.sure
    assert not other.remark


def test_too_little_tells_nothing(strips):
    few = [MouthStrip(s.times[:20], s.mouths[:20], s.centres[:20]) for s in strips]
    assert measure_source_sync(PRESENTERS / "mia.mp4", few) is None
    assert measure_source_sync(PRESENTERS / "mia.mp4", []) is None


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_strips_have_25_mouths_a_second_whatever_the_rate(rate):
    strips = MouthStrips()
    add(strips, np.arange(4 * rate) / rate)
    [strip] = strips.close()
    first, mouths, _ = strip.even()
    assert first == 0
    assert 97 <= len(mouths) <= 101
    assert mouths.shape[1:] == (SIDE, SIDE)


def test_of_a_long_tracklet_few_strips_are_kept_and_gaps_separate_them():
    strips = MouthStrips()
    add(strips, np.arange(30 * LENGTH) / 25)
    starts = [round(strip.times[0] * 25) // LENGTH for strip in strips.close()]
    assert starts == [0, 1, 4, 16]
    apart = MouthStrips()
    add(apart, [*np.arange(30) / 25, *(2 + np.arange(30) / 25)])
    assert [len(s.times) for s in apart.close()] == [30, 30]


def test_strips_in_which_nobody_speaks_do_not_count():
    speaking, silent = np.full(2 * REACH + 1, 1.3), np.full(2 * REACH + 1, 1.3)
    speaking[REACH + 4] -= 0.3
    silent[REACH - 9] -= 0.02
    sync = combine(np.stack([speaking, silent, silent]), np.array([50.0, 125.0, 125.0]))
    assert sync.frames == 4
    assert sync.sure
    assert not SourceSync(4, 0.3, LEAST - 1).sure
    assert not SourceSync(REACH, 0.3, 500).sure


@pytest.mark.parametrize(("late", "sure"), [(0, True), (5, True), (-12, True), (5, False)])
def test_calibration_is_at_the_offset_or_not_at_all(monkeypatch, late, sure):
    sync = SourceSync(late, 0.3 if sure else 0.02, 200)
    seen = []
    monkeypatch.setattr(lip_calibration, "measure_source_sync", lambda *_: sync)
    monkeypatch.setattr(lip_calibration, "calibrate", lambda _, __, times: seen.append(times))
    tracklet = SimpleNamespace(mouth_strips=[], sample_times=np.array([1.0, 2.0]), calibration=None)
    analysis = SimpleNamespace(tracklets=[tracklet], remarks=[])
    clip = SimpleNamespace(path=None, info=SimpleNamespace(has_audio=True), start=10.0)
    calibrate_tracklets(analysis, None, clip, "speech")
    assert [t.tolist() for t in seen] == ([[11 + late / 25, 12 + late / 25]] if sure else [])
    assert len(analysis.remarks) == (sure and late != 0)
