"""What the lips of two videos have to do with each other: pure arithmetic on series over time.

A missed frame is NaN and lends no weight to anything. Letters: N frames, P mouth landmarks. Lags are
frames of the generated video, positive when it runs late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_LAG = 10  # frames searched to either side for the best lag
FEWEST_FRAMES = 10  # below this many usable frames a correlation is not a measurement
_STILL = 1e-9  # a standard deviation below this is none

Series = NDArray[np.float64]
Measures = dict[str, float]  # NaN where the measurement failed


@dataclass(frozen=True)
class LipSeries:
    """The lips of one video: aperture (N,), mouth landmarks (N, P, 2), times (N,) in seconds.

    Both are in units of the eyes' distance; the landmarks are aligned on eyes and nose (no head motion).
    """

    times: Series
    aperture: Series
    mouth: NDArray[np.float64]

    @property
    def missed(self) -> int:
        """Frames in which no face was found."""
        return int(np.isnan(self.aperture).sum())

    def on_clock(self, times: Series) -> LipSeries:
        """This series read at other times (M,): linear between frames, NaN outside and beside a miss."""
        if len(times) == len(self.times) and np.allclose(times, self.times, atol=1e-3):
            return self
        flat = self.mouth.reshape(len(self.times), -1)
        columns = [_at(self.times, column, times) for column in np.column_stack([self.aperture, flat]).T]
        table = np.stack(columns, axis=1)
        return LipSeries(times, table[:, 0], table[:, 1:].reshape(len(times), *self.mouth.shape[1:]))


def compare(generated: LipSeries, truth: LipSeries, max_lag: int = MAX_LAG) -> Measures:
    """Self-reenactment: how far the lips of ``generated`` are those of ``truth``.

    ``lip_gain`` is the ratio of standard deviations, ``lip_slope`` the regression slope of generated on
    truth, ``lmd`` the mean distance of the mouth's landmarks, ``jitter`` the ratio of their accelerations.
    """
    theirs = truth.on_clock(generated.times)
    a, b = generated.aperture, theirs.aperture
    lag, at_lag = best_lag(a, b, max_lag)
    r, gain = correlation(a, b), spread_ratio(a, b)
    return {
        "lip_correlation": r,
        "lip_lag": lag,
        "lip_lag_correlation": at_lag,
        "lip_gain": gain,
        "lip_slope": r * gain,
        "lip_velocity_correlation": correlation(np.diff(a), np.diff(b)),
        "lmd": landmark_distance(generated.mouth, theirs.mouth),
        "jitter": jitter_ratio(generated, truth),
        "faces_missed": float(generated.missed),
    }


def compare_cross(generated: LipSeries, driver: LipSeries, source: LipSeries) -> Measures:
    """Another clip's audio: do the lips follow ``driver`` (that audio's own video) or still ``source``?

    ``coupling`` is what driver and source share by chance. The partial correlations take it out: with the
    source's lips given the driver's (leak), and with the driver's given the source's. ``source_chance`` is what the
    former reaches in size once in twenty times by chance: that of the source's lips moved along in time.
    """
    g = generated.aperture
    d, s = driver.on_clock(generated.times).aperture, source.on_clock(generated.times).aperture
    lag, at_lag = best_lag(g, d)
    return {
        "driver_correlation": correlation(g, d),
        "driver_lag": lag,
        "driver_lag_correlation": at_lag,
        "driver_gain": spread_ratio(g, d),
        "source_correlation": correlation(g, s),
        "source_partial": partial_correlation(g, s, d),
        "source_chance": chance_partial(g, s, d),
        "driver_partial": partial_correlation(g, d, s),
        "coupling": correlation(d, s),
        "faces_missed": float(generated.missed),
    }


def compare_silent(generated: LipSeries, source: LipSeries) -> Measures:
    """Silence: the lips should rest. ``aperture_ratio``: their deviation over the speaking source's."""
    theirs = source.on_clock(generated.times).aperture
    return {
        "aperture_ratio": spread_ratio(generated.aperture, theirs),
        "aperture_mean": mean_of(generated.aperture),
        "source_correlation": correlation(generated.aperture, theirs),
        "faces_missed": float(generated.missed),
    }


