"""Array and record types that several packages of `synth` share; a leaf that imports nothing of `synth`.

Letters: V vertices, F faces, T samples of a curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dithead.types import Wave

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB or (H, W, 4) RGBA
Colour: TypeAlias = tuple[float, float, float]  # linear RGB, each channel in 0..1
RNG: TypeAlias = np.random.Generator


@dataclass(frozen=True)
class Phoneme:
    """One sound: its IPA symbol ('' for a pause) and when it sounds, in seconds."""

    ipa: str
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    """A mono recording of speech and its phonemes.

    Attributes:
        wave: samples (n,).
        rate: samples a second.
        phonemes: what sounds when; empty where it is not known.
        language: an espeak-ng language code, such as "en".
        text: the words; empty where they are not known.
    """

    wave: Wave
    rate: int
    phonemes: tuple[Phoneme, ...]
    language: str
    text: str
