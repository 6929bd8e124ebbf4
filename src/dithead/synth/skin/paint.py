"""Pictures painted for one person: skin, hair, and the tileable detail every skin shares."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError
from dithead.synth.head.assets import Floats, find_texture
from dithead.synth.head.identity import Colour, Identity

Picture = NDArray[np.uint8]
SKIN_SIZE = 1024
# The head's island of MakeHuman's body texture: u from 0.62 to 1, v from 0 to 0.84.
U_MIN, U_MAX, V_MAX = 0.62, 1.0, 0.84
NECK_UV = (0.955, 0.66)  # plain neck skin, for what lies outside the head's island


def read_picture(path: Path) -> Picture:
    """An RGB or RGBA picture; raises DataError naming the file."""
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise DataError(f"{path}: texture missing or unreadable")
    order = cv2.COLOR_BGRA2RGBA if raw.ndim == 3 and raw.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(raw, order), np.uint8)


def head_uv(uv: Floats) -> Floats:
    """Body texture coordinates to the painted skin's; shoulders and sockets share one neck texel."""
    moved = np.stack([(uv[:, 0] - U_MIN) / (U_MAX - U_MIN), uv[:, 1] / V_MAX], axis=1)
    away = uv[:, 0] < U_MIN
    moved[away] = (np.array(NECK_UV) - (U_MIN, 0)) / (U_MAX - U_MIN, V_MAX)
    return moved.astype(np.float32)


def noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """Tileable smooth noise (size, size) of zero mean and unit variance with ``cells`` periods."""
    grid = rng.normal(size=(cells, cells)).astype(np.float32)
    wide = np.pad(grid, 2, mode="wrap")
    scaled = cv2.resize(wide, None, fx=size / cells, fy=size / cells, interpolation=cv2.INTER_CUBIC)
    edge = int(2 * size / cells)
    tile = scaled[edge : edge + size, edge : edge + size]
    return np.asarray((tile - tile.mean()) / tile.std(), np.float32)


def fractal(rng: np.random.Generator, size: int, cells: int, octaves: int = 4) -> Floats:
    """A sum of octaves of `noise`, each half as strong."""
    total = sum(noise(rng, size, min(cells << o, size)) * 0.5**o for o in range(octaves))
    return np.asarray(total / np.std(total), np.float32)


@lru_cache(maxsize=1)
def detail_picture(size: int = 512) -> Picture:
    """Tileable RGBA: low noise, pores, stubble dots, blotches; mid-grey is neutral."""
    rng = np.random.default_rng(7)
    low = 0.5 + 0.16 * fractal(rng, size, 8)
    pores = 0.5 + 0.18 * (fractal(rng, size, 64, 3) - 1.2 * _dots(rng, size, 2600, 1.3))
    stubble = 1.3 * _strokes(rng, size, 5200)
    blotches = 0.5 + 0.16 * fractal(rng, size, 16, 3)
    return quantise(np.stack([low, pores, stubble, blotches], axis=-1))


def quantise(x: NDArray[np.floating[Any]]) -> Picture:
    """Values 0..1 as bytes."""
    return np.asarray(np.clip(x * 255 + 0.5, 0, 255), np.uint8)


def _dots(rng: np.random.Generator, size: int, count: int, radius: float) -> Floats:
    field = np.zeros((size, size), np.float32)
    np.add.at(field, tuple(rng.integers(0, size, (2, count))), rng.uniform(0.4, 1, count))
    blurred = cv2.GaussianBlur(np.pad(field, 8, mode="wrap"), (0, 0), radius)[8:-8, 8:-8]
    return np.asarray(blurred / blurred.max() * 2, np.float32)


def _strokes(rng: np.random.Generator, size: int, count: int) -> Floats:
    """Short hairs, all growing roughly one way."""
    field = np.zeros((size, size), np.uint8)
    for x, y in rng.integers(0, size, (count, 2)):
        angle, length = rng.normal(0.0, 0.45), rng.uniform(2, 7)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(field, (int(x), int(y)), end, int(rng.integers(110, 255)), 1, cv2.LINE_AA)
    return field.astype(np.float32) / 255


