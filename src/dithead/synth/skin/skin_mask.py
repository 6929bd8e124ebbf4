"""Finds what is not skin in a projected picture: hair, glasses or a background that cover the face.

Letters: A side of the skin picture, N texels that the face covers. The bounds are decimetres on the neutral head.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.synth.skin.atlas import SkinAtlas
from dithead.synth.skin.completion import local_mean
from dithead.synth.types import Floats

_MIN_SKIN = 200  # texels below which the middle of the face says nothing about the skin's colour


def outside_features(atlas: SkinAtlas) -> Floats:
    """Return (N,) 0 on the brows, eyes and nostrils and behind the face, 1 elsewhere."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    brow = (np.abs(y - 7.40 - 0.05 * np.clip(x - 0.1, 0, 0.3)) < 0.12) & (x > 0.04) & (x < 0.62)
    nostril = (np.abs(y - 6.86) < 0.05) & (x < 0.16)
    return np.asarray(~(brow | nostril) & (z > 0.5), np.float32)


def skin_likelihood(atlas: SkinAtlas, logs: Floats, trust: Floats) -> Floats:
    """Compute where a picture shows skin.

    Args:
        atlas: relates texels to the head.
        logs: (N, 3) log reflectance.
        trust: (N,) in the picture.

    Returns:
        (N,) 0 where something else covers what the mesh says is skin, 1 on skin.
    """
    middle = (np.abs(atlas.place[:, 0]) < 0.55) & (np.abs(atlas.place[:, 1] - 7.0) < 0.25) & (trust > 0.2)
    if middle.sum() < _MIN_SKIN:
        return np.ones(len(trust), np.float32)
    centre = np.median(logs[middle], axis=0)
    smooth = local_mean(atlas.picture(logs), atlas.picture(trust), 4.0)[atlas.covered]
    unlike = np.maximum(_unlike_skin(atlas, smooth - centre), _lopsided(atlas, smooth, trust, centre))
    wide = cv2.dilate(atlas.picture(unlike.astype(np.float32)), np.ones((13, 13), np.uint8))
    wide = cv2.GaussianBlur(_cut_off_from(atlas, wide, middle), (0, 0), 4)[atlas.covered].clip(0, 1)
    return np.asarray(1 - wide, np.float32)


def _unlike_skin(atlas: SkinAtlas, difference: Floats) -> Floats:
    """(N,) 1 where the log reflectance differs too far from the skin's, more strictly towards the hair."""
    grey = difference.mean(axis=1)
    hue = np.abs(difference - grey[:, None]).max(axis=1)
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    strict = np.clip(np.maximum((x - 0.46) / 0.12, (y - 7.5) / 0.15), 0, 1)
    unlike = np.maximum((np.abs(grey) - 0.6 + 0.25 * strict) / 0.25, (hue - 0.32 + 0.12 * strict) / 0.15).clip(0, 1)
    any_colour = np.maximum((1 - outside_features(atlas)) * (z > 0.9), np.maximum(atlas.beard, atlas.lips))
    unlike *= 1 - any_colour * np.clip(1 - (x - 0.52) / 0.06, 0, 1)
    return unlike


def _lopsided(atlas: SkinAtlas, smooth: Floats, trust: Floats, centre: Floats) -> Floats:
    """(N,) 1 where one side of the forehead or temple is unlike skin and its mirror image is not: there is hair."""
    off = np.abs(atlas.picture(smooth) - centre).max(axis=2)
    trusted = atlas.picture(trust)
    twin, twin_trusted = (cv2.remap(p.astype(np.float32), *atlas.mirror, cv2.INTER_LINEAR) for p in (off, trusted))
    upper = np.clip((atlas.place[:, 1] - 7.28) / 0.05, 0, 1)
    worse = np.clip((off - twin - 0.18) / 0.15, 0, 1) * (twin_trusted > 0.08)
    return np.asarray(worse[atlas.covered] * upper, np.float32)


def _cut_off_from(atlas: SkinAtlas, unlike: Floats, middle: NDArray[np.bool_]) -> Floats:
    """``unlike`` (A, A), and 1 wherever only texels unlike skin lead to the middle of the face."""
    count, labels = cv2.connectedComponents((atlas.covered & (unlike < 0.5)).astype(np.uint8), connectivity=4)
    in_middle = np.bincount(labels[atlas.covered][middle], minlength=count)
    in_middle[0] = 0
    return np.asarray(np.where(labels == int(np.argmax(in_middle)), unlike, 1.0), np.float32)
