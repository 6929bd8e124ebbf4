"""An utterance: mono sound and the phonemes it consists of, as every speech source of this folder returns it."""

from __future__ import annotations

from dataclasses import dataclass

from dithead.types import Wave


@dataclass(frozen=True)
class Phoneme:
    """One speech sound: its IPA symbol ('' for a pause) and when it sounds, in seconds."""

    ipa: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """A mono wave (n,) at ``rate`` samples per second, its phonemes in order, its language and its text."""

    wave: Wave
    rate: int
    phonemes: tuple[Phoneme, ...]
    language: str
    text: str
