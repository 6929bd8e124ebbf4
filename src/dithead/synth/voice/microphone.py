"""What a microphone makes of a voice: room, noise, equaliser, level."""

from __future__ import annotations

import numpy as np
from scipy import signal

from dithead.types import Wave

RATE = 16000


def record(wave: Wave, rate: int, rng: np.random.Generator, *, clean: bool = False) -> Wave:
    """The voice at 16 kHz as a random microphone in a random room hears it; ``clean`` only resamples."""
    gcd = int(np.gcd(rate, RATE))
    voice = signal.resample_poly(wave, RATE // gcd, rate // gcd).astype(np.float32)
    if clean or rng.random() < 0.15:
        return _level(voice, 0.5)
    if rng.random() < 0.6:
        voice = _room(voice, rng)
    voice = _equalise(voice, rng)
    loud = float(np.sqrt(np.mean(voice**2)) + 1e-6)
    noise = _noise(len(voice), rng) * max(loud, 2e-4) * 10 ** (-rng.uniform(12, 45) / 20)
    return _level(voice + noise, float(rng.uniform(0.12, 0.8)))


def _level(wave: Wave, peak: float) -> Wave:
    loudest = float(np.abs(wave).max())
    gain = peak / max(loudest, 1e-6) if loudest > 1e-3 else 10.0 * peak  # silence stays silence
    return np.asarray(wave * gain, np.float32)


def _room(voice: Wave, rng: np.random.Generator) -> Wave:
    """Exponentially decaying noise behind the direct sound."""
    decay = rng.uniform(0.06, 0.4)  # seconds to -60 dB
    time = np.arange(int(decay * RATE)) / RATE
    tail = rng.normal(size=len(time)) * np.exp(-6.9 * time / decay)
    tail[: int(rng.uniform(0.002, 0.012) * RATE)] = 0
    tail *= rng.uniform(0.05, 0.35) / (np.sqrt((tail**2).sum()) + 1e-6)
    tail[0] = 1.0
    return np.asarray(signal.fftconvolve(voice, tail)[: len(voice)], np.float32)


def _equalise(voice: Wave, rng: np.random.Generator) -> Wave:
    """A gentle tilt and a band limit; zero-phase, so that nothing is delayed."""
    frequency = np.fft.rfftfreq(len(voice), 1 / RATE)
    octaves = np.log2(np.maximum(frequency, 50) / 1000)
    gain = 10 ** (rng.normal(0, 2.5) * octaves / 20)
    low, high = rng.uniform(40, 250), rng.uniform(3400, 7900)
    gain *= 1 / np.sqrt(1 + (low / np.maximum(frequency, 1)) ** 4) / np.sqrt(1 + (frequency / high) ** 8)
    return np.asarray(np.fft.irfft(np.fft.rfft(voice) * gain, len(voice)), np.float32)


def _noise(count: int, rng: np.random.Generator) -> Wave:
    """White to brown noise, slowly varying, with mains hum now and then."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
    noise = np.fft.irfft(spectrum * frequency ** -rng.uniform(0, 1.0), count)
    noise /= noise.std() + 1e-9
    if rng.random() < 0.2:
        time = np.arange(count) / RATE
        noise += rng.uniform(0.2, 0.8) * np.sin(2 * np.pi * rng.choice([50, 60]) * time)
    return np.asarray(noise, np.float32)
