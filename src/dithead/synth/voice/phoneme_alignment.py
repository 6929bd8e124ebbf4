"""When each phoneme of a known text sounds in a recording: espeak-ng says the text, and time is warped to fit.

No trained aligner and no download: cepstra of both, dynamic time warping between them. The synthetic voice differs
from the speaker, so boundaries are off by tens of milliseconds: enough for lips, not for phonetics.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from dithead.errors import DataError
from dithead.synth.types import Floats, Phoneme, Speech
from dithead.synth.voice.espeak import Voice, speak
from dithead.types import Wave

HOP = 0.01  # seconds
LONGEST = 120.0  # seconds: the table of costs grows with the square
_BANDS, _KEPT, _WINDOW = 26, 13, 400  # mel bands, cepstra, samples at 16 kHz
_DEPTH = 12.0  # below the loudest band, in log power
_QUIET = 0.12  # of the range between the quietest and the loudest, in log power
_PAUSE = 0.15  # seconds of quiet that are a pause


def align(wave: Wave, text: str, language: str) -> Speech:
    """A recording (n,) at 16 kHz with the phonemes of its ``text``.

    Raises DataError for a language without a voice, a text nobody can say, or more than two minutes.
    """
    if len(wave) > LONGEST * 16000:
        raise DataError(f"a recording of {len(wave) / 16000:.0f} s with a text; cut it into pieces of two minutes")
    voice = Voice(language)
    said = speak(text, voice)
    lengths = [b - a for a, b in (_sounding(_at_16k(said)), _sounding(wave))]
    rate = voice.rate * lengths[0] / lengths[1]
    said = speak(text, replace(voice, rate=int(np.clip(rate, 80, 400))))
    other = _at_16k(said)
    (first, last), (begin, end) = _sounding(wave), _sounding(other)
    path = np.zeros(len(wave) // round(HOP * 16000) + 1, np.int64)
    path[first:last] = begin + warp(cepstra(wave)[first:last], cepstra(other)[begin:end])
    path[last:] = len(other)
    return Speech(wave, 16000, _moved(said.phonemes, path, quiet(wave), len(wave) / 16000), language, text)


def _at_16k(speech: Speech) -> Wave:
    gcd = int(np.gcd(speech.rate, 16000))
    return np.asarray(signal.resample_poly(speech.wave, 16000 // gcd, speech.rate // gcd), np.float32)


def log_bands(wave: Wave) -> Floats:
    """Log power of a wave at 16 kHz in mel bands, every 10 ms: (T, 26)."""
    hop = round(HOP * 16000)
    padded = np.pad(np.append(wave[:1], wave[1:] - 0.97 * wave[:-1]), (_WINDOW // 2, _WINDOW))
    count = len(wave) // hop + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop][:count]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), 512)) ** 2
    return np.log(power @ _mel_filters().T + 1e-7).astype(np.float32)


def _mel_filters() -> NDArray[np.float64]:
    """Triangles evenly spaced in mel from 60 to 7600 Hz: (26, 257)."""
    first, last = (2595 * np.log10(1 + f / 700) for f in (60.0, 7600.0))
    mel = np.linspace(first, last, _BANDS + 2)
    edges, at = 700 * (10 ** (mel / 2595) - 1), np.fft.rfftfreq(512, 1 / 16000)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.clip(np.minimum((at - low) / (middle - low), (high - at) / (high - middle)), 0, None)


def cepstra(wave: Wave) -> Floats:
    """Thirteen cepstra and their slopes, of zero mean and unit variance where the wave sounds: (T, 26)."""
    bands = log_bands(wave)
    bands = np.maximum(bands, bands.max() - _DEPTH)  # what lies deeper is the room, not the voice
    kept = fft.dct(bands, norm="ortho", axis=1)[:, :_KEPT]
    both = np.hstack([kept, 2.0 * np.gradient(kept, axis=0)])
    loud = both[~quiet(wave)] if (~quiet(wave)).sum() > 20 else both
    return np.asarray((both - loud.mean(0)) / (loud.std(0) + 1e-3), np.float32)


def warp(heard: Floats, said: Floats) -> NDArray[np.int64]:
    """For each frame of ``heard`` (T, F) the frame of ``said`` (S, F) it corresponds to: (T,), never going back.

    Each step stays, moves one frame or skips one (Itakura's constraint, on one side only).
    """
    t, s = len(heard), len(said)
    if t * 2 < s:
        raise DataError(f"{s * HOP:.1f} s of text in {t * HOP:.1f} s of speech; is it the text of this recording?")
    at = np.arange(s)
    total = np.where(at < 2, 0.0, np.inf)
    steps = np.zeros((t, s), np.int8)
    norm = (said**2).sum(1)
    for i, frame in enumerate(heard):
        cost = np.sqrt(np.maximum(norm - 2 * said @ frame + frame @ frame, 0))
        if i:
            options = np.stack([total * 1.0, np.r_[np.inf, total[:-1]], np.r_[np.inf, np.inf, total[:-2]]])
            steps[i] = options.argmin(0)
            total = options.min(0)
        total = total + cost
        total[np.abs(at - i * s / t) > 150 + 0.2 * s] = np.inf  # far from the diagonal
    path = np.empty(t, np.int64)
    path[-1] = s - 1 if np.isfinite(total[-1]) else int(total.argmin())
    for i in range(t - 1, 0, -1):
        path[i - 1] = path[i] - steps[i, path[i]]
    return path


def quiet(wave: Wave) -> NDArray[np.bool_]:
    """Where nothing sounds, every 10 ms: (T,)."""
    loud = np.convolve(np.pad(log_bands(wave).mean(1), 2, mode="edge"), np.ones(5) / 5, "valid")
    low, high = np.quantile(loud, [0.02, 0.95])
    if high - low < 1.5:  # all of it sounds alike
        return np.full(len(loud), bool(high < -12))
    return np.asarray(loud < low + _QUIET * (high - low))


def _sounding(wave: Wave) -> tuple[int, int]:
    """From the first frame that sounds to behind the last; all of them where none does."""
    silent = quiet(wave)
    loud = np.flatnonzero(~silent)
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) > 20 else (0, len(silent))


def _moved(
    phonemes: tuple[Phoneme, ...], path: NDArray[np.int64], silent: NDArray[np.bool_], duration: float
) -> tuple[Phoneme, ...]:
    """The phonemes where the recording has them; what lies in a pause of the recording is cut off."""
    moved = []
    for p in phonemes:
        start, end = (float(np.searchsorted(path, t / HOP, "left")) * HOP for t in (p.start, p.end))
        end = min(max(end, start + 0.02), duration)
        pieces = [(p.ipa, start, end)] if not p.ipa else _out_of_pauses(p.ipa, start, end, silent)
        moved += [Phoneme(*piece) for piece in pieces if piece[2] > piece[1]]
    return tuple(moved)


def _out_of_pauses(ipa: str, start: float, end: float, silent: NDArray[np.bool_]) -> list[tuple[str, float, float]]:
    """A sound that spreads over a pause keeps its larger side, the pause gets the rest."""
    inside = silent[round(start / HOP) : round(end / HOP)]
    if inside.sum() * HOP < _PAUSE:
        return [(ipa, start, end)]
    sounding = np.flatnonzero(~inside)
    if not len(sounding):
        return [(ipa, start, min(start + 0.06, end)), ("", min(start + 0.06, end), end)]
    first, last = start + sounding[0] * HOP, start + (sounding[-1] + 1) * HOP
    return [("", start, first), (ipa, first, last), ("", last, end)]