def correlation(a: Series, b: Series) -> float:
    """Pearson's r over the frames both have: 0 if ``a`` stands still, NaN if ``b`` does or frames are few."""
    pairs = np.stack([a, b])[:, np.isfinite(a) & np.isfinite(b)]
    if pairs.shape[1] < FEWEST_FRAMES or pairs[1].std() < _STILL:
        return float("nan")
    if pairs[0].std() < _STILL:
        return 0.0
    return float(np.corrcoef(pairs)[0, 1])


def best_lag(a: Series, b: Series, max_lag: int = MAX_LAG) -> tuple[float, float]:
    """The lag (frames) at which a[t + lag] follows b[t] best, and the correlation there; NaN if undefined."""
    scores = {lag: correlation(*_shifted(a, b, lag)) for lag in range(-max_lag, max_lag + 1)}
    known = [lag for lag, r in scores.items() if np.isfinite(r)]
    if not known:
        return float("nan"), float("nan")
    best = max(known, key=lambda lag: (scores[lag], -abs(lag)))
    return float(best), scores[best]


def partial_correlation(a: Series, b: Series, given: Series) -> float:
    """Correlation of ``a`` with ``b`` once what both owe linearly to ``given`` is taken away."""
    ok = np.isfinite(a) & np.isfinite(b) & np.isfinite(given)
    a, b, given = a[ok], b[ok], given[ok]
    ab, ag, bg = correlation(a, b), correlation(a, given), correlation(b, given)
    rest = (1 - ag**2) * (1 - bg**2)
    if not np.isfinite(rest) or rest < _STILL:  # one of them is `given` itself: nothing of it is left
        return 0.0 if np.isfinite(rest) else float("nan")
    return float(np.clip((ab - ag * bg) / np.sqrt(rest), -1, 1))


def chance_partial(a: Series, b: Series, given: Series, least: int = FEWEST_FRAMES) -> float:
    """95th percentile of |partial correlation| over all circular shifts of ``b`` by ``least`` frames or more."""
    found = [abs(partial_correlation(a, np.roll(b, k), given)) for k in range(least, len(b) - least)]
    known = [r for r in found if np.isfinite(r)]
    return float(np.quantile(known, 0.95)) if known else float("nan")


def spread_ratio(a: Series, b: Series) -> float:
    """Standard deviation of ``a`` over that of ``b`` on the frames both have; NaN if ``b`` stands still."""
    ok = np.isfinite(a) & np.isfinite(b)
    if ok.sum() < FEWEST_FRAMES or b[ok].std() < _STILL:
        return float("nan")
    return float(a[ok].std() / b[ok].std())


def landmark_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean distance of mouth landmarks (N, P, 2), frame by frame, in units of the eyes' distance."""
    return mean_of(np.linalg.norm(a - b, axis=-1))


def jitter_ratio(generated: LipSeries, truth: LipSeries) -> float:
    """Mean acceleration of the mouth's landmarks over the truth's, each per second squared."""
    theirs = acceleration(truth)
    return acceleration(generated) / theirs if theirs > _STILL else float("nan")


def acceleration(series: LipSeries) -> float:
    """Mean length of the second difference of the mouth's landmarks, in eye distances per second squared."""
    if len(series.times) < 3:
        return float("nan")
    step = float(np.median(np.diff(series.times)))
    return mean_of(np.linalg.norm(np.diff(series.mouth, n=2, axis=0), axis=-1)) / step**2


def _shifted(a: Series, b: Series, lag: int) -> tuple[Series, Series]:
    n = min(len(a), len(b))
    if lag >= 0:
        return a[lag:n], b[: n - lag]
    return a[: n + lag], b[-lag:n]


def _at(times: Series, values: Series, wanted: Series) -> Series:
    return np.interp(wanted, times, values, left=np.nan, right=np.nan)


def mean_of(values: NDArray[np.float64]) -> float:
    """Mean of what is finite; NaN when nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
