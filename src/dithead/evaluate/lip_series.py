"""Compares the lips of two videos: correlation, lag, gain, jitter and leaks, as pure arithmetic on series over time.

Frames in which no face was found are NaN and are left out of every measure. Letters: N frames, M times, P mouth
landmarks. Lags are in frames of the truth, positive when the generated video runs late. Openings and landmarks are in
units of the distance between the outer eye corners. Videos of different frame rates are compared at the truth's frames,
so that a frame is as long for every video that is compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_LAG = 10
"""Frames of the truth searched to either side for the best lag (our choice: 0.4 s at 25 per second)."""
MIN_FRAMES = 10
"""With fewer usable frames a correlation is not a measurement, and NaN is returned (our choice)."""
MIN_DEVIATION = 1e-9
"""A series whose standard deviation is below this stands still; anything larger is above rounding errors."""
CLOSED, OPEN = 0.02, 0.04
"""Openings below which lips are closed and above which they are open; between both nothing changes (our choice)."""
CLOSURE_TOLERANCE = 1
"""Frames of the truth by which a closure may come early or late (our choice)."""
SAME_RATE = 0.01
"""Relative difference of two frame rates up to which they count as one, as 29.97 and 30 a second do (our choice)."""
CHANCE_QUANTILE = 0.95
"""Of the partial correlations that arise by chance: an honest video passes it once in twenty times."""

Series = NDArray[np.float64]
Measures = dict[str, float]
"""Name -> value, NaN where the measurement failed."""


@dataclass(frozen=True)
class LipSeries:
    """The lips of one video over time.

    Attributes:
        times: (N,) seconds.
        openings: (N,) opening of the lips; NaN where no face was found.
        widths: (N,) distance of the corners of the lips; NaN where no face was found.
        mouth: (N, P, 2) landmarks of the mouth, aligned on eyes and nose, so that they are free of head motion.
    """

    times: Series
    openings: Series
    widths: Series
    mouth: NDArray[np.float64]

    @property
    def missed(self) -> int:
        """The number of frames in which no face was found."""
        return int(np.isnan(self.openings).sum())

    @property
    def step(self) -> float:
        """The mean seconds from frame to frame; time stamps that are rounded to milliseconds change it little."""
        return float(self.times[-1] - self.times[0]) / (len(self.times) - 1) if len(self.times) > 1 else float("nan")

    def has_another_rate(self, other: LipSeries) -> bool:
        """Return whether the frame rates differ; that of fewer than two frames differs from none."""
        return abs(self.step / other.step - 1) > SAME_RATE if other.step else False

    def at_times(self, times: Series) -> LipSeries:
        """Interpolate the series linearly at other times (M,); NaN outside it and next to a missed frame."""
        if len(times) == len(self.times) and np.allclose(times, self.times, atol=1e-3):
            return self
        flat = self.mouth.reshape(len(self.times), -1)
        columns = np.column_stack([self.openings, self.widths, flat]).T
        table = np.stack([np.interp(times, self.times, c, left=np.nan, right=np.nan) for c in columns], axis=1)
        return LipSeries(times, table[:, 0], table[:, 1], table[:, 2:].reshape(len(times), *self.mouth.shape[1:]))


class Closure(NamedTuple):
    """One closure of the lips between two moments at which they are open."""

    first: int  # frame
    last: int  # frame, included
    lowest: int  # frame at which the lips are most closed


def compare_self(generated: LipSeries, truth: LipSeries, max_lag: int = MAX_LAG) -> Measures:
    """Compare a video that is driven by its own speech with the true video.

    Returns:
        ``lip_correlation`` (Pearson, lag 0), ``lip_lag`` and ``lip_lag_correlation`` (best lag, and the correlation
        there), ``lip_gain`` (ratio of standard deviations), ``lip_slope`` (regression slope of generated on truth),
        ``lip_velocity_correlation`` (of the changes between frames), ``lip_width_correlation`` (of the widths, at the
        best lag), ``lip_width_gain``, ``closures_kept`` and ``closures_true`` (at the best lag, too; the share of the
        truth's closures that are made, and of those made that are the truth's), ``lmd`` (mean distance of the mouth's
        landmarks), ``jitter`` (ratio of the accelerations of the landmarks) and ``faces_missed``.
    """
    made, true = _at_same_times(generated, truth)
    a, b = made.openings, true.openings
    lag, at_lag = best_lag(a, b, max_lag)
    r, gain = correlation(a, b), deviation_ratio(a, b)
    shift = int(lag) if np.isfinite(lag) else 0
    return {
        "lip_correlation": r,
        "lip_lag": lag,
        "lip_lag_correlation": at_lag,
        "lip_gain": gain,
        "lip_slope": r * gain,
        "lip_velocity_correlation": correlation(np.diff(a), np.diff(b)),
        "lip_width_correlation": correlation(*_shifted(made.widths, true.widths, shift)),
        "lip_width_gain": deviation_ratio(made.widths, true.widths),
        "closures_kept": closures_kept(*_shifted(a, b, shift)),
        "closures_true": closures_kept(*_shifted(b, a, -shift)),
        "lmd": landmark_distance(made.mouth, true.mouth),
        "jitter": jitter_ratio(generated, truth),
        "faces_missed": float(generated.missed),
    }


def compare_cross(generated: LipSeries, driver: LipSeries, source: LipSeries) -> Measures:
    """Compare a video that is driven by another clip's speech with the lips of that clip and with those of its source.

    Args:
        generated: The lips to measure.
        driver: The lips in the video that the driving speech comes from.
        source: The lips in the video that was changed; they should not show in the generated video.

    Returns:
        Correlations and lag with the driver, and the correlation with the source. ``coupling`` is the correlation of
        driver and source, which is chance. The partial correlations are free of it: ``source_partial`` with the source
        given the driver (a leak), ``driver_partial`` with the driver given the source. ``source_chance`` is the size
        that ``source_partial`` reaches by chance once in twenty times, see ``chance_level``.
    """
    made, lent = _at_same_times(generated, source)
    g, d, s = made.openings, driver.at_times(made.times).openings, lent.openings
    lag, at_lag = best_lag(g, d)
    return {
        "driver_correlation": correlation(g, d),
        "driver_lag": lag,
        "driver_lag_correlation": at_lag,
        "driver_gain": deviation_ratio(g, d),
        "source_correlation": correlation(g, s),
        "source_partial": partial_correlation(g, s, d),
        "source_chance": chance_level(g, s, d),
        "driver_partial": partial_correlation(g, d, s),
        "coupling": correlation(d, s),
        "faces_missed": float(generated.missed),
    }


def compare_silent(generated: LipSeries, source: LipSeries) -> Measures:
    """Compare a video that is driven by silence, in which the lips should rest, with its speaking source.

    Returns:
        ``aperture_ratio`` (standard deviation of the opening over the source's), ``aperture_mean``,
        ``source_correlation`` and ``faces_missed``.
    """
    true = source.at_times(generated.times).openings
    return {
        "aperture_ratio": deviation_ratio(generated.openings, true),
        "aperture_mean": finite_mean(generated.openings),
        "source_correlation": correlation(generated.openings, true),
        "faces_missed": float(generated.missed),
    }


def correlation(a: Series, b: Series) -> float:
    """Return Pearson's r over the frames both have: 0 if ``a`` stands still, NaN if ``b`` does or frames are few."""
    pairs = np.stack([a, b])[:, np.isfinite(a) & np.isfinite(b)]
    if pairs.shape[1] < MIN_FRAMES or pairs[1].std() < MIN_DEVIATION:
        return float("nan")
    if pairs[0].std() < MIN_DEVIATION:
        return 0.0
    return float(np.asarray(np.corrcoef(pairs))[0, 1])


def best_lag(a: Series, b: Series, max_lag: int = MAX_LAG) -> tuple[float, float]:
    """Return the lag (frames) at which a[t + lag] follows b[t] best, and the correlation there; NaN if undefined."""
    scores = {lag: correlation(*_shifted(a, b, lag)) for lag in range(-max_lag, max_lag + 1)}
    known = [lag for lag, r in scores.items() if np.isfinite(r)]
    if not known:
        return float("nan"), float("nan")
    best = max(known, key=lambda lag: (scores[lag], -abs(lag)))
    return float(best), scores[best]


def closures(openings: Series) -> list[Closure]:
    """Find where lips (N,) that were open close and open again; silence before and after speech is no closure."""
    known = np.where(np.isfinite(openings), openings, np.inf)  # a missed frame ends a closure, and proves none
    edges = np.flatnonzero(known > OPEN)
    found = []
    for before, after in pairwise(edges.tolist()):
        shut = before + 1 + np.flatnonzero(known[before + 1 : after] < CLOSED)
        if len(shut) and np.isfinite(known[[before, after]]).all():
            lowest = int(shut[np.argmin(known[shut])])
            found.append(Closure(int(shut[0]), int(shut[-1]), lowest))
    return found


def closures_kept(a: Series, b: Series) -> float:
    """Return the share of closures of ``b`` (N,) that ``a`` (N,) closes for, too; NaN where ``b`` has none.

    A closure counts as kept where the lips of ``a`` close and open again so that they are shut within
    ``CLOSURE_TOLERANCE`` frames of the moment at which those of ``b`` are most closed. Lips that never open keep none.
    """
    made, wanted = closures(a), [c.lowest for c in closures(b) if np.isfinite(a[c.lowest])]
    kept = [any(c.first - CLOSURE_TOLERANCE <= moment <= c.last + CLOSURE_TOLERANCE for c in made) for moment in wanted]
    return float(np.mean(kept)) if kept else float("nan")


def partial_correlation(a: Series, b: Series, given: Series) -> float:
    """Return the correlation of ``a`` and ``b`` after their linear regressions on ``given`` are subtracted."""
    ok = np.isfinite(a) & np.isfinite(b) & np.isfinite(given)
    a, b, given = a[ok], b[ok], given[ok]
    ab, ag, bg = correlation(a, b), correlation(a, given), correlation(b, given)
    rest = (1 - ag**2) * (1 - bg**2)
    if not np.isfinite(rest) or rest < MIN_DEVIATION:  # one of them is `given` itself: nothing of it is left
        return 0.0 if np.isfinite(rest) else float("nan")
    return float(np.clip((ab - ag * bg) / np.sqrt(rest), -1, 1))


def chance_level(a: Series, b: Series, given: Series, least: int = MIN_FRAMES) -> float:
    """Return the size that the partial correlation of ``a`` and ``b`` exceeds once in twenty times by chance.

    It is the 95th percentile of the absolute partial correlation over all circular shifts of ``b`` by ``least`` frames
    or more, which keep its rhythm but have nothing to do with ``a``.
    """
    found = [abs(partial_correlation(a, np.roll(b, k), given)) for k in range(least, len(b) - least)]
    known = [r for r in found if np.isfinite(r)]
    return float(np.quantile(known, CHANCE_QUANTILE)) if known else float("nan")


def deviation_ratio(a: Series, b: Series) -> float:
    """Return the standard deviation of ``a`` over that of ``b`` on the frames both have; NaN if ``b`` stands still."""
    ok = np.isfinite(a) & np.isfinite(b)
    if ok.sum() < MIN_FRAMES or b[ok].std() < MIN_DEVIATION:
        return float("nan")
    return float(a[ok].std() / b[ok].std())


def landmark_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the mean distance of mouth landmarks (N, P, 2), frame by frame, in eye distances."""
    return finite_mean(np.linalg.norm(a - b, axis=-1))


def jitter_ratio(generated: LipSeries, truth: LipSeries) -> float:
    """Return the mean acceleration of the mouth's landmarks over the truth's.

    Of different frame rates the faster is first brought to the slower one's frames: the noise of the landmarks alone
    accelerates the more, the shorter a frame is.
    """
    if generated.has_another_rate(truth):
        times = max(generated, truth, key=lambda series: series.step).times
        generated, truth = generated.at_times(times), truth.at_times(times)
    true = acceleration(truth)
    return acceleration(generated) / true if true > MIN_DEVIATION else float("nan")


def acceleration(series: LipSeries) -> float:
    """Return the mean length of the second difference of the mouth's landmarks, in eye distances per second squared."""
    if len(series.times) < 3:
        return float("nan")
    step = float(np.median(np.diff(series.times)))
    return finite_mean(np.linalg.norm(np.diff(series.mouth, n=2, axis=0), axis=-1)) / step**2


def finite_mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the finite values, or NaN when there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _at_same_times(generated: LipSeries, truth: LipSeries) -> tuple[LipSeries, LipSeries]:
    """Both at the truth's times where their frame rates differ, or else at the generated video's."""
    if generated.has_another_rate(truth):
        return generated.at_times(truth.times), truth
    return generated, truth.at_times(generated.times)


def _shifted(a: Series, b: Series, lag: int) -> tuple[Series, Series]:
    n = min(len(a), len(b))
    both = max(0, n - abs(lag))  # none of a video that is shorter than the lag
    if lag >= 0:
        return a[lag:n], b[:both]
    return a[:both], b[-lag:n]
