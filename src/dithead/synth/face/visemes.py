"""Phonemes to mouth movement: targets of face units blended by dominance functions, and closures of p, b and m.

Co-articulation follows Cohen and Massaro 1993: dominance functions rise and fall exponentially around each segment,
and the targets are averaged by them. Closures are a column of their own, because an average never quite closes lips.

Letters: T samples of a curve at `CURVE_RATE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dithead.synth.face.units import CONTROLS
from dithead.synth.types import RNG, Floats
from dithead.synth.voice.utterance import Phoneme

CURVE_RATE = 200
"""Samples a second of the control curves."""

OPENING = [CONTROLS.index(name) for name in ("jawOpen", "mouthLowerDown", "mouthUpperUp")]
"""Controls that grow with the loudness of the voice."""

_JAW, _LOWER_LIP = OPENING[:2]

# Each symbol's target of CONTROLS, in their order: our choice, after phonetics.
_TARGETS = {
    "a": (0.52, 0, 0, 0.33, 0.06, 0.4, 0.28, 0, 0, 0), "ɑ": (0.55, 0.05, 0.01, 0.24, 0.04, 0.35, 0.24, 0, 0, 0),
    "æ": (0.47, 0, 0, 0.42, 0.1, 0.49, 0.34, 0, 0, 0), "ʌ": (0.38, 0, 0, 0.26, 0.05, 0.35, 0.24, 0, 0, 0),
    "ɐ": (0.36, 0, 0, 0.26, 0.05, 0.35, 0.24, 0, 0, 0), "ɛ": (0.32, 0, 0, 0.4, 0.08, 0.49, 0.34, 0, 0, 0),
    "e": (0.25, 0, 0, 0.46, 0.11, 0.49, 0.34, 0, 0, 0), "ə": (0.2, 0, 0, 0.15, 0.03, 0.3, 0.2, 0, 0, 0),
    "ɜ": (0.25, 0.15, 0.07, 0, 0, 0.35, 0.24, 0, 0, 0), "i": (0.11, 0, 0, 0.54, 0.15, 0.53, 0.36, 0, 0, 0),
    "ɪ": (0.17, 0, 0, 0.46, 0.11, 0.44, 0.3, 0, 0, 0), "ɨ": (0.14, 0, 0, 0.29, 0.08, 0.4, 0.28, 0, 0, 0),
    "ɔ": (0.31, 0.55, 0.2, 0, 0, 0.26, 0.18, 0, 0, 0), "ɒ": (0.34, 0.39, 0.14, 0, 0, 0.26, 0.18, 0, 0, 0),
    "o": (0.2, 0.86, 0.25, 0, 0, 0.12, 0.1, 0, 0, 0), "u": (0.11, 1.15, 0.3, 0, 0, 0, 0.12, 0, 0, 0),
    "ʊ": (0.12, 0.8, 0.2, 0, 0, 0.12, 0.1, 0, 0, 0), "w": (0.06, 1.15, 0.25, 0, 0, 0, 0.06, 0, 0, 0),
    "y": (0.06, 1.09, 0.28, 0, 0, 0.09, 0.06, 0, 0, 0), "ø": (0.18, 0.83, 0.28, 0, 0, 0.21, 0.14, 0, 0, 0),
    "œ": (0.24, 0.61, 0.21, 0, 0, 0.26, 0.18, 0, 0, 0), "ɯ": (0.14, 0, 0, 0.26, 0.06, 0.35, 0.24, 0, 0, 0),
    "ɥ": (0.05, 1.09, 0.22, 0, 0, 0.06, 0.06, 0, 0, 0), "ɤ": (0.25, 0, 0, 0.17, 0.03, 0.35, 0.24, 0, 0, 0),
    "p": (0.03, 0, 0, 0, 0, 0, 0, 0, 0, 0), "b": (0.03, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "m": (0.01, 0, 0, 0, 0, 0, 0, 0, 0, 0), "f": (0.06, 0, 0, 0.12, 0.03, 0, 0.1, 0, 1, 0),
    "v": (0.07, 0, 0, 0.12, 0.03, 0, 0.1, 0, 1, 0), "ʋ": (0.07, 0.09, 0.01, 0.09, 0.02, 0.14, 0.1, 0, 0.8, 0),
    "ɸ": (0.03, 0.29, 0.13, 0, 0, 0.04, 0.04, 0, 0, 0), "β": (0.03, 0.09, 0.01, 0, 0, 0.04, 0.04, 0, 0, 0),
    "θ": (0.13, 0, 0, 0.12, 0.03, 0.4, 0.28, 0.3, 0, 0.5), "ð": (0.13, 0, 0, 0.09, 0.02, 0.35, 0.24, 0.3, 0, 0.5),
    "t": (0.08, 0, 0, 0.12, 0.03, 0.35, 0.24, 0, 0, 0.8), "d": (0.1, 0, 0, 0.09, 0.02, 0.35, 0.24, 0, 0, 0.8),
    "n": (0.1, 0, 0, 0.09, 0.02, 0.35, 0.24, 0, 0, 0.8), "s": (0.03, 0, 0, 0.26, 0.06, 0.53, 0.36, 0, 0, 0.3),
    "z": (0.04, 0, 0, 0.21, 0.06, 0.49, 0.34, 0, 0, 0.3), "l": (0.19, 0, 0, 0.1, 0.02, 0.4, 0.28, 0, 0, 1),
    "ʃ": (0.04, 0.52, 0.35, 0, 0, 0.56, 0.54, 0, 0, 0.2), "ʒ": (0.05, 0.52, 0.35, 0, 0, 0.56, 0.48, 0, 0, 0.2),
    "ɕ": (0.06, 0.22, 0.22, 0.17, 0.05, 0.44, 0.3, 0, 0, 0.2), "ɹ": (0.08, 0.57, 0.22, 0, 0, 0.15, 0.12, 0, 0, 0.2),
    "r": (0.14, 0.1, 0.06, 0, 0, 0.35, 0.24, 0, 0, 0.7), "ɾ": (0.17, 0, 0, 0, 0, 0.35, 0.24, 0, 0, 0.8),
    "j": (0.11, 0, 0, 0.45, 0.13, 0.44, 0.3, 0, 0, 0), "k": (0.19, 0, 0, 0.1, 0.02, 0.35, 0.24, 0, 0, 0),
    "ɡ": (0.19, 0, 0, 0.1, 0.02, 0.35, 0.24, 0, 0, 0), "ŋ": (0.17, 0, 0, 0.1, 0.02, 0.35, 0.24, 0, 0, 0),
    "x": (0.19, 0, 0, 0.1, 0.02, 0.35, 0.24, 0, 0, 0), "h": (0.24, 0, 0, 0.13, 0.02, 0.35, 0.24, 0, 0, 0),
    "ħ": (0.31, 0, 0, 0.17, 0.03, 0.35, 0.24, 0, 0, 0), "ʔ": (0.19, 0, 0, 0.1, 0.02, 0.3, 0.2, 0, 0, 0),
    "q": (0.25, 0, 0, 0, 0, 0.35, 0.24, 0, 0, 0), "↓": (0.11, 0, 0, 0.04, 0.02, 0.26, 0.18, 0, 0, 0),
}  # fmt: skip
# Symbols without a row of their own move like these.
_ALIASES = {
    "g": "ɡ", "ʁ": "x", "χ": "x", "ɣ": "x", "ç": "j", "ʝ": "j", "ɲ": "j", "ʎ": "l", "ɭ": "l", "ɫ": "l", "ɻ": "ɹ",
    "ʈ": "t", "ɖ": "d", "ɳ": "n", "ʂ": "ʃ", "ʐ": "ʒ", "ʑ": "ɕ", "c": "k", "ɟ": "ɡ", "ɱ": "v", "ɵ": "ø", "ʉ": "u",
    "ɘ": "ə", "ɞ": "ɜ", "ɝ": "ɜ", "ɚ": "ə", "ɶ": "œ", "ɰ": "ɯ", "ʏ": "y", "ɦ": "h", "ʕ": "ħ", "ɽ": "ɾ", "ʀ": "x",
    "ᵻ": "ɨ", "ä": "a", "ã": "a", "õ": "o", "ĩ": "i", "ũ": "u", "ẽ": "e", "ʍ": "w", "ɬ": "l", "ɮ": "l", "ʟ": "l",
}  # fmt: skip
_VOWELS = set("aɑæʌɐɛeəɜiɪɨɔɒouʊyøœɯɤ")
_BILABIALS = set("pbm")
_BEHIND_LIPS = set("hʔħkɡŋxq")  # the lips take the shape of the neighbouring sounds
# How firmly a sound holds each control: vowels hold the jaw, labials and sibilants hold the lips.
_STRENGTH_OTHER = np.array([1.0, 0.9, 0.8, 0.7, 0.7, 0.9, 0.9, 1.2, 1.5, 1.2])
_STRENGTH_VOWEL = np.array([1.0, 1.1, 1.0, 1.0, 1.0, 1.0, 1.0, 0.6, 0.6, 0.6])
_REST_PULL = 0.015  # dominance of the resting mouth at every moment
LARGEST_CONTROL = 1.3
"""Bound of each control: speakers overshoot, but faces tear beyond it."""
_SMOOTHING = 0.016  # seconds, standard deviation of the Gaussian that smooths the curves


@dataclass(frozen=True)
class SpeakingStyle:
    """How one speaker moves the mouth.

    Attributes:
        gain: factor on each of CONTROLS.
        spread: seconds by which each sound reaches into its neighbours.
        press: how firmly the lips press on p, b and m, 0..1.
        rest_gap: how far the lips are parted in pauses, 0..1.
        stick_time: seconds for which the lips go on sticking together at the corners.
    """

    gain: tuple[float, ...] = (1.0,) * len(CONTROLS)
    spread: float = 0.060
    press: float = 0.35
    rest_gap: float = 0.0
    stick_time: float = 0.07


def sample_style(rng: RNG) -> SpeakingStyle:
    """Draw one speaker's style."""
    effort = float(np.exp(rng.normal(0, 0.24)))
    gain = effort * np.exp(rng.normal(0, 0.14, len(CONTROLS)))
    rest_gap = float(rng.choice([0.0, 0.0, 0.0, 0.06]))
    return SpeakingStyle(
        gain=tuple(float(g) for g in gain),
        spread=float(rng.uniform(0.045, 0.075)),
        press=float(rng.uniform(0.15, 0.6)),
        rest_gap=rest_gap,
        stick_time=float(rng.uniform(0.03, 0.11)),
    )


