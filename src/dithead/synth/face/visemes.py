"""Phonemes to mouth movement: targets blended by dominance, lips exactly closed on p, b and m.

Co-articulation follows Cohen and Massaro 1993 (dominance functions that rise and fall exponentially around each
segment and are averaged), with closures imposed afterwards, because an average never quite closes the lips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dithead.synth.head.assets import Floats
from dithead.synth.voice.utterance import Phoneme

CONTROLS = ("jaw", "round", "wide", "part", "protrude", "tuck", "tongue")
RATE = 200  # samples a second of the control curves

_A = {  # symbol: jaw, round, wide, part, protrude, tuck, tongue
    "a": (0.85, 0, 0.15, 0.45, 0, 0, 0), "ɑ": (0.9, 0.05, 0, 0.4, 0, 0, 0), "æ": (0.78, 0, 0.4, 0.55, 0, 0, 0),
    "ʌ": (0.62, 0, 0.05, 0.4, 0, 0, 0), "ɐ": (0.6, 0, 0.1, 0.4, 0, 0, 0), "ɛ": (0.55, 0, 0.35, 0.55, 0, 0, 0),
    "e": (0.42, 0, 0.5, 0.55, 0, 0, 0), "ə": (0.34, 0, 0.1, 0.35, 0, 0, 0), "ɜ": (0.4, 0.15, 0, 0.4, 0.1, 0, 0),
    "i": (0.2, 0, 0.75, 0.6, 0, 0, 0), "ɪ": (0.27, 0, 0.5, 0.5, 0, 0, 0), "ɨ": (0.25, 0, 0.35, 0.45, 0, 0, 0),
    "ɔ": (0.66, 0.5, 0, 0.3, 0.3, 0, 0), "ɒ": (0.72, 0.35, 0, 0.3, 0.2, 0, 0),
    "o": (0.45, 0.75, 0, 0.2, 0.4, 0, 0), "u": (0.2, 1, 0, 0.1, 0.6, 0, 0), "ʊ": (0.27, 0.7, 0, 0.2, 0.4, 0, 0),
    "w": (0.14, 1, 0, 0.05, 0.6, 0, 0), "y": (0.18, 0.9, 0, 0.15, 0.6, 0, 0),
    "ø": (0.38, 0.75, 0, 0.25, 0.4, 0, 0), "œ": (0.52, 0.55, 0, 0.3, 0.3, 0, 0),
    "ɯ": (0.25, 0, 0.3, 0.4, 0, 0, 0), "ɥ": (0.16, 0.9, 0, 0.1, 0.6, 0, 0), "ɤ": (0.4, 0, 0.1, 0.4, 0, 0, 0),
    "p": (0.05, 0, 0, 0, 0, 0, 0), "b": (0.05, 0, 0, 0, 0, 0, 0), "m": (0.03, 0, 0, 0, 0, 0, 0),
    "f": (0.1, 0, 0.15, 0.3, 0, 1, 0), "v": (0.12, 0, 0.15, 0.3, 0, 1, 0),
    "ʋ": (0.14, 0.1, 0.1, 0.2, 0, 0.8, 0), "ɸ": (0.06, 0.3, 0, 0.05, 0.2, 0, 0),
    "β": (0.06, 0.1, 0, 0.05, 0, 0, 0), "θ": (0.24, 0, 0.15, 0.45, 0, 0, 0.9),
    "ð": (0.24, 0, 0.1, 0.4, 0, 0, 0.9), "t": (0.16, 0, 0.15, 0.4, 0, 0, 0.8),
    "d": (0.18, 0, 0.1, 0.4, 0, 0, 0.8), "n": (0.18, 0, 0.1, 0.4, 0, 0, 0.8),
    "s": (0.06, 0, 0.3, 0.6, 0, 0, 0.3), "z": (0.07, 0, 0.25, 0.55, 0, 0, 0.3),
    "l": (0.3, 0, 0.1, 0.45, 0, 0, 1), "ʃ": (0.12, 0.45, 0, 0.6, 0.8, 0, 0.2),
    "ʒ": (0.13, 0.45, 0, 0.55, 0.8, 0, 0.2), "ɕ": (0.1, 0.2, 0.2, 0.5, 0.4, 0, 0.2),
    "ɹ": (0.22, 0.45, 0, 0.35, 0.5, 0, 0.2), "r": (0.26, 0.1, 0, 0.4, 0.1, 0, 0.7),
    "ɾ": (0.28, 0, 0, 0.4, 0, 0, 0.8), "j": (0.2, 0, 0.55, 0.5, 0, 0, 0), "k": (0.3, 0, 0.1, 0.4, 0, 0, 0),
    "ɡ": (0.3, 0, 0.1, 0.4, 0, 0, 0), "ŋ": (0.28, 0, 0.1, 0.4, 0, 0, 0), "x": (0.32, 0, 0.1, 0.4, 0, 0, 0),
    "h": (0.38, 0, 0.1, 0.4, 0, 0, 0), "ħ": (0.5, 0, 0.1, 0.4, 0, 0, 0), "ʔ": (0.3, 0, 0.1, 0.35, 0, 0, 0),
    "q": (0.4, 0, 0, 0.4, 0, 0, 0), "↓": (0.2, 0, 0.05, 0.3, 0, 0, 0),
}  # fmt: skip
_LIKE = {
    "g": "ɡ", "ʁ": "x", "χ": "x", "ɣ": "x", "ç": "j", "ʝ": "j", "ɲ": "j", "ʎ": "l", "ɭ": "l", "ɫ": "l", "ɻ": "ɹ",
    "ʈ": "t", "ɖ": "d", "ɳ": "n", "ʂ": "ʃ", "ʐ": "ʒ", "ʑ": "ɕ", "c": "k", "ɟ": "ɡ", "ɱ": "v", "ɵ": "ø", "ʉ": "u",
    "ɘ": "ə", "ɞ": "ɜ", "ɝ": "ɜ", "ɚ": "ə", "ɶ": "œ", "ɰ": "ɯ", "ʏ": "y", "ɦ": "h", "ʕ": "ħ", "ɽ": "ɾ", "ʀ": "x",
    "ᵻ": "ɨ", "ä": "a", "ã": "a", "õ": "o", "ĩ": "i", "ũ": "u", "ẽ": "e", "ʍ": "w", "ɬ": "l", "ɮ": "l", "ʟ": "l",
}  # fmt: skip
_VOWELS = set("aɑæʌɐɛeəɜiɪɨɔɒouʊyøœɯɤ")
_CLOSED = set("pbm")
_WEAK = set("hʔħkɡŋxq")  # formed behind the lips, which take their neighbours' shape
# How firmly a sound holds each control: vowels hold the jaw, labials and sibilants the lips.
_STRENGTH_OTHER = np.array([1.0, 0.9, 0.7, 0.9, 0.8, 1.5, 1.2])
_STRENGTH_VOWEL = np.array([1.0, 1.1, 1.0, 1.0, 1.0, 0.6, 0.6])


@dataclass(frozen=True)
class Style:
    """How one speaker moves: gain of each control, how sluggishly, how firmly lips close."""

    gain: tuple[float, ...] = (1.0,) * len(CONTROLS)
    spread: float = 0.060  # seconds: reach of each sound into its neighbours
    press: float = 0.35
    rest_gap: float = 0.0  # lips slightly parted in pauses
    tack: float = 0.07  # seconds for which lips go on sticking together at the corners


def sample_style(rng: np.random.Generator) -> Style:
    """A speaker's habits."""
    effort = float(np.exp(rng.normal(0, 0.24)))
    gain = effort * np.exp(rng.normal(0, 0.14, len(CONTROLS)))
    parted = float(rng.choice([0.0, 0.0, 0.0, 0.06]))
    return Style(tuple(float(g) for g in gain), float(rng.uniform(0.045, 0.075)), float(rng.uniform(0.15, 0.6)), parted,
                 float(rng.uniform(0.03, 0.11)))  # fmt: skip


