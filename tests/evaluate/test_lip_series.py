"""The arithmetic of the lips, by closed form: each measure must name the defect that was put in."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dithead.evaluate.clip_measures import CONFIDENT, measure_synced
from dithead.evaluate.lip_series import (
    MIN_FRAMES,
    LipSeries,
    acceleration,
    best_lag,
    closures_kept,
    compare_cross,
    compare_self,
    compare_silent,
    correlation,
    partial_correlation,
)

RNG = np.random.default_rng(7)
N = 120


def smooth_noise(seed: int, n: int = N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.convolve(rng.normal(size=n + 8), np.hanning(9) / 4, mode="valid")


def series(openings: np.ndarray, rate: float = 25.0, widths: np.ndarray | None = None) -> LipSeries:
    x = np.stack([np.zeros_like(openings), openings], axis=-1)
    mouth = np.stack([x, -x], axis=1)  # upper and lower lip, (N, 2, 2)
    return LipSeries(np.arange(len(openings)) / rate, openings, openings if widths is None else widths, mouth)


def test_truth_against_itself_is_perfect():
    truth = series(0.1 + 0.05 * smooth_noise(1))
    scores = compare_self(truth, truth)
    assert scores["lip_correlation"] == pytest.approx(1)
    assert scores["lip_gain"] == pytest.approx(1)
    assert scores["lip_velocity_correlation"] == pytest.approx(1)
    assert scores["jitter"] == pytest.approx(1)
    assert (scores["lip_lag"], scores["lmd"], scores["faces_missed"]) == (0, 0, 0)


@pytest.mark.parametrize("lag", [-7, -1, 0, 3, 10])
def test_a_shift_by_k_frames_is_found_as_lag_k(lag):
    long = smooth_noise(2, N + 40)
    truth, made = long[20 : 20 + N], long[20 - lag : 20 - lag + N]  # made[t + lag] == truth[t]
    found, r = best_lag(made, truth)
    assert found == lag
    assert r == pytest.approx(1)


@pytest.mark.parametrize("frames", range(1, 11))
def test_videos_of_few_frames_have_no_lag_and_fail_nothing_else(frames: int) -> None:
    short = series(smooth_noise(2, frames))
    scores = compare_self(short, short)
    assert np.isfinite(scores["lip_lag"]) == (frames == MIN_FRAMES)
    assert scores["lmd"] == 0
    assert np.isnan(compare_cross(short, short, short)["driver_lag"]) == (frames < MIN_FRAMES)


def test_gain_and_slope_read_the_amplitude():
    truth = smooth_noise(3)
    scores = compare_self(series(0.6 * truth), series(truth))
    assert scores["lip_gain"] == pytest.approx(0.6)
    assert scores["lip_slope"] == pytest.approx(0.6)
    assert scores["lip_correlation"] == pytest.approx(1)


def test_slope_falls_with_noise_while_gain_does_not():
    truth, noise = smooth_noise(4), smooth_noise(5)
    scores = compare_self(series(truth + noise), series(truth))
    assert scores["lip_slope"] < scores["lip_gain"]


def test_a_frozen_mouth_correlates_with_nothing():
    scores = compare_self(series(np.full(N, 0.1)), series(smooth_noise(6)))
    assert scores["lip_correlation"] == 0
    assert scores["lip_gain"] == pytest.approx(0)
    assert scores["jitter"] == pytest.approx(0)


def test_missed_frames_are_counted_and_left_out():
    truth = smooth_noise(7)
    made = truth.copy()
    made[10:15] = np.nan
    scores = compare_self(series(made), series(truth))
    assert scores["faces_missed"] == 5
    assert scores["lip_correlation"] == pytest.approx(1)


def test_too_few_frames_is_a_failure_not_a_number():
    made = np.full(N, np.nan)
    made[:5] = np.arange(5)
    assert np.isnan(correlation(made, smooth_noise(8)))


def test_jitter_doubles_when_tremor_of_known_size_is_added():
    t = np.arange(N)
    slow = 0.1 * np.sin(t / 5)
    truth, made = series(slow), series(slow * 2)
    assert compare_self(made, truth)["jitter"] == pytest.approx(2)


def test_cross_audio_separates_driver_and_source():
    driver, source = smooth_noise(9), smooth_noise(10)
    follows, leaks = series(driver), series(driver + source)
    good = compare_cross(follows, series(driver), series(source))
    bad = compare_cross(leaks, series(driver), series(source))
    assert good["driver_correlation"] == pytest.approx(1)
    assert good["source_partial"] == pytest.approx(0, abs=1e-6)
    assert bad["source_partial"] > 0.9


def test_partial_correlation_equals_correlation_of_residuals():
    a, b, g = RNG.normal(size=(3, N))
    a, b = a + g, b - 0.5 * g

    def rest(x):
        return x - np.polyval(np.polyfit(g, x, 1), g)

    assert partial_correlation(a, b, g) == pytest.approx(np.corrcoef(rest(a), rest(b))[0, 1])


def test_silence_is_the_share_of_motion_left():
    source = smooth_noise(11)
    assert compare_silent(series(0.1 * source), series(source))["aperture_ratio"] == pytest.approx(0.1)


def test_another_frame_rate_is_compared_by_time():
    t24, t25 = np.arange(120) / 24, np.arange(125) / 25

    def wave(t):
        return np.sin(2 * np.pi * 0.8 * t)

    scores = compare_self(series(wave(t25), 25), series(wave(t24), 24))
    assert scores["lip_correlation"] > 0.999
    assert scores["lip_lag"] == 0


def speech_at(rate: float, late: float = 0.0, seed: int = 2) -> LipSeries:
    """Ten seconds of speech, ``late`` seconds late, as a video of that frame rate shows it, with noisy landmarks."""
    knots = np.arange(0, 10.5, 0.12)
    heights = np.clip(np.random.default_rng(1).normal(0.08, 0.07, len(knots)), 0, None)
    times = np.arange(int(10 * rate)) / rate
    around = times[:, None] - late + np.linspace(-0.04, 0.04, 9)
    made = series(np.interp(around, knots, heights).mean(axis=1), rate)
    return replace(made, mouth=made.mouth + np.random.default_rng(seed).normal(0, 0.001, made.mouth.shape))


@pytest.mark.parametrize("rate", [24, 30, 50, 60])
@pytest.mark.parametrize(("late", "frames"), [(0.0, 0), (0.08, 2), (0.24, 6)])
def test_the_same_motion_measures_the_same_at_every_frame_rate(rate: float, late: float, frames: int) -> None:
    truth = speech_at(25, seed=3)
    alike, scores = compare_self(speech_at(25, late), truth), compare_self(speech_at(rate, late), truth)
    assert scores["lip_lag"] == alike["lip_lag"] == frames, "in frames of the truth"
    assert scores["lip_lag_correlation"] > 0.98
    assert scores["lip_velocity_correlation"] == pytest.approx(alike["lip_velocity_correlation"], abs=0.05)
    assert min(scores["closures_kept"], scores["closures_true"]) > 0.8, "all but one of seven at least"
    assert scores["jitter"] == pytest.approx(alike["jitter"], rel=0.15)
    assert scores["lmd"] == pytest.approx(alike["lmd"], abs=0.001)


def test_jitter_is_seen_at_another_frame_rate_and_taken_at_the_slower_one() -> None:
    calm, fast = speech_at(25), speech_at(50)
    shaking = replace(fast, mouth=fast.mouth + np.random.default_rng(5).normal(0, 0.02, fast.mouth.shape))
    assert compare_self(shaking, calm)["jitter"] > 2
    assert compare_self(calm, fast)["jitter"] == pytest.approx(1, rel=0.15), "a slower tool is no calmer than the truth"


def test_frames_without_a_face_are_counted_as_the_video_has_them() -> None:
    gone = speech_at(50)
    gone.openings[100:110] = np.nan
    scores = compare_self(gone, speech_at(25))
    assert scores["faces_missed"] == 10
    assert scores["lip_lag_correlation"] > 0.98


@pytest.mark.parametrize(("frames", "rate"), [(N, 25), (N - 7, 25), (N, 25.02)])
def test_equal_frame_rates_are_compared_at_the_generated_frames(frames: int, rate: float) -> None:
    """To the last bit, of other lengths, too, so that numbers of earlier reports stay comparable."""
    truth, made = series(smooth_noise(1)), series(smooth_noise(2)[:frames], rate)
    true, scores = truth.at_times(made.times), compare_self(made, truth)
    assert scores["lip_correlation"] == correlation(made.openings, true.openings)
    assert (scores["lip_lag"], scores["lip_lag_correlation"]) == best_lag(made.openings, true.openings)
    assert scores["jitter"] == acceleration(made) / acceleration(truth)
    crossed = compare_cross(made, series(smooth_noise(3), 30), truth)
    assert crossed["source_correlation"] == scores["lip_correlation"]


@pytest.mark.parametrize("rate", [30, 60])
def test_with_other_speech_the_lag_is_in_frames_of_the_source_at_every_rate(rate: float) -> None:
    driver, source = speech_at(25), series(smooth_noise(4, 250))
    scores = compare_cross(speech_at(rate, 0.24), driver, source)
    assert scores["driver_lag"] == 6
    assert scores["driver_lag_correlation"] > 0.98


@pytest.mark.parametrize("late", [-3, 2])
def test_lips_that_follow_a_late_sound_are_compared_with_those_of_its_moment(late):
    """The truth's sound runs ``late`` frames late: lips that speak it do so ``late`` frames after the truth's."""
    long = smooth_noise(6, N + 40)
    truth = SimpleNamespace(lips=series(long[20 : 20 + N]))
    made = SimpleNamespace(lips=series(long[20 - late : 20 - late + N]))
    sure = {"sync_offset": float(late), "sync_confidence": CONFIDENT + 0.01}
    plain = correlation(made.lips.openings, truth.lips.openings)
    assert measure_synced(made, truth, sure)["lip_synced_correlation"] == pytest.approx(1)
    for doubtful in ({**sure, "sync_confidence": CONFIDENT - 0.01}, {}):
        assert measure_synced(made, truth, doubtful)["lip_synced_correlation"] == pytest.approx(plain)
    assert plain < 0.9


@pytest.mark.parametrize("late", [0, 3])
def test_the_width_is_compared_at_the_lag_of_the_opening_and_apart_from_it(late: int) -> None:
    openings, widths, other = (smooth_noise(seed, N + 20) for seed in (20, 21, 22))
    truth = series(openings[10 : 10 + N], widths=widths[10 : 10 + N])
    rounded = series(openings[10 - late : 10 - late + N], widths=0.5 * widths[10 - late : 10 - late + N])
    scores = compare_self(rounded, truth)
    assert scores["lip_lag"] == late
    assert scores["lip_width_correlation"] == pytest.approx(1)
    assert scores["lip_width_gain"] == pytest.approx(0.5, rel=0.1)
    same_for_all = compare_self(series(truth.openings, widths=other[:N]), truth)
    assert same_for_all["lip_correlation"] == pytest.approx(1)
    assert abs(same_for_all["lip_width_correlation"]) < 0.4


def speech_with_closures(at: list[int], shut: float = 0.005, n: int = 60) -> np.ndarray:
    """Lips that are open by 0.1, at rest before frame 5 and after frame ``n - 5``, and shut at some frames."""
    openings = np.full(n, 0.1)
    openings[:5] = openings[-5:] = 0.005
    openings[at] = shut
    return openings


def test_closures_are_kept_within_a_frame_and_by_lips_that_open_again() -> None:
    truth = speech_with_closures([10, 20, 30, 40])
    assert closures_kept(truth, truth) == 1
    assert closures_kept(speech_with_closures([9, 21, 32]), truth) == 0.5, "one early, one late, one too late, one none"
    assert closures_kept(speech_with_closures([10, 20, 30, 40], shut=0.03), truth) == 0, "narrow is not shut"
    assert closures_kept(np.full(60, 0.005), truth) == 0, "never open"
    assert np.isnan(closures_kept(truth, speech_with_closures([]))), "rest before and after speech is no closure"


def test_lips_that_close_all_the_time_keep_every_closure_but_few_of_theirs_are_true() -> None:
    truth, chatter = speech_with_closures([10, 30]), speech_with_closures([10, 15, 20, 25, 30, 35, 40, 45])
    found = compare_self(series(chatter), series(truth), max_lag=0)
    assert (found["closures_kept"], found["closures_true"]) == (1.0, 0.25)
    late = np.roll(truth, 2)
    assert compare_self(series(late), series(truth))["closures_true"] == 1.0, "at the best lag"


def test_a_long_closure_is_one_and_kept_by_a_short_one_at_its_lowest_frame() -> None:
    truth = speech_with_closures([20, 21, 22, 23, 24], shut=0.015)
    truth[23] = 0.005
    assert closures_kept(speech_with_closures([22]), truth) == 1
    assert closures_kept(speech_with_closures([20]), truth) == 0
    truth[30], truth[29] = 0.005, np.nan
    assert closures_kept(speech_with_closures([22]), truth) == 1, "beside a missed frame nothing is known"
