"""Paints the textures of one person: skin, hair and eyes, and the tileable detail that every skin shares.

Letters: A side of the skin picture.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError
from dithead.synth.head.assets import find_texture
from dithead.synth.head.identity import Identity
from dithead.synth.noise import fractal_noise
from dithead.synth.types import RNG, Colour, Floats, Picture

SKIN_SIZE = 1024
"""A: side of the skin picture in pixels; our choice."""
U_MIN, U_MAX, V_MAX = 0.62, 1.0, 0.84
"""Where the head lies in MakeHuman's body texture: u from U_MIN to U_MAX, v from 0 to V_MAX."""
NECK_UV = (0.955, 0.66)
"""A place of plain neck skin in the body texture, for what lies outside the head's area."""
CAMERA_GAMMA = 2.2
"""Exponent between a picture's values and linear light, an approximation of sRGB."""


def read_picture(path: Path) -> Picture:
    """Read a picture as RGB or RGBA.

    Raises:
        DataError: when the file is missing or unreadable.
    """
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise DataError(f"{path}: texture missing or unreadable; copy the head model again")
    order = cv2.COLOR_BGRA2RGBA if raw.ndim == 3 and raw.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(raw, order), np.uint8)


def head_uv(uv: Floats) -> Floats:
    """Convert coordinates (V, 2) of the body texture to those of the skin picture.

    Shoulders and eye sockets, which lie outside it, share one texel of the neck.
    """
    moved = np.stack([(uv[:, 0] - U_MIN) / (U_MAX - U_MIN), uv[:, 1] / V_MAX], axis=1)
    away = uv[:, 0] < U_MIN
    moved[away] = (np.array(NECK_UV) - (U_MIN, 0)) / (U_MAX - U_MIN, V_MAX)
    return moved.astype(np.float32)


@lru_cache(maxsize=1)
def detail_picture(size: int = 512) -> Picture:
    """Paint the detail (size, size, 4) that all skins share, tileable; mid-grey is neutral.

    The channels are low noise, pores, stubble and blotches.
    """
    rng = np.random.default_rng(7)
    low = 0.5 + 0.16 * fractal_noise(rng, size, 8)
    pores = 0.5 + 0.18 * (fractal_noise(rng, size, 64, 3) - 1.2 * _soft_dots(rng, size, 2600, 1.3))
    stubble = 1.3 * _short_hairs(rng, size, 5200)
    blotches = 0.5 + 0.16 * fractal_noise(rng, size, 16, 3)
    return to_bytes(np.stack([low, pores, stubble, blotches], axis=-1))


def to_bytes(x: NDArray[np.floating[Any]]) -> Picture:
    """Convert values in 0..1 to bytes."""
    return np.asarray(np.clip(x * 255 + 0.5, 0, 255), np.uint8)


def _soft_dots(rng: RNG, size: int, count: int, radius: float) -> Floats:
    field = np.zeros((size, size), np.float32)
    np.add.at(field, tuple(rng.integers(0, size, (2, count))), rng.uniform(0.4, 1, count))
    blurred = cv2.GaussianBlur(np.pad(field, 8, mode="wrap"), (0, 0), radius)[8:-8, 8:-8]
    return np.asarray(blurred / blurred.max() * 2, np.float32)


def _short_hairs(rng: RNG, size: int, count: int) -> Floats:
    """Short hairs that all grow roughly one way."""
    field = np.zeros((size, size), np.uint8)
    for x, y in rng.integers(0, size, (count, 2)):
        angle, length = rng.normal(0.0, 0.45), rng.uniform(2, 7)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(field, (int(x), int(y)), end, int(rng.integers(110, 255)), 1, cv2.LINE_AA)
    return field.astype(np.float32) / np.float32(255)


