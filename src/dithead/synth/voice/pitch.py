"""How high a voice is: enough to tell which of two sexes a recording's speaker more likely has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.types import Wave

Numbers = NDArray[Any]

_LOWEST, _HIGHEST = 65.0, 400.0  # hertz
_BETWEEN = 155.0  # hertz: adults' voices lie around 115 and 205 (Titze 1989)
_WINDOW, _HOP = 0.05, 0.02


def median_pitch(wave: Wave, rate: int) -> float | None:
    """Median fundamental frequency in hertz of the voiced parts, by autocorrelation; None where there is no voice."""
    size, hop = int(_WINDOW * rate), int(_HOP * rate)
    if len(wave) < size:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), size)[::hop]
    power = (frames**2).mean(axis=1)
    loud = frames[(power > 0.1 * np.quantile(power, 0.95)) & (power > 1e-7)]
    if not len(loud):
        return None
    lags, heights = _peaks(loud * np.hanning(size), rate)
    voiced = heights > 0.45
    return float(np.median(rate / lags[voiced])) if voiced.sum() >= 5 else None


def _peaks(frames: Numbers, rate: int) -> tuple[Numbers, Numbers]:
    """Of each frame, lag in samples of the autocorrelation's first high peak, and its height relative to lag 0."""
    size = frames.shape[1]
    spectrum = np.abs(np.fft.rfft(frames - frames.mean(axis=1, keepdims=True), 2 * size)) ** 2
    taper = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2)
    low, high = int(rate / _HIGHEST), int(rate / _LOWEST)
    alike = np.fft.irfft(spectrum)[:, : high + 2] / taper[: high + 2]
    alike = alike / np.maximum(alike[:, :1], 1e-12)
    inner = alike[:, low : high + 1]
    peak = (inner >= alike[:, low - 1 : high]) & (inner >= alike[:, low + 1 : high + 2])
    best = np.where(peak, inner, -1)
    first = (best >= 0.85 * best.max(axis=1, keepdims=True)).argmax(axis=1)  # the shortest lag: no octave too low
    return first + low, best[np.arange(len(best)), first]


def sounds_male(wave: Wave, rate: int) -> bool | None:
    """Whether a voice is rather a man's; None where nobody can be heard."""
    pitch = median_pitch(wave, rate)
    return None if pitch is None else pitch < _BETWEEN
