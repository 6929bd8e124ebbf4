"""Align a known text with a recording of it, by dynamic time warping from espeak-ng's voice.

There is no trained aligner and no download: the cepstra of both voices are compared. The synthetic voice differs from
the speaker, so boundaries are off by tens of milliseconds. That is enough for lips, but not for phonetics.

Letters: n samples, T frames of a recording (10 ms each), S frames of the synthetic voice, F features.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from dithead.errors import DataError
from dithead.synth.types import Floats
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.microphone import SAMPLE_RATE
from dithead.synth.voice.utterance import Phoneme, Utterance
from dithead.types import Wave

HOP = 0.01
"""Seconds between two frames of features."""

LONGEST = 120.0
"""Seconds of the longest recording; the table of costs grows with the square of the length."""

_HOP_SAMPLES = round(HOP * SAMPLE_RATE)
_BANDS, _CEPSTRA, _WINDOW = 26, 13, 400  # mel bands, cepstral coefficients, samples per window
_FLOOR = 12.0  # log power below the loudest band; what is weaker is the room and not the voice
_SILENCE_SHARE = 0.12  # of the range between the quietest and the loudest frame, in log power
_FLAT_RANGE = 1.5  # log power; a recording with a smaller range has no contrast between speech and silence
_FLAT_SILENCE = -12.0  # log power below which such a recording is all silence
_PAUSE = 0.15  # seconds of silence that make a pause
_MIN_SPEECH_FRAMES = 20  # with fewer there is no speech to find


def align(wave: Wave, text: str, language: str) -> Utterance:
    """Find when each phoneme of ``text`` sounds in a recording.

    Args:
        wave: The recording (n,) at 16 kHz.
        text: What is said in it.
        language: A language code of espeak-ng.

    Returns:
        The recording with phonemes and their times.

    Raises:
        DataError: espeak-ng does not know the language, the text is not that of the recording, or the recording is
            longer than two minutes.
    """
    if len(wave) > LONGEST * SAMPLE_RATE:
        raise DataError(
            f"a recording of {len(wave) / SAMPLE_RATE:.0f} s is too long to align with a text; "
            "cut it into pieces of two minutes"
        )
    voice = EspeakVoice(language)
    synthetic = speak(text, voice)
    lengths = [last - first for first, last in (_speech_range(resample_to_16k(synthetic)), _speech_range(wave))]
    rate = voice.rate * lengths[0] / lengths[1]
    synthetic = speak(text, replace(voice, rate=int(np.clip(rate, 80, 400))))
    other = resample_to_16k(synthetic)
    (first, last), (begin, end) = _speech_range(wave), _speech_range(other)
    path = np.zeros(len(wave) // _HOP_SAMPLES + 1, np.int64)
    path[first:last] = begin + warp_time(cepstra(wave)[first:last], cepstra(other)[begin:end])
    path[last:] = len(other)
    phonemes = _warp_phonemes(synthetic.phonemes, path, silent_frames(wave), len(wave) / SAMPLE_RATE)
    return Utterance(wave, SAMPLE_RATE, phonemes, language, text)


def resample_to_16k(utterance: Utterance) -> Wave:
    """Return an utterance's sound at 16 kHz."""
    gcd = int(np.gcd(utterance.rate, SAMPLE_RATE))
    return np.asarray(signal.resample_poly(utterance.wave, SAMPLE_RATE // gcd, utterance.rate // gcd), np.float32)


def log_mel_bands(wave: Wave) -> Floats:
    """Compute the log power in 26 mel bands of a wave (n,) at 16 kHz, every 10 ms: (T, 26)."""
    padded = np.pad(np.append(wave[:1], wave[1:] - 0.97 * wave[:-1]), (_WINDOW // 2, _WINDOW))
    count = len(wave) // _HOP_SAMPLES + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP_SAMPLES][:count]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), 512)) ** 2
    return np.log(power @ _mel_filters().T + 1e-7).astype(np.float32)


def _mel_filters() -> NDArray[np.float64]:
    """Triangular filters evenly spaced in mel from 60 to 7600 Hz: (26, 257)."""
    first, last = (2595 * np.log10(1 + f / 700) for f in (60.0, 7600.0))
    mel = np.linspace(first, last, _BANDS + 2)
    edges, frequency = 700 * (10 ** (mel / 2595) - 1), np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.clip(np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)), 0, None)


def cepstra(wave: Wave) -> Floats:
    """Compute 13 cepstral coefficients and their slopes, with zero mean and unit variance over speech: (T, 26)."""
    bands = log_mel_bands(wave)
    bands = np.maximum(bands, bands.max() - _FLOOR)
    coefficients = fft.dct(bands, norm="ortho", axis=1)[:, :_CEPSTRA]
    features = np.hstack([coefficients, 2.0 * np.gradient(coefficients, axis=0)])
    is_speech = ~silent_frames(wave)
    speech = features[is_speech] if is_speech.sum() > _MIN_SPEECH_FRAMES else features
    return np.asarray((features - speech.mean(0)) / (speech.std(0) + 1e-3), np.float32)


def warp_time(recorded: Floats, synthetic: Floats) -> NDArray[np.int64]:
    """Find the frame of the synthetic voice that each frame of a recording corresponds to.

    Each step of the path stays, moves one frame on or skips one (Itakura's constraint, on one side only).

    Args:
        recorded: Features of the recording (T, F).
        synthetic: Features of the synthetic voice (S, F).

    Returns:
        Frame numbers (T,) in 0..S-1 that never decrease.

    Raises:
        DataError: The synthetic voice needs more than twice the recording's time.
    """
    t, s = len(recorded), len(synthetic)
    if t * 2 < s:
        raise DataError(f"{s * HOP:.1f} s of text in {t * HOP:.1f} s of speech; is it the text of this recording?")
    columns = np.arange(s)
    total = np.where(columns < 2, 0.0, np.inf)
    steps = np.zeros((t, s), np.int8)
    norm = (synthetic**2).sum(1)
    for i, frame in enumerate(recorded):
        cost = np.sqrt(np.maximum(norm - 2 * synthetic @ frame + frame @ frame, 0))
        if i:
            choices = np.stack([total * 1.0, np.r_[np.inf, total[:-1]], np.r_[np.inf, np.inf, total[:-2]]])
            steps[i] = choices.argmin(0)
            total = choices.min(0)
        total = total + cost
        total[np.abs(columns - i * s / t) > 150 + 0.2 * s] = np.inf  # too far from the diagonal
    path = np.empty(t, np.int64)
    path[-1] = s - 1 if np.isfinite(total[-1]) else int(total.argmin())
    for i in range(t - 1, 0, -1):
        path[i - 1] = path[i] - steps[i, path[i]]
    return path


def silent_frames(wave: Wave) -> NDArray[np.bool_]:
    """Mark the frames of 10 ms in which nothing sounds, in a wave (n,) at 16 kHz: (T,)."""
    level = np.convolve(np.pad(log_mel_bands(wave).mean(1), 2, mode="edge"), np.ones(5) / 5, "valid")
    low, high = np.quantile(level, [0.02, 0.95])
    if high - low < _FLAT_RANGE:
        return np.full(len(level), bool(high < _FLAT_SILENCE))
    return np.asarray(level < low + _SILENCE_SHARE * (high - low))


def _speech_range(wave: Wave) -> tuple[int, int]:
    """The first frame with sound, and the one behind the last; the whole wave where there is no speech."""
    silent = silent_frames(wave)
    sounding = np.flatnonzero(~silent)
    return (int(sounding[0]), int(sounding[-1]) + 1) if len(sounding) > _MIN_SPEECH_FRAMES else (0, len(silent))


def _warp_phonemes(
    phonemes: tuple[Phoneme, ...], path: NDArray[np.int64], silent: NDArray[np.bool_], duration: float
) -> tuple[Phoneme, ...]:
    """Move phonemes of the synthetic voice to the recording's time; whatever overlaps a pause there is cut off."""
    moved = []
    for p in phonemes:
        start, end = (float(np.searchsorted(path, t / HOP, "left")) * HOP for t in (p.start, p.end))
        end = min(max(end, start + 0.02), duration)
        pieces = [(p.ipa, start, end)] if not p.ipa else _cut_at_pause(p.ipa, start, end, silent)
        moved += [Phoneme(*piece) for piece in pieces if piece[2] > piece[1]]
    return tuple(moved)


def _cut_at_pause(ipa: str, start: float, end: float, silent: NDArray[np.bool_]) -> list[tuple[str, float, float]]:
    """Where a phoneme covers a pause, keep the part in which something sounds and make the rest a pause."""
    inside = silent[round(start / HOP) : round(end / HOP)]
    if inside.sum() * HOP < _PAUSE:
        return [(ipa, start, end)]
    sounding = np.flatnonzero(~inside)
    if not len(sounding):
        return [(ipa, start, min(start + 0.06, end)), ("", min(start + 0.06, end), end)]
    first, last = start + sounding[0] * HOP, start + (sounding[-1] + 1) * HOP
    return [("", start, first), (ipa, first, last), ("", last, end)]
