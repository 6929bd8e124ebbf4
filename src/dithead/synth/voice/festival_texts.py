"""Texts that Festival's and Flite's voices can pronounce: sentences where there are some, else made-up words."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import numpy as np

from dithead.synth.voice.festival import FestivalVoice
from dithead.synth.voice.texts import SENTENCES, made_up_words, sample_text

_VOWELS, _ONSETS = "aeiou", ("p", "b", "m", "f", "v", "t", "d", "n", "s", "l", "r", "k", "g", "h", "")
_LATIN_LANGUAGES = ("it", "ca", "cs", "fi")  # their voices read ISO-8859-1 or nothing beyond ASCII
_CYRILLIC_CONSONANTS, _CYRILLIC_VOWELS = "пбмфвтднслркгх", "аеиоуыя"
_INDIC_BLOCKS = {"hi": 0x0900, "te": 0x0C00}  # first code point of the script; the blocks are laid out alike
_INDIC_CONSONANTS, _INDIC_VOWEL_SIGNS = (
    (0x15, 0x17, 0x1A, 0x1C, 0x24, 0x26, 0x28, 0x2A, 0x2B, 0x2C, 0x2D, 0x2E, 0x2F, 0x30, 0x32, 0x35, 0x38, 0x39),
    (0x3E, 0x3F, 0x40, 0x41, 0x42, 0x47, 0x4B),
)  # offsets within a block


def text_for_voice(rng: np.random.Generator, voice: FestivalVoice) -> str:
    """Draw a text of one to two dozen words that ``voice`` can pronounce."""
    if voice.language in SENTENCES and (voice.language == "en" or rng.random() < 0.4):
        text = sample_text(rng, voice.language, 1.0) if rng.random() < 0.5 else made_up_words(rng, 7)
        return _without_accents(text) if voice.language in _LATIN_LANGUAGES else text
    if voice.language in _INDIC_BLOCKS:
        return _words(rng, lambda: _akshara(rng, _INDIC_BLOCKS[voice.language]))
    if voice.language == "ru":
        return _words(rng, lambda: _pick(rng, _CYRILLIC_CONSONANTS) + _pick(rng, _CYRILLIC_VOWELS))
    return _words(rng, lambda: str(rng.choice(_ONSETS)) + _pick(rng, _VOWELS))


def _pick(rng: np.random.Generator, letters: str) -> str:
    return str(rng.choice(list(letters)))


def _without_accents(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _words(rng: np.random.Generator, syllable: Callable[[], str]) -> str:
    words = ["".join(syllable() for _ in range(int(rng.integers(1, 4)))) for _ in range(int(rng.integers(5, 10)))]
    return " ".join(words) + "."


def _akshara(rng: np.random.Generator, block: int) -> str:
    """An Indic syllable: a consonant letter with a vowel sign."""
    return chr(block + int(rng.choice(_INDIC_CONSONANTS))) + chr(block + int(rng.choice(_INDIC_VOWEL_SIGNS)))
