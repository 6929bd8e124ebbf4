"""Develops HDR pictures, PQ and HLG, into SDR ones and back, so that faces look the same to all that looks at them.

Landmarks, tints and the model's drawings belong to pictures as screens of standard range show them. The mapping is
invertible, so what is drawn in such a picture is put into the source's own values. White is 1 in linear light, 203
nits, as in ITU-R BT.2408.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18
"""Transfer characteristics of H.273: SMPTE ST 2084, and ARIB STD-B67."""
BT2020 = 9
"""Primaries of H.273."""
_WHITE = 203.0  # nits of a white page (BT.2408)
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2  # nits of the display, and its system gamma (BT.2100)
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # of PQ (BT.2100)
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # of HLG (BT.2100)
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # from BT.2020's primaries (BT.2087)
_KNEE, _PEAK = 0.5, 1000 / _WHITE  # up to the knee light is kept, and the peak becomes 1 (our choice)
_BEND = (_PEAK - _KNEE) / (1 - _KNEE)
_GAMMA = 2.2  # of the screen of standard range

Colours = NDArray[np.float32]
"""(h, w, 3) R'G'B', where 1 is the largest value."""


@dataclass(frozen=True)
class ToneMapping:
    """How pictures of one kind become SDR ones."""

    transfer: int
    wide: bool  # the primaries are those of BT.2020

    def develop(self, signal: Colours) -> Colours:
        """Return the SDR picture of a picture's values; beyond 1 and below 0 lies what an SDR screen cannot show."""
        light = _light_of_pq(signal) if self.transfer == PQ else _light_of_hlg(signal)
        if self.wide:
            light = cv2.transform(light, _TO_709)
        over = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
        return _power(np.minimum(light, _KNEE) + (1 - _KNEE) * over / (1 + over * (1 - 1 / _BEND)), 1 / _GAMMA)

    def restore(self, developed: Colours) -> Colours:
        """Return the values of a picture for an SDR picture, the inverse of ``develop``."""
        light = _power(developed, _GAMMA)
        over = np.clip((light - _KNEE) / (1 - _KNEE), 0, 1.1)  # the curve never comes to 1.13
        light = np.minimum(light, _KNEE) + (1 - _KNEE) * over / (1 - over * (1 - 1 / _BEND))
        if self.wide:
            light = cv2.transform(light, np.linalg.inv(_TO_709))
        return _pq_of_light(light) if self.transfer == PQ else _hlg_of_light(light)

    def differences(self, signal: Colours, change: Colours) -> Colours:
        """Return by how much values change where their SDR picture changes; exactly 0 where that does not."""
        developed = self.develop(signal)
        moved = self.restore(developed + change) - self.restore(developed)
        return np.asarray(moved * np.any(change != 0, axis=2, keepdims=True), np.float32)


@lru_cache(maxsize=4)
def tone_mapping(transfer: int, primaries: int) -> ToneMapping | None:
    """Return the mapping for two codes of H.273; None for pictures of standard range."""
    return ToneMapping(transfer, primaries == BT2020) if transfer in (PQ, HLG) else None


def white_level() -> float:
    """Return what a white page becomes in the SDR picture, where 1 is the brightest light."""
    over = (1 - _KNEE) / (1 - _KNEE)
    return float((_KNEE + (1 - _KNEE) * over / (1 + over * (1 - 1 / _BEND))) ** (1 / _GAMMA))


def _power(values: NDArray[Any], exponent: float) -> Colours:
    """Powers that keep the sign."""
    powers = cv2.pow(np.abs(values), exponent).reshape(values.shape)
    return np.asarray(np.copysign(powers, values), np.float32)


def _luma(light: Colours) -> NDArray[np.float32]:
    return np.asarray(light @ _LUMA, np.float32)[..., None]


def _light_of_pq(signal: Colours) -> Colours:
    root = cv2.pow(np.clip(signal, 0, 1), 1 / _M2)
    return np.asarray(cv2.pow(np.maximum(root - _C1, 0) / (_C2 - _C3 * root), 1 / _M1) * (10000 / _WHITE), np.float32)


def _pq_of_light(light: Colours) -> Colours:
    root = cv2.pow(np.clip(light, 0, None) * (_WHITE / 10000), _M1)
    return np.asarray(cv2.pow((_C1 + _C2 * root) / (1 + _C3 * root), _M2), np.float32)


def _light_of_hlg(signal: Colours) -> Colours:
    low = np.clip(signal, 0, 1)
    scene = np.where(low <= 0.5, low * low / 3, (np.exp((np.maximum(low, 0.5) - _C) / _A) + _B) / 12)
    luma = _luma(scene.astype(np.float32))
    return np.asarray(scene * _power(luma, _HLG_GAMMA - 1) * (_HLG_PEAK / _WHITE), np.float32)


def _hlg_of_light(light: Colours) -> Colours:
    shown = np.clip(light, 0, None) * np.float32(_WHITE / _HLG_PEAK)
    luma = np.maximum(_luma(shown), 1e-9)
    scene = shown / _power(luma, 1 - 1 / _HLG_GAMMA)
    high = _A * np.log(np.maximum(12 * scene - _B, 1e-6)) + _C
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high), np.float32)
