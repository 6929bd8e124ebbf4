"""What a mouth does, from the sound alone: a linear map from a third of a second of spectrum to the mouth's controls.

For recordings without words. The map was fitted by ridge regression to voices whose phonemes are known:

    dithead voices 160 -o VOICES --seconds 5 --seed 3
    python -m dithead.synth.face.sound_to_mouth VOICES src/dithead/synth/listening.npz
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.synth.face.visemes import RATE
from dithead.synth.head.assets import Floats
from dithead.synth.voice.phoneme_alignment import HOP, log_mel_bands, silent_frames
from dithead.types import Wave

_TABLE = "sound_to_mouth.npz"
_REACH, _STRIDE = 18, 3  # frames of 10 ms heard before and after, every third of them
_RIDGE = 30.0


def hear_mouth(wave: Wave) -> Floats:
    """Control curves (T, 8) at ``visemes.RATE`` for speech (n,) at 16 kHz."""
    bias, gain, weights = _table()
    guess = (_features(wave) @ weights + bias) * gain
    guess[:, -1] = (guess[:, -1] - 0.3) / 0.35  # closures are brief: a mean never reaches them
    silent = np.convolve(np.pad(silent_frames(wave), 4, mode="edge"), np.ones(9) / 9, "valid")[:, None]
    guess = np.clip(guess, 0, 1.2) * (1 - silent)
    at = np.arange(round(len(wave) / 16000 * RATE) + 1) / RATE / HOP
    return np.stack([np.interp(at, np.arange(len(guess)), row) for row in guess.T], axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _table() -> tuple[Floats, Floats, Floats]:
    with (resources.files("dithead.synth.face") / _TABLE).open("rb") as file, np.load(file) as stored:
        return tuple(stored[name].astype(np.float32) for name in ("bias", "gain", "weights"))  # type: ignore[return-value]


def _features(wave: Wave) -> Floats:
    """Spectra around each moment, less the voice's own mean: (T, 26 * 13)."""
    bands = log_mel_bands(wave)
    sounding = ~silent_frames(wave)
    bands = bands - (bands[sounding].mean(0) if sounding.any() else bands.mean(0))
    bands = np.clip(bands, -8, 8)
    padded = np.pad(bands, ((_REACH, _REACH), (0, 0)), mode="edge")
    return np.hstack([padded[k : k + len(bands)] for k in range(0, 2 * _REACH + 1, _STRIDE)]).astype(np.float32)


def fit(folder: Path, output: Path) -> float:
    """Fit the map to a folder of `dithead voices`; returns the correlation of the jaw on every tenth, left out."""
    from dithead.synth.corpus.voice_clip import VoiceClip

    clips = [VoiceClip.load(path) for path in sorted(folder.glob("*.npz"))]
    pairs = [_pair(clip.wave, clip.mouth) for clip in clips]
    kept = [pair for i, pair in enumerate(pairs) if i % 10]
    size = kept[0][0].shape[1] + 1
    square, right = np.zeros((size, size)), np.zeros((size, kept[0][1].shape[1]))
    for x, y in kept:
        x1 = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
        square += x1.T @ x1
        right += x1.T @ y
    solved = np.linalg.solve(square + _RIDGE * np.eye(size), right)
    guess = np.concatenate([x @ solved[:-1] + solved[-1] for x, _ in kept])
    truth = np.concatenate([y for _, y in kept])
    gain = truth.std(0) / np.maximum(guess.std(0), 1e-3)  # a regression is too timid by its own error
    np.savez(output, weights=solved[:-1].astype(np.float16), bias=solved[-1].astype(np.float16),
             gain=np.clip(gain, 1, 1.6).astype(np.float16))  # fmt: skip
    left = [pair for i, pair in enumerate(pairs) if i % 10 == 0]
    jaw = np.concatenate([x @ solved[:-1, 0] for x, _ in left])
    return float(np.corrcoef(jaw, np.concatenate([y[:, 0] for _, y in left]))[0, 1])


def _pair(wave: NDArray[np.int16], mouth: NDArray[np.float16]) -> tuple[Floats, Floats]:
    x = _features(wave.astype(np.float32) / 32768)
    n = min(len(x), len(mouth))
    return x[:n], mouth[:n].astype(np.float32)


if __name__ == "__main__":
    print(f"jaw, voices left out: r = {fit(Path(sys.argv[1]), Path(sys.argv[2])):.2f}")