@dataclass(frozen=True)
class _Segment:
    symbol: str
    start: float
    end: float


def segments(phonemes: Sequence[Phoneme]) -> list[_Segment]:
    """Single symbols with times: diphthongs and affricates split, length marks and diacritics dropped."""
    result = []
    for phoneme in phonemes:
        symbols = [_LIKE.get(c, c) for c in phoneme.ipa]
        symbols = [c for c in symbols if c in _A]
        if phoneme.ipa.startswith("("):
            symbols = []  # a language switch, not a sound
        step = (phoneme.end - phoneme.start) / max(len(symbols), 1)
        for i, symbol in enumerate(symbols or [""]):
            result.append(_Segment(symbol, phoneme.start + i * step, phoneme.start + (i + 1) * step))
    return result


def mouth_curves(phonemes: Sequence[Phoneme], duration: float, style: Style) -> Floats:
    """Control curves (T, 7) at RATE over ``duration`` seconds, plus closure in a last column: (T, 8) in 0..1."""
    time = np.arange(round(duration * RATE) + 1) / RATE
    sounds = segments(phonemes)
    total = np.zeros((len(time), len(CONTROLS)))
    weight = np.full((len(time), len(CONTROLS)), 0.015)  # the resting mouth pulls everywhere a little
    total[:, 3] += 0.015 * style.rest_gap
    for sound in sounds:
        target, strength, reach = _target(sound, style)
        middle, half = (sound.start + sound.end) / 2, (sound.end - sound.start) / 2
        distance = np.maximum(np.abs(time - middle) - 0.6 * half, 0)
        dominance = np.outer(np.exp(-distance / reach), strength)
        total += dominance * target
        weight += dominance
    curves = _smooth(total / weight, 0.016)
    closure = _closure(time, sounds)
    opening = curves * (1 - closure[:, None])
    opening[:, 1] += 0.6 * curves[:, 1] * closure  # lips stay rounded while closed
    return np.column_stack([np.clip(opening, 0, 1.3), closure]).astype(np.float32)


