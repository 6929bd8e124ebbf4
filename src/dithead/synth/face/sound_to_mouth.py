"""The mouth's movement from sound alone: a linear map from a third of a second of spectrum to the mouth's controls.

It serves recordings without words. The map was fitted by ridge regression to voices whose phonemes are known:

    dithead voices 160 -o VOICES --seconds 5 --seed 3
    python -m dithead.synth.face.sound_to_mouth VOICES src/dithead/synth/face/sound_to_mouth.npz

Letters: T frames of 10 ms.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.synth.face.visemes import CURVE_RATE
from dithead.synth.types import Floats
from dithead.synth.voice.phoneme_alignment import HOP, log_mel_bands, silent_frames
from dithead.types import Wave

_TABLE = "sound_to_mouth.npz"
_SAMPLE_RATE = 16000
_REACH = 18  # frames of context before and after
_STRIDE = 3  # every third frame of the context is used
_RIDGE = 30.0  # weight of the squared coefficients in the fit, our choice
_HELD_OUT = 10  # the fit leaves out every tenth voice and measures its error on them
_CLOSURE_FLOOR, _CLOSURE_RANGE = 0.3, 0.35  # closures are brief: the regression's mean never reaches 0 or 1


def mouth_from_sound(wave: Wave) -> Floats:
    """Predict the mouth's control curves (T, 11) at `visemes.CURVE_RATE` from speech (n,) at 16 kHz."""
    bias, gain, weights = _table()
    controls = (_features(wave) @ weights + bias) * gain
    controls[:, -1] = (controls[:, -1] - _CLOSURE_FLOOR) / _CLOSURE_RANGE
    silent = np.convolve(np.pad(silent_frames(wave), 4, mode="edge"), np.ones(9) / 9, "valid")[:, None]
    controls = np.clip(controls, 0, 1.2) * (1 - silent)
    at = np.arange(round(len(wave) / _SAMPLE_RATE * CURVE_RATE) + 1) / CURVE_RATE / HOP
    return np.stack([np.interp(at, np.arange(len(controls)), row) for row in controls.T], axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _table() -> tuple[Floats, Floats, Floats]:
    """Bias (11,), gain (11,) and weights (26 * 13, 11) of the map."""
    with (resources.files("dithead.synth.face") / _TABLE).open("rb") as file, np.load(file) as stored:
        return tuple(stored[name].astype(np.float32) for name in ("bias", "gain", "weights"))  # type: ignore[return-value]


def _features(wave: Wave) -> Floats:
    """Spectra around each frame, less the voice's own mean: (T, 26 * 13)."""
    bands = log_mel_bands(wave)
    sounding = ~silent_frames(wave)
    bands = bands - (bands[sounding].mean(0) if sounding.any() else bands.mean(0))
    bands = np.clip(bands, -8, 8)
    padded = np.pad(bands, ((_REACH, _REACH), (0, 0)), mode="edge")
    return np.hstack([padded[k : k + len(bands)] for k in range(0, 2 * _REACH + 1, _STRIDE)]).astype(np.float32)


def fit_map(folder: Path, output: Path) -> float:
    """Fit the map to a corpus of voices and write it.

    Args:
        folder: a folder that `dithead voices` wrote.
        output: the .npz file to write.

    Returns:
        The correlation of predicted and true jaw opening on the voices left out of the fit.
    """
    pairs = [_training_pair(path) for path in sorted(folder.glob("*.npz"))]
    kept = [pair for i, pair in enumerate(pairs) if i % _HELD_OUT]
    solved = _ridge_regression(kept)
    predicted = np.concatenate([x @ solved[:-1] + solved[-1] for x, _ in kept])
    truth = np.concatenate([y for _, y in kept])
    gain = truth.std(0) / np.maximum(predicted.std(0), 1e-3)  # a regression's predictions vary less than the truth
    np.savez(output, weights=solved[:-1].astype(np.float16), bias=solved[-1].astype(np.float16),
             gain=np.clip(gain, 1, 1.6).astype(np.float16))  # fmt: skip
    left_out = [pair for i, pair in enumerate(pairs) if i % _HELD_OUT == 0]
    jaw = np.concatenate([x @ solved[:-1, 0] for x, _ in left_out])
    return float(np.corrcoef(jaw, np.concatenate([y[:, 0] for _, y in left_out]))[0, 1])


def _ridge_regression(pairs: list[tuple[Floats, Floats]]) -> NDArray[np.float64]:
    """Coefficients (features + 1, 11); the last row is the bias."""
    size = pairs[0][0].shape[1] + 1
    square, right = np.zeros((size, size)), np.zeros((size, pairs[0][1].shape[1]))
    for x, y in pairs:
        with_bias = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
        square += with_bias.T @ with_bias
        right += with_bias.T @ y
    return np.asarray(np.linalg.solve(square + _RIDGE * np.eye(size), right), np.float64)


def _training_pair(path: Path) -> tuple[Floats, Floats]:
    """Features (T, 26 * 13) and controls (T, 11) of one file of `corpus.voices`."""
    with np.load(path, allow_pickle=False) as stored:
        wave, mouth = stored["wave"], stored["mouth"]
    features = _features(wave.astype(np.float32) / 32768)
    n = min(len(features), len(mouth))
    return features[:n], mouth[:n].astype(np.float32)


if __name__ == "__main__":
    print(f"jaw, voices left out: r = {fit_map(Path(sys.argv[1]), Path(sys.argv[2])):.2f}")