@dataclass(frozen=True)
class Segment:
    """One symbol of `_TARGETS`, or '' for a pause, and when it sounds, in seconds."""

    symbol: str
    start: float
    end: float


def split_phonemes(phonemes: Sequence[Phoneme]) -> list[Segment]:
    """Split diphthongs and affricates into single symbols, and drop length marks and diacritics."""
    result = []
    for phoneme in phonemes:
        symbols = [_ALIASES.get(c, c) for c in phoneme.ipa]
        symbols = [c for c in symbols if c in _TARGETS]
        if phoneme.ipa.startswith("("):
            symbols = []  # espeak-ng's mark of a language switch, not a sound
        step = (phoneme.end - phoneme.start) / max(len(symbols), 1)
        for i, symbol in enumerate(symbols or [""]):
            result.append(Segment(symbol, phoneme.start + i * step, phoneme.start + (i + 1) * step))
    return result


def mouth_curves(phonemes: Sequence[Phoneme], duration: float, style: SpeakingStyle) -> Floats:
    """Compute the mouth's movement for a sequence of phonemes.

    Args:
        phonemes: what sounds when.
        duration: seconds that the curves cover.
        style: how the speaker moves.

    Returns:
        (T, 11) the ten CONTROLS and then lip closure in 0..1, at CURVE_RATE; `units.units_of` closes the lips.
    """
    time = np.arange(round(duration * CURVE_RATE) + 1) / CURVE_RATE
    segments = split_phonemes(phonemes)
    total = np.zeros((len(time), len(CONTROLS)))
    weight = np.full((len(time), len(CONTROLS)), _REST_PULL)
    total += _REST_PULL * _resting_target(style)
    for segment in segments:
        target, strength, reach = _target(segment, style)
        middle, half = (segment.start + segment.end) / 2, (segment.end - segment.start) / 2
        distance = np.maximum(np.abs(time - middle) - 0.6 * half, 0)
        dominance = np.outer(np.exp(-distance / reach), strength)
        total += dominance * target
        weight += dominance
    curves = _smooth(total / weight, _SMOOTHING).clip(0, LARGEST_CONTROL)
    return np.column_stack([curves, _closure(time, segments)]).astype(np.float32)


