"""One clip of a corpus of voices: speech without a face, and the mouth movement that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOUTH_RATE = 100
"""Mouths per second: one per frame of the log-mel spectrogram that the audio encoders read."""


@dataclass(frozen=True)
class VoiceClip:
    """Speech at 16 kHz and the mouth that speaks it. Letters: n samples, T mouths at `MOUTH_RATE`."""

    wave: NDArray[np.int16]  # (n,)
    mouth: NDArray[np.float16]  # (T, 11) controls and closure, see synth/face/units.py
    lips: NDArray[np.float16]  # (T, 40, 2) landmarks of the lips, see synth/person/spoken_lips.py
    voice: str  # the engine and its voice

    @classmethod
    def load(cls, path: Path) -> VoiceClip:
        """Read a ``voice_NNNNNN.npz``."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["wave"], stored["mouth"], stored["lips"], str(stored["voice"]))
