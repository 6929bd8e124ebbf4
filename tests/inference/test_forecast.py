"""How long a job will take is learned from jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dithead.inference import forecast
from dithead.options import GenerateJob

JOB = GenerateJob("v.mp4", "a.wav", "o.mp4")
PIXELS = 512 * 512


@pytest.fixture(autouse=True)
def _usual_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DITHEAD_CACHE", str(tmp_path))
    monkeypatch.setattr(forecast, "_probe", lambda: forecast._PROBE_SECONDS)


def took(frames: int, seconds: float, resumed: int = 0) -> None:
    clip = SimpleNamespace(info=SimpleNamespace(width=512, height=512))
    forecast.remember_speed(clip, JOB, SimpleNamespace(frames=frames, seconds=seconds, resumed=resumed))  # type: ignore[arg-type]


def test_a_long_job_is_not_judged_by_how_long_a_short_one_takes_to_start() -> None:
    took(100, forecast._START + 5.0)
    seconds, known = forecast.forecast_seconds(10_000, PIXELS, JOB)
    assert known
    assert seconds == pytest.approx(forecast._START + 500.0, rel=1e-3)


def test_a_slow_hour_is_half_forgotten_with_each_job() -> None:
    took(100, forecast._START + 100.0)
    for _ in range(4):
        took(100, forecast._START + 5.0)
    assert forecast.forecast_seconds(100, PIXELS, JOB)[0] < forecast._START + 12


def test_frames_that_an_earlier_call_had_made_took_no_time() -> None:
    took(9_000, forecast._START + 450.0)
    took(9_000, forecast._START + 10.0, resumed=8_800)
    seconds, _ = forecast.forecast_seconds(1_000, PIXELS, JOB)
    assert seconds == pytest.approx(forecast._START + 50.0, rel=0.01)
    took(9_000, forecast._START, resumed=9_000)
    assert forecast.forecast_seconds(1_000, PIXELS, JOB)[0] == seconds


def test_without_a_record_a_machine_half_as_fast_takes_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, known = forecast.forecast_seconds(250, PIXELS, JOB)
    assert not known
    monkeypatch.setattr(forecast, "_probe", lambda: 2 * forecast._PROBE_SECONDS)
    assert forecast.forecast_seconds(250, PIXELS, JOB)[0] == pytest.approx(2 * usual)
    assert forecast.forecast_seconds(250, 4 * PIXELS, replace(JOB, steps=4))[0] > 2 * usual


def test_jobs_of_a_few_frames_and_quick_ones_teach_nothing_absurd() -> None:
    took(5, 60.0)
    assert not forecast.forecast_seconds(100, PIXELS, JOB)[1]
    took(100, 1.0)
    seconds, known = forecast.forecast_seconds(100, PIXELS, JOB)
    assert known
    assert 0 < seconds < 2 * forecast._START
