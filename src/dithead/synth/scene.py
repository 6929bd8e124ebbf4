"""Where a person sits: light, background, camera and clothes, sampled from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from dithead.synth.assets import Floats
from dithead.synth.skin import Picture, fractal

RNG = np.random.Generator
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """Soft key, fill and rim with a two-colour ambience; directions point towards the light."""

    key_direction: Triple
    key_colour: Triple
    key_spread: float  # radians: how large the source looks
    fill_direction: Triple
    fill_colour: Triple
    rim_direction: Triple
    rim_colour: Triple
    ambient_up: Triple
    ambient_down: Triple
    white_balance: Triple
    exposure: float
    contrast: float

    def uniforms(self) -> dict[str, Any]:
        """What the shaders need."""
        names = ("key_direction", "key_colour", "fill_direction", "fill_colour", "rim_direction", "rim_colour",
                 "ambient_up", "ambient_down", "white_balance", "exposure", "contrast")  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Setting:
    """A light, a background picture, the camera's framing and look, and what the person wears."""

    light: Light
    background: Picture
    distance: float  # decimetres from camera to face
    height: float  # of the picture at the face, decimetres
    shift: tuple[float, float]  # of the face from the picture's centre, decimetres
    azimuth: float  # radians, where the camera stands
    elevation: float
    handheld: float
    noise: float
    blur: float
    saturation: float
    vignette: float
    cloth: dict[str, Any]


def _unit(azimuth: float, elevation: float) -> Triple:
    c = np.cos(elevation)
    return float(np.sin(azimuth) * c), float(np.sin(elevation)), float(np.cos(azimuth) * c)


def _warm(kelvin_shift: float, power: float) -> Triple:
    """A white light, warmer for positive shifts."""
    return power * (1 + 0.22 * kelvin_shift), power, power * (1 - 0.30 * kelvin_shift)


def sample_setting(seed: int, *, tone: float = 0.3, height: tuple[float, float] = (2.75, 3.4)) -> Setting:
    """A setting drawn from ``seed``; ``tone`` (skin luminance) lets exposure follow the face as cameras do."""
    rng = np.random.default_rng([0x5E, seed])
    light = _light(rng, tone)
    look = rng.beta(2, 3)
    return Setting(
        light=light,
        background=background(rng, light),
        distance=float(rng.uniform(6, 16)),
        height=float(rng.uniform(*height)),
        shift=(float(rng.normal(0, 0.08)), float(rng.normal(0.0, 0.07))),
        azimuth=float(rng.normal(0, 0.13)),
        elevation=float(rng.normal(0.0, 0.07)),
        handheld=float(rng.choice([0.0, 0.0, 0.004, 0.012])),
        noise=float(0.6 + 5.5 * look),
        blur=float(rng.uniform(0.25, 0.85)),
        saturation=float(rng.uniform(0.8, 1.1)),
        vignette=float(rng.uniform(0, 0.25)),
        cloth=_cloth(rng),
    )


def _light(rng: RNG, tone: float) -> Light:
    side = rng.choice([-1, 1])
    warm, other = rng.normal(0.15, 0.35), rng.normal(-0.1, 0.35)
    key = float(rng.uniform(1.3, 2.5))
    ambience = float(rng.uniform(0.2, 0.6))
    up, down = _warm(float(other) * 0.6, ambience), _warm(float(warm), ambience * float(rng.uniform(0.35, 0.75)))
    rim = float(rng.choice([0.0, rng.uniform(0.3, 2.2)]))
    # A camera meters on the face: darker skin is exposed longer, though not all the way.
    exposure = 0.85 * (0.30 / max(tone, 0.02)) ** 0.25 / (0.32 * key + 0.62 * ambience + 0.25)
    cast = _warm(float(rng.normal(0, 0.18)), 1.0)
    return Light(
        key_direction=_unit(side * float(rng.uniform(0.1, 1.0)), float(rng.uniform(0.2, 0.85))),
        key_colour=_warm(float(warm), key),
        key_spread=float(rng.uniform(0.15, 0.5)),
        fill_direction=_unit(-side * float(rng.uniform(0.4, 1.3)), float(rng.uniform(-0.1, 0.4))),
        fill_colour=_warm(float(other), key * float(rng.uniform(0.12, 0.5))),
        rim_direction=_unit(-side * float(rng.uniform(2.0, 2.8)), float(rng.uniform(0.1, 0.7))),
        rim_colour=_warm(float(rng.normal(0, 0.4)), rim),
        ambient_up=up,
        ambient_down=down,
        white_balance=cast,
        exposure=float(exposure * rng.uniform(0.85, 1.15)),
        contrast=float(rng.uniform(0.1, 0.7)),
    )


