"""Completes a skin that pictures know in part, without a seam: mirrored, then filled from a painted skin.

Letters: A side of the skin picture, k channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from dithead.synth.skin.paint import SKIN_SIZE
from dithead.synth.types import Floats

MIN_REFLECTANCE = 0.004
"""Darker reflectances are not distinguished; our choice."""
_SPREADS = (160.0, 60.0, 24.0)  # texels: how far values spread to where nothing is known, coarse to fine


def local_mean(picture: Floats, weight: Floats, sigma: float) -> Floats:
    """Compute the weighted local mean of a picture.

    Args:
        picture: (A, A, k).
        weight: (A, A).
        sigma: standard deviation of the neighbourhood in texels.

    Returns:
        (A, A, k).
    """
    small = max(int(sigma / 5), 1)
    shape = (picture.shape[1] // small, picture.shape[0] // small)
    total, norm = (cv2.GaussianBlur(cv2.resize(p, shape, interpolation=cv2.INTER_AREA), (0, 0), sigma / small)
                   for p in (picture * weight[..., None], weight))  # fmt: skip
    mean = total / (norm[..., None] + 1e-4)
    return np.asarray(cv2.resize(mean, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def complete_skin(photo: Floats, known: Floats, stock: Floats, mirror: tuple[Floats, Floats]) -> Floats:
    """Fill the unknown parts of a skin.

    What fills is first moved to the photo's low frequencies, which spread from what is known, so that no seam shows.

    Args:
        photo: (A, A, 3) reflectance.
        known: (A, A) how far it is known, 0..1.
        stock: (A, A, 3) a whole painted skin; it fills what the photo's mirror image does not.
        mirror: `SkinAtlas.mirror`.

    Returns:
        (A, A, 3) reflectance.
    """
    logs, stock_logs = np.log(np.maximum(photo, MIN_REFLECTANCE)), np.log(np.maximum(stock, MIN_REFLECTANCE))
    everywhere = np.ones(stock_logs.shape[:2], np.float32)
    stock_logs = stock_logs - 0.7 * local_mean(stock_logs, everywhere, 40.0)  # painted necks are redder than faces
    twin = cv2.remap(logs, *mirror, cv2.INTER_LINEAR)
    twin_known = cv2.remap(known, *mirror, cv2.INTER_LINEAR) * 0.8
    base = stock_logs + spread_outwards(logs - stock_logs, np.maximum(known - 0.05, 0))
    moved_twin = twin + spread_outwards(logs - twin, np.minimum(known, twin_known))
    mirrored = base + _soft_step(twin_known, 0.06, 0.30)[..., None] * (moved_twin - base)
    share = _soft_step(known, 0.06, 0.30)[..., None]
    return np.asarray(np.exp(mirrored + share * (logs - mirrored)), np.float32)


def _soft_step(x: Floats, low: float, high: float) -> Floats:
    """(A, A) 0 below ``low`` to 1 above ``high``, slightly blurred."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(cv2.GaussianBlur((t * t * (3 - 2 * t)).astype(np.float32), (0, 0), 2.0), np.float32)


def spread_outwards(values: Floats, weight: Floats) -> Floats:
    """Spread the low frequencies of ``values`` (A, A, k) smoothly from where ``weight`` (A, A) is to everywhere."""
    result: Floats | None = None
    for sigma in _SPREADS:
        small = 8 if sigma > 40 else 4
        shape = (SKIN_SIZE // small, SKIN_SIZE // small)
        v = cv2.resize(values * weight[..., None], shape, interpolation=cv2.INTER_AREA)
        w = cv2.resize(weight, shape, interpolation=cv2.INTER_AREA)
        v, w = (cv2.GaussianBlur(p, (0, 0), sigma / small) for p in (v, w))
        mean = v / (w[..., None] + 1e-6)
        trust = np.clip(w / 0.15, 0, 1)[..., None]
        overall = (values * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
        before = overall if result is None else cv2.resize(result, shape)
        result = before + trust * (mean - before)
    return np.asarray(cv2.resize(result, (SKIN_SIZE, SKIN_SIZE), interpolation=cv2.INTER_CUBIC), np.float32)
