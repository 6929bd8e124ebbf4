"""How something is said, besides its words: pauses between phrases, breath drawn in them, and effort.

Times in seconds, waves mono; what is put in goes into the sound and into the phonemes alike.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from dithead.synth.types import Phoneme, Speech
from dithead.types import Wave

BREATH = "↓"  # the IPA's sign of air that flows in
_PAUSE = 0.06  # shorter silences belong to stops
_HUSH = 1e-5


def unhurried(speech: Speech, rng: np.random.Generator) -> Speech:
    """The same speech with silence before and after, longer pauses between its phrases, and breath drawn in some."""
    waves: list[Wave] = []
    sounds: list[Phoneme] = []
    at = _pause(waves, sounds, float(rng.uniform(0.4, 1.3)), 0.0, speech.rate, rng)
    for sound in speech.phonemes:
        piece = speech.wave[round(sound.start * speech.rate) : round(sound.end * speech.rate)]
        waves.append(piece)
        end = at + len(piece) / speech.rate
        sounds.append(Phoneme(sound.ipa, at, end))
        at = end
        if not sound.ipa and sound.end - sound.start > _PAUSE and rng.random() < 0.85:
            at = _pause(waves, sounds, float(rng.gamma(2.0, 0.3)), at, speech.rate, rng)
    _pause(waves, sounds, float(rng.uniform(0.3, 1.0)), at, speech.rate, None)
    return replace(speech, wave=np.concatenate(waves), phonemes=tuple(sounds))


def _pause(
    waves: list[Wave], sounds: list[Phoneme], length: float, at: float, rate: int, rng: np.random.Generator | None
) -> float:
    """Append a pause from ``at``, with ``rng`` perhaps a breath at its end; returns when it ends."""
    count = round(length * rate)
    wave = np.full(count, _HUSH, np.float32)
    end = at + count / rate
    if rng is None or length < 0.35 or rng.random() < 0.4:
        sounds.append(Phoneme("", at, end))
    else:
        taken = float(rng.uniform(0.22, min(0.5, length - 0.1)))
        first = end - taken
        sounds += [Phoneme("", at, first), Phoneme(BREATH, first, end - 0.04), Phoneme("", end - 0.04, end)]
        inhaled = breath(round((taken - 0.04) * rate), rate, rng)
        place = round((first - at) * rate)
        wave[place : place + len(inhaled)] += inhaled[: count - place]
    waves.append(wave)
    return end


def breath(count: int, rate: int, rng: np.random.Generator) -> Wave:
    """Air drawn in through an open mouth: band-limited noise that swells and stops, 20 to 35 dB below a loud voice."""
    low, high = float(rng.uniform(350, 700)), min(float(rng.uniform(3000, 6000)), 0.45 * rate)
    bands = signal.butter(2, (low, high), "bandpass", fs=rate, output="sos")
    noise = signal.sosfilt(bands, rng.normal(size=count))
    swell = np.sin(np.pi * np.linspace(0, 1, count) ** 0.7) ** 1.5
    level = 10 ** (-float(rng.uniform(20, 35)) / 20)
    return np.asarray(level * swell * noise / (np.std(noise) + 1e-9), np.float32)


def effort(wave: Wave, rate: int, count: int, curves: int) -> NDArray[np.float32]:
    """How much wider or narrower than usual a mouth opens for how loudly it speaks: ``count`` factors, ``curves`` a
    second.

    Phonemes alone know nothing of stress; in real speech loudness follows the opening closely.
    """
    at = np.arange(count + 1) * rate // curves
    power = np.add.reduceat(np.append(wave.astype(np.float64) ** 2, 0.0), np.minimum(at, len(wave)))[:count]
    kernel = np.hanning(17 * curves // 100)
    loud = np.sqrt(_smoothed(power, kernel / kernel.sum()) / (rate / curves))
    relative = loud / max(float(np.quantile(loud, 0.9)), 1e-4)
    return np.clip(0.45 + 0.7 * np.sqrt(relative), 0.5, 1.3).astype(np.float32)


def _smoothed(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    left = len(kernel) // 2
    return np.convolve(np.pad(values, (left, len(kernel) - 1 - left), mode="edge"), kernel, "valid")