def _colour(rng: RNG, value: tuple[float, float], saturation: float = 0.5) -> Floats:
    hsv = np.array([[[rng.uniform(0, 360), rng.beta(1.2, 2.5) * saturation * 2, rng.uniform(*value)]]], np.float32)
    return np.asarray(cv2.cvtColor(np.clip(hsv, 0, (360, 1, 1)).astype(np.float32), cv2.COLOR_HSV2RGB)[0, 0])


def _cloth(rng: RNG) -> dict[str, Any]:
    style = rng.integers(0, 4)  # crew, v-neck, scoop, turtle
    neckline = [(6.02, 0.10, 0.1, 0), (6.02, 0.42, 1.0, 0), (5.96, 0.30, 0.0, 0), (6.20, 0.02, 0.0, 0)][style]
    jitter = float(rng.uniform(-0.03, 0.03))
    first, second = _colour(rng, (0.03, 0.85)) ** 2.2, _colour(rng, (0.05, 0.9)) ** 2.2
    return {
        "tint": tuple(float(x) for x in first),
        "tint2": tuple(float(x) for x in second),
        "neckline": (neckline[0] + jitter, *neckline[1:]),
        "pattern": int(rng.choice([0, 0, 0, 1, 2, 3])),
    }


def background(rng: RNG, light: Light, size: int = 384) -> Picture:
    """A wall, a gradient, a blurred room or lights out of focus, (size, size, 3)."""
    kind = rng.integers(0, 5)
    canvas = _gradient(rng, size)
    if kind in (1, 2):
        canvas = _room(rng, canvas)
    elif kind == 3:
        canvas = _bokeh(rng, canvas)
    blur = float(rng.uniform(1.5, 14)) if kind else 1.0
    canvas = cv2.GaussianBlur(canvas, (0, 0), blur, borderType=cv2.BORDER_REFLECT)
    texture = fractal(rng, 256, 4, 6)
    canvas *= 1 + float(rng.uniform(0.0, 0.05)) * cv2.resize(texture, (size, size))[..., None]
    tint = np.array(light.white_balance) ** 0.4
    return np.asarray(np.clip(canvas * tint * 255, 0, 255), np.uint8)


def _gradient(rng: RNG, size: int) -> Floats:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle = rng.uniform(0, 2 * np.pi)
    t = (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + 0.7) / 1.4
    first = _colour(rng, (0.08, 0.95), 0.3)
    second = np.clip(first * rng.uniform(0.5, 1.2), 0, 1)
    halo = np.exp(-((x - rng.uniform(0.2, 0.8)) ** 2 + (y - rng.uniform(0.1, 0.6)) ** 2) / 0.15) * rng.uniform(0, 0.25)
    return np.asarray(first + (second - first) * t[..., None] + halo[..., None], np.float32)


def _room(rng: RNG, canvas: Floats) -> Floats:
    """Windows, pictures, shelves and furniture as rectangles."""
    size = len(canvas)
    for _ in range(int(rng.integers(3, 14))):
        x, y = rng.integers(-60, size, 2)
        w, h = (int(v) for v in rng.integers(20, 190, 2))
        colour = tuple(float(c) for c in _colour(rng, (0.05, 1.0), 0.45))
        cv2.rectangle(canvas, (int(x), int(y)), (int(x) + w, int(y) + h), colour, -1)
        if rng.random() < 0.35:
            for book in range(int(x), int(x) + w, int(rng.integers(6, 14))):
                spine = tuple(float(c) for c in _colour(rng, (0.1, 0.9), 0.6))
                top = int(y) + int(rng.integers(0, 12))
                cv2.rectangle(canvas, (book, top), (book + 6, int(y) + h), spine, -1)
    return canvas


def _bokeh(rng: RNG, canvas: Floats) -> Floats:
    canvas *= 0.35
    for _ in range(int(rng.integers(8, 40))):
        centre = tuple(int(v) for v in rng.integers(0, len(canvas), 2))
        glow = np.zeros_like(canvas)
        colour = tuple(float(c) for c in _colour(rng, (0.4, 1.0), 0.5) * rng.uniform(0.1, 0.6))
        cv2.circle(glow, centre, int(rng.integers(6, 34)), colour, -1, cv2.LINE_AA)
        canvas += glow
    return canvas