def _target(segment: Segment, style: SpeakingStyle) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Target (10,) and strength (10,) of a segment, and the seconds within which its dominance falls to 1/e."""
    if not segment.symbol:
        return _resting_target(style), np.full(len(CONTROLS), 0.9), style.spread * 1.2
    strength = _STRENGTH_VOWEL if segment.symbol in _VOWELS else _STRENGTH_OTHER
    if segment.symbol in _BEHIND_LIPS:
        strength = strength * 0.35
    length = min(1.0, (segment.end - segment.start) / 0.07)  # short, unstressed sounds undershoot their target
    return np.array(_TARGETS[segment.symbol]) * style.gain, strength * (0.4 + 0.6 * length), style.spread


def _resting_target(style: SpeakingStyle) -> NDArray[np.float64]:
    """Controls (10,) in a pause."""
    rest = np.zeros(len(CONTROLS))
    rest[OPENING] = np.array([0.16, 0.7, 0.5]) * style.rest_gap
    return rest


def _closure(time: NDArray[np.float64], segments: Sequence[Segment]) -> NDArray[np.float64]:
    """(T,) 1 while the lips of p, b and m are shut (at least 50 ms), with ramps of 70 ms."""
    closure = np.zeros(len(time))
    for segment in segments:
        if segment.symbol in _BILABIALS:
            middle = (segment.start + segment.end) / 2
            half = max((segment.end - segment.start) / 2 - 0.015, 0.025)
            ramp = np.clip((np.abs(time - middle) - half) / 0.07, 0, 1)
            closure = np.maximum(closure, 1 - ramp * ramp * (3 - 2 * ramp))
    return closure


def lip_sticking(curves: Floats, stick_time: float) -> Floats:
    """Compute how far the lips still stick together.

    Args:
        curves: (T, 11) from `mouth_curves`.
        stick_time: seconds in which the sticking decays to 1/e.

    Returns:
        (T,) 1 where the lips touch, decaying afterwards.
    """
    opening = (curves[:, _JAW] + 0.5 * curves[:, _LOWER_LIP]) * (1 - curves[:, -1])
    touching = np.clip(1 - opening / 0.03, 1e-6, 1)
    time = np.arange(len(curves)) / (CURVE_RATE * stick_time)
    return np.exp(np.maximum.accumulate(np.log(touching) + time) - time).astype(np.float32)


def _smooth(curves: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Curves (T, k) convolved with a Gaussian of ``sigma`` seconds."""
    radius = int(3 * sigma * CURVE_RATE) + 1
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (sigma * CURVE_RATE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(curves, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, i], kernel, "valid") for i in range(curves.shape[1])], axis=1)
