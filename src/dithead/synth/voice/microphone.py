"""Simulate a microphone that records a voice: room, noise, equaliser and level."""

from __future__ import annotations

import numpy as np
from scipy import signal

from dithead.types import Wave

SAMPLE_RATE = 16000
"""Samples per second of every sound that `synth` writes: what the audio encoders read."""

_CLEAN_SHARE = 0.15  # of the recordings get neither room nor noise; our choice
_ROOM_SHARE = 0.6  # of the others have a room; our choice
_SILENCE_PEAK = 1e-3  # a wave below this peak is silence, which must not be amplified


def simulate_microphone(wave: Wave, rate: int, rng: np.random.Generator, *, clean: bool = False) -> Wave:
    """Record a voice with a random microphone in a random room.

    Args:
        wave: The voice (n,), mono.
        rate: Its samples per second.
        rng: Draws the room, the noise and the equaliser.
        clean: Only resample, and set the peak to 0.5.

    Returns:
        The sound at `SAMPLE_RATE`. Nothing in it is delayed, so phoneme times stay valid.
    """
    gcd = int(np.gcd(rate, SAMPLE_RATE))
    voice = signal.resample_poly(wave, SAMPLE_RATE // gcd, rate // gcd).astype(np.float32)
    if clean or rng.random() < _CLEAN_SHARE:
        return _set_peak(voice, 0.5)
    if rng.random() < _ROOM_SHARE:
        voice = _add_room(voice, rng)
    voice = _equalise(voice, rng)
    level = float(np.sqrt(np.mean(voice**2)) + 1e-6)
    noise = _noise(len(voice), rng) * max(level, 2e-4) * 10 ** (-rng.uniform(12, 45) / 20)
    return _set_peak(voice + noise, float(rng.uniform(0.12, 0.8)))


def _set_peak(wave: Wave, peak: float) -> Wave:
    loudest = float(np.abs(wave).max())
    gain = peak / max(loudest, 1e-6) if loudest > _SILENCE_PEAK else 10.0 * peak
    return np.asarray(wave * gain, np.float32)


def _add_room(voice: Wave, rng: np.random.Generator) -> Wave:
    """Convolve with a direct sound that exponentially decaying noise follows."""
    decay = rng.uniform(0.06, 0.4)  # reverberation time in seconds: the noise falls by 60 dB
    time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(size=len(time)) * np.exp(-6.9 * time / decay)
    tail[: int(rng.uniform(0.002, 0.012) * SAMPLE_RATE)] = 0
    tail *= rng.uniform(0.05, 0.35) / (np.sqrt((tail**2).sum()) + 1e-6)
    tail[0] = 1.0
    return np.asarray(signal.fftconvolve(voice, tail)[: len(voice)], np.float32)


def _equalise(voice: Wave, rng: np.random.Generator) -> Wave:
    """Apply a gentle spectral tilt and a band limit, with zero phase so that nothing is delayed."""
    frequency = np.fft.rfftfreq(len(voice), 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(frequency, 50) / 1000)
    gain = 10 ** (rng.normal(0, 2.5) * octaves / 20)
    low, high = rng.uniform(40, 250), rng.uniform(3400, 7900)
    gain *= 1 / np.sqrt(1 + (low / np.maximum(frequency, 1)) ** 4) / np.sqrt(1 + (frequency / high) ** 8)
    return np.asarray(np.fft.irfft(np.fft.rfft(voice) * gain, len(voice)), np.float32)


def _noise(count: int, rng: np.random.Generator) -> Wave:
    """Noise of unit variance between white and brown; one in five has mains hum."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20)
    noise = np.fft.irfft(spectrum * frequency ** -rng.uniform(0, 1.0), count)
    noise /= noise.std() + 1e-9
    if rng.random() < 0.2:
        time = np.arange(count) / SAMPLE_RATE
        noise += rng.uniform(0.2, 0.8) * np.sin(2 * np.pi * rng.choice([50, 60]) * time)
    return np.asarray(noise, np.float32)
