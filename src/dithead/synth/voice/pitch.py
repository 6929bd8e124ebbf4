"""Estimate the pitch of a voice, and from it whether the speaker is more likely a man or a woman."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.types import Wave

Numbers = NDArray[Any]

_LOWEST, _HIGHEST = 65.0, 400.0  # hertz, the range of pitches that are searched
_MALE_LIMIT = 155.0  # hertz; between adults' typical 115 (men) and 205 (women), Titze 1989
_WINDOW, _HOP = 0.05, 0.02  # seconds
_VOICED = 0.45  # autocorrelation, relative to lag 0, above which a frame is voiced; our choice
_MIN_VOICED_FRAMES = 5  # with fewer there is no estimate


def median_pitch(wave: Wave, rate: int) -> float | None:
    """Estimate the median fundamental frequency of the voiced parts by autocorrelation.

    Args:
        wave: Mono samples (n,).
        rate: Samples per second.

    Returns:
        Hertz, or None where there is no voice.
    """
    size, hop = int(_WINDOW * rate), int(_HOP * rate)
    if len(wave) < size:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), size)[::hop]
    power = (frames**2).mean(axis=1)
    loud = frames[(power > 0.1 * np.quantile(power, 0.95)) & (power > 1e-7)]
    if not len(loud):
        return None
    lags, heights = _first_peaks(loud * np.hanning(size), rate)
    voiced = heights > _VOICED
    return float(np.median(rate / lags[voiced])) if voiced.sum() >= _MIN_VOICED_FRAMES else None


def _first_peaks(frames: Numbers, rate: int) -> tuple[Numbers, Numbers]:
    """For each frame, the lag in samples of the autocorrelation's first high peak, and its height relative to lag 0."""
    size = frames.shape[1]
    spectrum = np.abs(np.fft.rfft(frames - frames.mean(axis=1, keepdims=True), 2 * size)) ** 2
    taper = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2)
    low, high = int(rate / _HIGHEST), int(rate / _LOWEST)
    correlation = np.fft.irfft(spectrum)[:, : high + 2] / taper[: high + 2]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-12)
    inner = correlation[:, low : high + 1]
    is_peak = (inner >= correlation[:, low - 1 : high]) & (inner >= correlation[:, low + 1 : high + 2])
    heights = np.where(is_peak, inner, -1)
    # The shortest lag among nearly equal peaks: a longer one would be an octave too low.
    first = (heights >= 0.85 * heights.max(axis=1, keepdims=True)).argmax(axis=1)
    return first + low, heights[np.arange(len(heights)), first]


def sounds_male(wave: Wave, rate: int) -> bool | None:
    """Return whether a voice is more likely a man's, by its median pitch; None where there is no voice."""
    pitch = median_pitch(wave, rate)
    return None if pitch is None else pitch < _MALE_LIMIT