def head_area(texture: Picture) -> Floats:
    """Cut the head out of a body texture and enlarge it: (A, A, 3) linear reflectance."""
    height, width = texture.shape[:2]
    cut = texture[int((1 - V_MAX) * height) :, int(U_MIN * width) :, :3].astype(np.float32) / 255
    big = cv2.resize(cut, (SKIN_SIZE, SKIN_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(big, 0, 1) ** CAMERA_GAMMA, np.float32)


def paint_skin(identity: Identity, folder: Path, rng: RNG) -> Picture:
    """Paint the skin of a person.

    Args:
        identity: who the person is.
        folder: the head model's folder.
        rng: draws blotches and marks.

    Returns:
        (A, A, 4) square root of the reflectance in RGB, fine relief around mid-grey in alpha.
    """
    base = head_area(read_picture(find_texture(folder, "skin", f"{identity.skin}.png")))
    face = base[250:620, 540:900].reshape(-1, 3)
    ratio = np.maximum(base, 0.002) / np.median(face, axis=0)
    grey = ratio.mean(axis=-1, keepdims=True)
    ratio = grey**0.75 * (ratio / grey) ** 0.5
    tone = np.array(identity.tone, np.float32)
    size = SKIN_SIZE
    mottle = fractal_noise(rng, size, 24, 4)[..., None] * np.array([0.025, 0.045, 0.04], np.float32)
    redness = fractal_noise(rng, size, 10, 2)[..., None] * np.array([0.02, -0.015, -0.02], np.float32)
    skin = tone * np.clip(ratio, 0.12, 1.6) * (1 + mottle + redness)
    skin = _add_marks(skin, identity, rng)
    luminance = cv2.cvtColor(np.asarray(ratio, np.float32), cv2.COLOR_RGB2GRAY)
    relief = luminance - cv2.GaussianBlur(luminance, (0, 0), 9)
    grain = fractal_noise(rng, size, 170, 2) * 0.02
    alpha = 0.5 + np.clip(relief * (0.8 + identity.age), -0.3, 0.3) + grain
    return to_bytes(np.dstack([np.sqrt(np.clip(skin, 0, 1)), alpha]))


def _add_marks(skin: Floats, identity: Identity, rng: RNG) -> Floats:
    """The reflectance (A, A, 3) with freckles, moles and age spots."""
    shade = np.zeros(skin.shape[:2], np.float32)
    for _ in range(int(identity.freckles * 900)):
        x, y = rng.normal((700, 434), (110, 110))
        cv2.circle(shade, (int(x), int(y)), int(rng.integers(1, 3)), float(rng.uniform(0.1, 0.45)), -1, cv2.LINE_AA)
    shade = cv2.GaussianBlur(shade, (0, 0), 0.9)
    for _ in range(identity.moles):
        x, y = rng.uniform((480, 230), (940, 640))
        cv2.circle(shade, (int(x), int(y)), int(rng.integers(2, 5)), float(rng.uniform(0.5, 0.85)), -1, cv2.LINE_AA)
    if identity.age > 0.4:
        for _ in range(int(identity.age * 25)):
            x, y = rng.uniform((430, 200), (940, 670))
            axes = (int(rng.integers(3, 9)), int(rng.integers(3, 7)))
            cv2.ellipse(shade, (int(x), int(y)), axes, 0, 0, 360, float(rng.uniform(0.05, 0.2)), -1)
    shade = cv2.GaussianBlur(shade, (0, 0), 0.8)[..., None]
    return np.asarray(skin * (1 - shade * np.array([0.55, 0.72, 0.8], np.float32)), np.float32)


def hair_picture(path: Path) -> Picture:
    """Read a hair texture as brightness relative to its mean (mid-grey) in RGB and coverage in alpha."""
    raw = read_picture(path)
    if raw.shape[2] == 3:
        raw = np.dstack([raw, np.full(raw.shape[:2], 255, np.uint8)])
    alpha = raw[..., 3].astype(np.float32) / 255
    grey = cv2.cvtColor(raw[..., :3].copy(), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    covered = alpha > 0.5
    mean = float(grey[covered].mean()) if covered.any() else 0.5
    relative = np.where(alpha > 0.2, ((grey + 0.04) / (mean + 0.04)) ** 0.8, 1.0)
    return to_bytes(np.dstack([np.repeat(np.clip(relative / 2, 0, 1)[..., None], 3, axis=2), alpha]))


def eye_picture(path: Path, redness: float) -> Picture:
    """Read an eye texture, less saturated and with a reddened sclera.

    Args:
        path: the texture.
        redness: of the sclera, 0..1.
    """
    raw = read_picture(path)[..., :3].astype(np.float32)
    tint = np.array([1.0, 1 - 0.06 * redness, 1 - 0.08 * redness], np.float32)
    red = np.clip((raw[..., :1] - raw.mean(axis=-1, keepdims=True)) / 60, 0, 1)  # MakeHuman's brown eyes are too red
    brown = raw.mean(axis=-1, keepdims=True) * np.array([2.0, 1.3, 0.85], np.float32)
    raw = raw + red * (brown - raw)
    grey = raw.mean(axis=-1, keepdims=True)
    return np.asarray(np.clip((grey + 0.75 * (raw - grey)) * tint * (1.02, 0.97, 0.92), 0, 255), np.uint8)


def luminance(colour: Colour) -> float:
    """Return the relative luminance of a linear colour."""
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
