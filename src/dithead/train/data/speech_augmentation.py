"""Augments speech, so that the few voices of a training set represent many.

Log-mel windows (W, 80) get another voice (the mel axis is warped, as the length of the vocal tract warps it), another
microphone (a smooth equaliser), loudness, background noise, reverberation, and dropped bands and moments. Samples (n,)
get another microphone, room, loudness and noise. All strengths are our choice.
Letters: W mel frames, n samples at 16 kHz.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.models.audio.mel import FLOOR

_EQUALISER_POINTS = 8  # of the frequency response of a random microphone; our choice
_ECHO = 6400  # samples (0.4 s) of the longest echo of a room; our choice

Mel = NDArray[np.floating[Any]]


def augment_mel(rng: np.random.Generator, mel: Mel) -> NDArray[np.float32]:
    """Give a log-mel window (W, 80) one random voice, microphone and room."""
    out = _other_voice(rng, mel.astype(np.float32))
    out = out + _microphone(rng, out.shape[1]) + np.float32(rng.normal(0, 0.25))
    if rng.random() < 0.6:
        out = _add_noise(rng, out)
    if rng.random() < 0.3:
        out = _add_reverberation(rng, out)
    return _drop_bands_and_moments(rng, np.maximum(out, FLOOR))


def augment_samples(rng: np.random.Generator, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give samples (n,) another microphone, sometimes a room, another loudness, and mostly noise of a random colour."""
    sound = _recorded_elsewhere(rng, sound)
    level = float(np.sqrt(np.mean(sound**2))) * 10 ** rng.uniform(-2, -0.4)
    if rng.random() < 0.6 and level > 0:
        white = rng.standard_normal(len(sound)).astype(np.float32)
        dull = np.convolve(white, np.ones(8, np.float32) / np.float32(np.sqrt(8)), "same")
        share = rng.uniform(0, 1)  # of the dull noise in the mixture
        sound = np.asarray(sound + np.float32(level) * (share * dull + (1 - share) * white), np.float32)
    return np.asarray(sound * np.exp(rng.normal(0, 0.5)), np.float32)


def _recorded_elsewhere(rng: np.random.Generator, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pass samples (n,) through a random equaliser and, for three in ten, a random room's echo."""
    size = 1 << (len(sound) + _ECHO).bit_length()
    spectrum = np.fft.rfft(sound, size)
    # The equaliser's points lie closer together at low frequencies, as the ear's and the mel scale's bands do.
    place = np.linspace(0, 1, len(spectrum)) ** 0.5 * (_EQUALISER_POINTS - 1)
    decibels = np.interp(place, np.arange(_EQUALISER_POINTS), rng.normal(0, 3, _EQUALISER_POINTS))
    spectrum = spectrum * 10 ** ((decibels + rng.normal(0, 4) * (place / _EQUALISER_POINTS - 0.5)) / 20)
    if rng.random() < 0.3:
        decay = np.exp(-np.arange(_ECHO) / (16000 * rng.uniform(0.02, 0.12)))
        echo = rng.standard_normal(_ECHO) * decay
        echo *= rng.uniform(0.1, 0.7) / np.sqrt(np.sum(echo**2))
        echo[0] += 1
        spectrum = spectrum * np.fft.rfft(echo, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(sound)], np.float32)


def _other_voice(rng: np.random.Generator, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shift and stretch the mel axis, as other vocal tracts and pitches do."""
    n = mel.shape[1]
    bands = np.clip(np.arange(n) * np.exp(rng.normal(0, 0.08)) + rng.normal(0, 1.5), 0, n - 1.001)
    low = bands.astype(int)
    part = (bands - low).astype(np.float32)
    return mel[:, low] * (1 - part) + mel[:, low + 1] * part


def _microphone(rng: np.random.Generator, bands: int) -> NDArray[np.float32]:
    """Draw a smooth equaliser (bands,) with a tilt."""
    points = rng.normal(0, 0.3, 6)
    tilt = rng.normal(0, 0.4) * np.linspace(-1, 1, bands)
    return (np.interp(np.linspace(0, 5, bands), np.arange(6), points) + tilt).astype(np.float32)


def _add_noise(rng: np.random.Generator, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add the power of a stationary noise with a random slope, from inaudible to loud."""
    level = rng.uniform(-3.5, 0.8)
    colour = np.linspace(0.5, -0.5, mel.shape[1]) * rng.normal(0.5, 1)
    noise = level + colour + rng.normal(0, 0.2, mel.shape)
    return np.log10(10**mel + 10**noise).astype(np.float32)


def _add_reverberation(rng: np.random.Generator, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let energy decay into the following frames."""
    decay = 10 ** -rng.uniform(0.15, 0.6)
    power, tail = 10**mel, np.zeros(mel.shape[1], np.float32)
    for row in power:
        row += tail * np.float32(0.5)
        tail = row * np.float32(decay)
    return np.log10(power).astype(np.float32)


def _drop_bands_and_moments(rng: np.random.Generator, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace up to two groups of bands and one moment by the mean, in place."""
    for _ in range(2):
        if rng.random() < 0.5:
            first, width = rng.integers(0, mel.shape[1]), rng.integers(1, 10)
            mel[:, first : first + width] = mel.mean()
    if rng.random() < 0.3:
        first, width = rng.integers(0, mel.shape[0]), rng.integers(1, 5)
        mel[first : first + width] = mel.mean()
    return mel