def _target(sound: _Segment, style: Style) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    if not sound.symbol:
        rest = np.zeros(len(CONTROLS))
        rest[0], rest[3] = 0.4 * style.rest_gap, style.rest_gap
        return rest, np.full(len(CONTROLS), 0.9), style.spread * 1.2
    strength = _STRENGTH_VOWEL if sound.symbol in _VOWELS else _STRENGTH_OTHER
    if sound.symbol in _WEAK:
        strength = strength * 0.35
    brief = min(1.0, (sound.end - sound.start) / 0.07)  # unstressed sounds undershoot
    return np.array(_A[sound.symbol]) * style.gain, strength * (0.4 + 0.6 * brief), style.spread


def _closure(time: NDArray[np.float64], sounds: Sequence[_Segment]) -> NDArray[np.float64]:
    """1 while the lips of p, b, m are shut (at least 50 ms), with ramps of 70 ms."""
    closure = np.zeros(len(time))
    for sound in sounds:
        if sound.symbol in _CLOSED:
            middle, half = (sound.start + sound.end) / 2, max((sound.end - sound.start) / 2 - 0.015, 0.025)
            ramp = np.clip((np.abs(time - middle) - half) / 0.07, 0, 1)
            closure = np.maximum(closure, 1 - ramp * ramp * (3 - 2 * ramp))
    return closure


def sticking(curves: Floats, tack: float) -> Floats:
    """(T,) how far the lips still hold together: 1 where they touch, then dying away in about ``tack`` seconds."""
    opening = curves[:, CONTROLS.index("jaw")] + curves[:, CONTROLS.index("part")]
    touching = np.clip(1 - opening / 0.08, 1e-6, 1)
    time = np.arange(len(curves)) / (RATE * tack)
    return np.exp(np.maximum.accumulate(np.log(touching) + time) - time).astype(np.float32)


def _smooth(curves: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    radius = int(3 * sigma * RATE) + 1
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (sigma * RATE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(curves, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, i], kernel, "valid") for i in range(curves.shape[1])], axis=1)


def face_weights(controls: Floats, press: float) -> dict[str, float]:
    """One moment's controls (8,) to the head's expression keys; gains set so that apertures match real speech."""
    jaw, rounded, wide, part, protrude, tuck, _, closure = (float(c) for c in controls)
    return {
        "mouth-open": 0.38 * jaw,
        "mouth-pursing": 0.62 * rounded,
        "mouth-protusion": 0.35 * protrude * (1 - closure),
        "mouth-retraction": 0.60 * wide,
        "mouth-part-later": 0.13 * part,
        "mouth-parling": 0.55 * part + 0.35 * tuck,
        "mouth-eversion": -0.3 * closure * press,
        "mouth-elevation": 0.30 * tuck,
        "mouth-compression": press * closure * 0.5,
    }


# Gap of rendered people's lips against their controls, least squares over 64 people's clips, times the 1.11 by which
# MediaPipe sees it wider than it is (22 people, R2 0.91): targets must be what is measured on real faces.
_GAP = np.array([0.148, 0.010, -0.003, 0.072, 0.089, -0.007, 0.001, -0.002])
_GAP_JAW_CLOSED, _GAP_REST = -0.217, 0.001


def lip_gap(controls: Floats) -> Floats:
    """Opening between the inner lips that controls (..., 8) make, in distances between the outer eye corners."""
    gap = controls @ _GAP + _GAP_JAW_CLOSED * controls[..., 0] * controls[..., 7] + _GAP_REST
    return np.asarray(np.maximum(gap, 0), np.float32)
