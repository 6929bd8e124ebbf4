"""Where a person sits: light, background, camera and clothes, sampled from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dithead.synth.scene.backdrop import any_colour, backdrop
from dithead.synth.types import RNG, Picture

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
        background=backdrop(np.random.default_rng([0xBD, seed]), light.white_balance),
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
    warm, other = rng.normal(0.08, 0.24), rng.normal(-0.1, 0.35)  # a camera's white balance takes most of it away
    key = float(rng.uniform(1.3, 2.5))
    ambience = float(rng.uniform(0.2, 0.6))
    up, down = _warm(float(other) * 0.6, ambience), _warm(float(warm), ambience * float(rng.uniform(0.35, 0.75)))
    rim = float(rng.choice([0.0, rng.uniform(0.3, 2.2)]))
    # A camera meters on the face: darker skin is exposed longer, though not all the way.
    exposure = 0.75 * (0.30 / max(tone, 0.02)) ** 0.32 / (0.32 * key + 0.62 * ambience + 0.25)
    cast = _warm(float(rng.normal(0, 0.13)), 1.0)
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
        contrast=float(rng.uniform(0.05, 0.55)),
    )


def _cloth(rng: RNG) -> dict[str, Any]:
    style = rng.integers(0, 4)  # crew, v-neck, scoop, turtle
    neckline = [(6.02, 0.10, 0.1, 0), (6.02, 0.31, 1.0, 0), (5.96, 0.25, 0.0, 0), (6.20, 0.02, 0.0, 0)][style]
    jitter = float(rng.uniform(-0.03, 0.03))
    first, second = any_colour(rng, (0.03, 0.85)) ** 2.2, any_colour(rng, (0.05, 0.9)) ** 2.2
    return {
        "tint": tuple(float(x) for x in first),
        "tint2": tuple(float(x) for x in second),
        "neckline": (neckline[0] + jitter, *neckline[1:]),
        "pattern": int(rng.choice([0, 0, 0, 1, 2, 3])),
    }
