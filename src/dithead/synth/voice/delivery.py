"""How words are delivered: pauses between phrases, breaths, and how loudness widens the mouth.

Times are in seconds, waves are mono. Pauses and breaths go into the sound and into the phonemes alike.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from dithead.synth.voice.utterance import Phoneme, Utterance
from dithead.types import Wave

BREATH = "↓"
"""The phoneme of a breath: the IPA's sign of air that flows in."""

_SHORTEST_PAUSE = 0.06  # seconds; shorter silences belong to the closures of p, t and k
_SILENCE_LEVEL = 1e-5  # constant sample value of inserted silence
_BREATH_SHARE = 0.6  # of the pauses that are long enough hold a breath; our choice
_SHORTEST_BREATHING_PAUSE = 0.35  # seconds


class _UtteranceBuilder:
    """Pieces of sound and phonemes, one after another."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.waves: list[Wave] = []
        self.phonemes: list[Phoneme] = []
        self.end = 0.0

    def add_sound(self, ipa: str, wave: Wave) -> None:
        end = self.end + len(wave) / self.rate
        self.waves.append(wave)
        self.phonemes.append(Phoneme(ipa, self.end, end))
        self.end = end

    def add_pause(self, length: float, rng: np.random.Generator | None) -> None:
        """Append ``length`` seconds of silence; with ``rng`` it may hold a breath at its end."""
        count = round(length * self.rate)
        wave = np.full(count, _SILENCE_LEVEL, np.float32)
        if rng is None or length < _SHORTEST_BREATHING_PAUSE or rng.random() < 1 - _BREATH_SHARE:
            self.add_sound("", wave)
            return
        start, end = self.end, self.end + count / self.rate
        taken = float(rng.uniform(0.22, min(0.5, length - 0.1)))
        first = end - taken
        self.phonemes += [Phoneme("", start, first), Phoneme(BREATH, first, end - 0.04), Phoneme("", end - 0.04, end)]
        inhaled = breath_noise(round((taken - 0.04) * self.rate), self.rate, rng)
        place = round((first - start) * self.rate)
        wave[place : place + len(inhaled)] += inhaled[: count - place]
        self.waves.append(wave)
        self.end = end


def add_pauses(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """Add silence before and after an utterance, lengthen the pauses between its phrases, and put breaths in some.

    Args:
        utterance: As a synthesiser made it, without haste or rest.
        rng: Draws the lengths and which pauses hold a breath.

    Returns:
        A longer utterance; the samples of its phonemes are unchanged.
    """
    builder = _UtteranceBuilder(utterance.rate)
    builder.add_pause(float(rng.uniform(0.4, 1.3)), rng)
    for phoneme in utterance.phonemes:
        first, last = (round(time * utterance.rate) for time in (phoneme.start, phoneme.end))
        builder.add_sound(phoneme.ipa, utterance.wave[first:last])
        if not phoneme.ipa and phoneme.end - phoneme.start > _SHORTEST_PAUSE and rng.random() < 0.85:
            builder.add_pause(float(rng.gamma(2.0, 0.3)), rng)
    builder.add_pause(float(rng.uniform(0.3, 1.0)), None)
    return replace(utterance, wave=np.concatenate(builder.waves), phonemes=tuple(builder.phonemes))


def breath_noise(count: int, rate: int, rng: np.random.Generator) -> Wave:
    """Make the sound of air drawn in through an open mouth.

    Args:
        count: Number of samples.
        rate: Samples per second.
        rng: Draws the band, the level and the noise.

    Returns:
        Band-limited noise (count,) that swells and stops, 20 to 35 dB below a loud voice.
    """
    low, high = float(rng.uniform(350, 700)), min(float(rng.uniform(3000, 6000)), 0.45 * rate)
    bands = signal.butter(2, (low, high), "bandpass", fs=rate, output="sos")
    noise = signal.sosfilt(bands, rng.normal(size=count))
    swell = np.sin(np.pi * np.linspace(0, 1, count) ** 0.7) ** 1.5
    level = 10 ** (-float(rng.uniform(20, 35)) / 20)
    return np.asarray(level * swell * noise / (np.std(noise) + 1e-9), np.float32)


def loudness_gain(wave: Wave, rate: int, count: int, curve_rate: int) -> NDArray[np.float32]:
    """Compute how much wider or narrower than usual the mouth opens because of the voice's loudness.

    Phonemes alone do not carry stress, but in real speech the loudness follows the opening closely.

    Args:
        wave: The voice (n,), mono.
        rate: Its samples per second.
        count: Number of factors to return.
        curve_rate: Factors per second.

    Returns:
        Factors (count,) on the opening, 0.5 to 1.3.
    """
    edges = np.arange(count + 1) * rate // curve_rate
    power = np.add.reduceat(np.append(wave.astype(np.float64) ** 2, 0.0), np.minimum(edges, len(wave)))[:count]
    kernel = np.hanning(17 * curve_rate // 100)  # 170 ms, about one syllable
    level = np.sqrt(_smooth(power, kernel / kernel.sum()) / (rate / curve_rate))
    relative = level / max(float(np.quantile(level, 0.9)), 1e-4)
    return np.clip(0.45 + 0.7 * np.sqrt(relative), 0.5, 1.3).astype(np.float32)


def _smooth(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    left = len(kernel) // 2
    return np.convolve(np.pad(values, (left, len(kernel) - 1 - left), mode="edge"), kernel, "valid")