def window(texture: Picture) -> Floats:
    """The head's island of the body texture, enlarged, as linear reflectance with relief in alpha."""
    height, width = texture.shape[:2]
    cut = texture[int((1 - V_MAX) * height) :, int(U_MIN * width) :, :3].astype(np.float32) / 255
    big = cv2.resize(cut, (SKIN_SIZE, SKIN_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(big, 0, 1) ** 2.2, np.float32)


def paint_skin(identity: Identity, folder: Path, rng: np.random.Generator) -> Picture:
    """(1024, 1024, 4) square root of the reflectance of this person; alpha is fine relief around mid-grey."""
    base = window(read_picture(find_texture(folder, "skin", f"{identity.skin}.png")))
    face = base[250:620, 540:900].reshape(-1, 3)
    ratio = np.maximum(base, 0.002) / np.median(face, axis=0)
    grey = ratio.mean(axis=-1, keepdims=True)
    ratio = grey**0.75 * (ratio / grey) ** 0.5
    tone = np.array(identity.tone, np.float32)
    size = SKIN_SIZE
    mottle = fractal(rng, size, 24, 4)[..., None] * np.array([0.025, 0.045, 0.04], np.float32)
    redness = fractal(rng, size, 10, 2)[..., None] * np.array([0.02, -0.015, -0.02], np.float32)
    skin = tone * np.clip(ratio, 0.12, 1.6) * (1 + mottle + redness)
    skin = _marks(skin, identity, rng)
    luminance = cv2.cvtColor(np.asarray(ratio, np.float32), cv2.COLOR_RGB2GRAY)
    relief = luminance - cv2.GaussianBlur(luminance, (0, 0), 9)
    grain = fractal(rng, size, 170, 2) * 0.02
    alpha = 0.5 + np.clip(relief * (0.8 + identity.age), -0.3, 0.3) + grain
    return quantise(np.dstack([np.sqrt(np.clip(skin, 0, 1)), alpha]))


def _marks(skin: Floats, identity: Identity, rng: np.random.Generator) -> Floats:
    """Freckles, moles and age spots, drawn into the reflectance."""
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
    """Brightness relative to the covered mean (mid-grey = mean) in RGB, coverage in alpha."""
    raw = read_picture(path)
    if raw.shape[2] == 3:
        raw = np.dstack([raw, np.full(raw.shape[:2], 255, np.uint8)])
    alpha = raw[..., 3].astype(np.float32) / 255
    grey = cv2.cvtColor(raw[..., :3].copy(), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    covered = alpha > 0.5
    mean = float(grey[covered].mean()) if covered.any() else 0.5
    relative = np.where(alpha > 0.2, ((grey + 0.04) / (mean + 0.04)) ** 0.8, 1.0)
    return quantise(np.dstack([np.repeat(np.clip(relative / 2, 0, 1)[..., None], 3, axis=2), alpha]))


def eye_picture(path: Path, redness: float) -> Picture:
    """The eye texture over its own grey, slightly reddened sclera."""
    raw = read_picture(path)[..., :3].astype(np.float32)
    tint = np.array([1.0, 1 - 0.06 * redness, 1 - 0.08 * redness], np.float32)
    red = np.clip((raw[..., :1] - raw.mean(axis=-1, keepdims=True)) / 60, 0, 1)  # MakeHuman's brown is a red
    browned = raw.mean(axis=-1, keepdims=True) * np.array([2.0, 1.3, 0.85], np.float32)
    raw = raw + red * (browned - raw)
    grey = raw.mean(axis=-1, keepdims=True)
    return np.asarray(np.clip((grey + 0.75 * (raw - grey)) * tint * (1.02, 0.97, 0.92), 0, 255), np.uint8)


def luminance(colour: Colour) -> float:
    """Relative luminance of a linear colour."""
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
