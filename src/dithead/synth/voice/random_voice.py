"""Draw a random espeak-ng voice for a person: language, variant, rate and pitch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dithead.synth.voice.espeak import EspeakVoice
from dithead.synth.voice.texts import LANGUAGES

_TYPICAL_AGE = 0.25  # on the scale 0 to 1 of `Identity.age`: rate and pitch below are those of this age
_LANGUAGE_WEIGHTS = {"en": 6.0, "en-us": 3.0}  # all other languages have weight 1; our choice


def random_voice(rng: np.random.Generator, male: float, language: str | None = None, age: float = 0.25) -> EspeakVoice:
    """Draw a voice that suits a person.

    Args:
        rng: Draws language, variant, rate and pitch.
        male: Above 0.5 for a man's voice.
        language: One of `LANGUAGES`; None draws one.
        age: 0 to 1; older people speak more slowly, and their voices differ less by sex.

    Returns:
        The voice.
    """
    language = language or str(rng.choice(LANGUAGES, p=_language_odds()))
    variant = f"m{rng.integers(1, 9)}" if male > 0.5 else f"f{rng.integers(1, 6)}"
    older = age - _TYPICAL_AGE
    pitch = rng.normal(42 + 8 * older if male > 0.5 else 58 - 20 * older, 9)
    rate = int(rng.integers(120, 205) * (1 - 0.2 * older))
    return EspeakVoice(language, variant, rate, int(np.clip(pitch, 5, 95)), int(rng.integers(25, 80)))


def _language_odds() -> NDArray[np.float64]:
    odds = np.array([_LANGUAGE_WEIGHTS.get(language, 1.0) for language in LANGUAGES])
    return odds / odds.sum()
