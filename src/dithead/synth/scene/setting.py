"""The setting of a clip: light, background, camera and clothes, drawn from a seed. Lengths are in decimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dithead.synth.scene.backdrop import backdrop, random_colour
from dithead.synth.types import RNG, Picture

Triple = tuple[float, float, float]

_TYPICAL_TONE = 0.30  # skin luminance for which the exposure is left as it is
_GAMMA = 2.2  # of clothes' colours, from display values to linear light


@dataclass(frozen=True)
class Light:
    """A soft key, a fill and a rim light with an ambient light of two colours, and how the camera exposes them.

    Directions are unit vectors towards the light; colours are linear RGB.
    """

    key_direction: Triple
    key_colour: Triple
    key_spread: float  # radians, the angle at which the lamp is seen
    fill_direction: Triple
    fill_colour: Triple
    rim_direction: Triple
    rim_colour: Triple
    ambient_up: Triple  # from above
    ambient_down: Triple  # from below
    white_balance: Triple  # factors on linear RGB
    exposure: float  # factor on all light
    contrast: float  # 0 to 1, strength of the S curve on display values

    def uniforms(self) -> dict[str, Any]:
        """Return the values that the shaders need, by the name of their uniform."""
        names = ("key_direction", "key_colour", "fill_direction", "fill_colour", "rim_direction", "rim_colour",
                 "ambient_up", "ambient_down", "white_balance", "exposure", "contrast")  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Setting:
    """A light, a background picture, where the camera stands and how good it is, and what the person wears."""

    light: Light
    background: Picture
    distance: float  # decimetres from the camera to the face
    height: float  # decimetres that the picture spans at the face
    shift: tuple[float, float]  # decimetres of the face from the picture's centre: right, up
    azimuth: float  # radians, where the camera stands: to the person's left
    elevation: float  # radians, and above
    handheld: float  # decimetres, standard deviation of the camera's own shake
    noise: float  # grey levels of 255, about the standard deviation of the sensor noise
    blur: float  # pixels, sigma of the lens blur
    saturation: float  # factor
    vignette: float  # 0 to 1, how much darker the corners are
    cloth: dict[str, Any]  # uniforms of the shader of the clothes


def _direction(azimuth: float, elevation: float) -> Triple:
    """Unit vector for two angles in radians; azimuth 0 points out of the face."""
    c = np.cos(elevation)
    return float(np.sin(azimuth) * c), float(np.sin(elevation)), float(np.cos(azimuth) * c)


def _tinted(warmth: float, power: float) -> Triple:
    """White light of ``power``, redder for a positive ``warmth`` and bluer for a negative one."""
    return power * (1 + 0.22 * warmth), power, power * (1 - 0.30 * warmth)


def sample_setting(seed: int, *, tone: float = 0.3, height: tuple[float, float] = (2.75, 3.4)) -> Setting:
    """Draw a setting.

    Args:
        seed: The same seed gives the same setting.
        tone: Luminance of the person's skin, 0 to 1: the exposure follows the face as that of cameras does.
        height: Range in decimetres of what the picture spans at the face.

    Returns:
        The setting.
    """
    rng = np.random.default_rng([0x5E, seed])
    light = _light(rng, tone)
    noise = rng.beta(2, 3)
    return Setting(
        light=light,
        background=backdrop(np.random.default_rng([0xBD, seed]), light.white_balance),
        distance=float(rng.uniform(6, 16)),
        height=float(rng.uniform(*height)),
        shift=(float(rng.normal(0, 0.08)), float(rng.normal(0.0, 0.07))),
        azimuth=float(rng.normal(0, 0.13)),
        elevation=float(rng.normal(0.0, 0.07)),
        handheld=float(rng.choice([0.0, 0.0, 0.004, 0.012])),
        noise=float(0.6 + 5.5 * noise),
        blur=float(rng.uniform(0.25, 0.85)),
        saturation=float(rng.uniform(0.8, 1.1)),
        vignette=float(rng.uniform(0, 0.25)),
        cloth=_cloth(rng),
    )


def _light(rng: RNG, tone: float) -> Light:
    side = rng.choice([-1, 1])
    # Warmth of the key and of the other lights; the spread is small because white balance removes most of it.
    warm, other = rng.normal(0.08, 0.24), rng.normal(-0.1, 0.35)
    key = float(rng.uniform(1.3, 2.5))
    ambient = float(rng.uniform(0.2, 0.6))
    up, down = (
        _tinted(float(other) * 0.6, ambient),
        _tinted(float(warm), ambient * float(rng.uniform(0.35, 0.75))),
    )
    rim = float(rng.choice([0.0, rng.uniform(0.3, 2.2)]))
    # A camera meters on the face: darker skin is exposed longer, but not until it is as bright as fair skin.
    exposure = 0.75 * (_TYPICAL_TONE / max(tone, 0.02)) ** 0.32 / (0.32 * key + 0.62 * ambient + 0.25)
    cast = _tinted(float(rng.normal(0, 0.13)), 1.0)
    return Light(
        key_direction=_direction(side * float(rng.uniform(0.1, 1.0)), float(rng.uniform(0.2, 0.85))),
        key_colour=_tinted(float(warm), key),
        key_spread=float(rng.uniform(0.15, 0.5)),
        fill_direction=_direction(-side * float(rng.uniform(0.4, 1.3)), float(rng.uniform(-0.1, 0.4))),
        fill_colour=_tinted(float(other), key * float(rng.uniform(0.12, 0.5))),
        rim_direction=_direction(-side * float(rng.uniform(2.0, 2.8)), float(rng.uniform(0.1, 0.7))),
        rim_colour=_tinted(float(rng.normal(0, 0.4)), rim),
        ambient_up=up,
        ambient_down=down,
        white_balance=cast,
        exposure=float(exposure * rng.uniform(0.85, 1.15)),
        contrast=float(rng.uniform(0.05, 0.55)),
    )


def _cloth(rng: RNG) -> dict[str, Any]:
    """Draw colours, pattern and neckline; the latter is (height, drop at the front, pointedness, 0), see neck.glsl."""
    style = rng.integers(0, 4)  # crew neck, V-neck, scoop neck, turtle neck
    neckline = [(6.02, 0.10, 0.1, 0), (6.02, 0.31, 1.0, 0), (5.96, 0.25, 0.0, 0), (6.20, 0.02, 0.0, 0)][style]
    jitter = float(rng.uniform(-0.03, 0.03))
    first, second = random_colour(rng, (0.03, 0.85)) ** _GAMMA, random_colour(rng, (0.05, 0.9)) ** _GAMMA
    return {
        "tint": tuple(float(x) for x in first),
        "tint2": tuple(float(x) for x in second),
        "neckline": (neckline[0] + jitter, *neckline[1:]),
        "pattern": int(rng.choice([0, 0, 0, 1, 2, 3])),
    }
