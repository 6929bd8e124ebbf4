"""Backgrounds behind a person: walls, curtains, brick, shelves, windows, rooms and lights, painted out of focus.

A painter draws a canvas (SIZE, SIZE, 3) of display values, where 1 is white and more is overexposed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dithead.synth.noise import fractal_noise
from dithead.synth.types import Floats, Picture

RNG = np.random.Generator
SIZE = 384
"""Side of a background in pixels; it is stretched over the picture."""

# Common colours of paint, plaster, cloth and wood in HSV: hue in degrees, saturation. The value is drawn. Our choice.
_WALLS = ((40, 0.04), (36, 0.12), (30, 0.22), (45, 0.16), (210, 0.06), (205, 0.18), (150, 0.10), (95, 0.14), (20, 0.18))
_WOODS = ((26, 0.45), (30, 0.35), (22, 0.55), (35, 0.25))
_BOOKS = ((5, 0.65), (215, 0.5), (140, 0.35), (30, 0.45), (42, 0.2), (0, 0.05), (25, 0.7), (240, 0.15))
_SCREENS = ((197, 0.75), (210, 0.65), (130, 0.6), (0, 0.0), (220, 0.3))


def backdrop(rng: RNG, white_balance: tuple[float, float, float]) -> Picture:
    """Paint a background as the camera that records the face sees it.

    Args:
        rng: Draws the kind and everything in it.
        white_balance: The camera's factors on RGB.

    Returns:
        A picture (SIZE, SIZE, 3).
    """
    kinds = list(KINDS.values())
    paint, blur, _ = kinds[int(rng.choice(len(kinds), p=[share for _, _, share in kinds]))]
    canvas = cv2.GaussianBlur(paint(rng), (0, 0), float(rng.uniform(*blur)), borderType=cv2.BORDER_REFLECT)
    grain = cv2.resize(fractal_noise(rng, 256, 4, 6), (SIZE, SIZE))[..., None]
    lit = canvas * _falloff(rng) * (1 + float(rng.uniform(0.0, 0.04)) * grain) * np.array(white_balance) ** 0.4
    return np.asarray(np.clip(lit * 255, 0, 255), np.uint8)


def random_colour(rng: RNG, value: tuple[float, float], saturation: float = 0.5) -> Floats:
    """Draw an RGB colour (3,) of any hue, mostly a pale one, with a ``value`` of HSV in the given range."""
    return _rgb(rng.uniform(0, 360), rng.beta(1.2, 2.5) * saturation * 2, rng.uniform(*value))


def _rgb(hue: float, saturation: float, value: float) -> Floats:
    hsv = np.array([[[hue % 360, min(saturation, 1), min(value, 1)]]], np.float32)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])


def _colour_of(rng: RNG, family: tuple[tuple[int, float], ...], value: tuple[float, float]) -> Floats:
    """Draw a colour near one of a family of (hue, saturation)."""
    hue, saturation = family[int(rng.integers(len(family)))]
    return _rgb(hue + rng.normal(0, 5), saturation * rng.uniform(0.6, 1.3), rng.uniform(*value))


def _falloff(rng: RNG) -> Floats:
    """Light (SIZE, SIZE, 1) that fades across the wall, with a brighter spot of random strength."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    spot = np.exp(-((x - rng.uniform(0, 1)) ** 2 + (y - rng.uniform(-0.2, 0.6)) ** 2) / 0.15) * rng.uniform(0, 0.25)
    return np.asarray(1 + slope * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)) + spot, np.float32)[..., None]


def _flat(colour: Floats) -> Floats:
    return np.tile(colour.astype(np.float32), (SIZE, SIZE, 1))


def _wall(rng: RNG) -> Floats:
    return _flat(_colour_of(rng, _WALLS, (0.25, 0.95)))


def _screen(rng: RNG) -> Floats:
    """A studio's backdrop: one even colour, perhaps nearly black."""
    return _flat(_colour_of(rng, _SCREENS, (0.05, 0.85)))


def _curtain(rng: RNG) -> Floats:
    """Vertical folds of cloth."""
    x = np.arange(SIZE) / SIZE
    phase = 2 * np.pi * (rng.uniform(4, 14) * x + 0.35 * np.sin(2 * np.pi * (rng.uniform(0.7, 2.0) * x + rng.random())))
    folds = 1 + rng.uniform(0.08, 0.3) * np.sin(phase) + 0.05 * np.sin(2.3 * phase + 1)
    return np.asarray(_wall(rng) * folds[None, :, None], np.float32)


def _brick(rng: RNG) -> Floats:
    """Rows of bricks or tiles, bare or painted over."""
    bare = rng.random() < 0.4
    canvas = _flat(_colour_of(rng, _WALLS, (0.45, 0.8)))
    colour = _rgb(14, 0.5, rng.uniform(0.35, 0.6)) if bare else canvas[0, 0] * rng.uniform(0.9, 1.1)
    high = int(rng.integers(12, 26))
    wide, shift = int(high * rng.uniform(2, 3)), 0 if rng.random() < 0.3 else 1
    for row, y in enumerate(range(0, SIZE, high)):
        for x in range(-wide * (row * shift % 2) // 2, SIZE, wide):
            shade = colour * rng.normal(1, 0.10 if bare else 0.03)
            cv2.rectangle(canvas, (x + 1, y + 1), (x + wide - 2, y + high - 2), tuple(map(float, shade)), -1)
    return canvas


def _shelves(rng: RNG) -> Floats:
    """Boards with books, and gaps between them."""
    wood, canvas = _colour_of(rng, _WOODS, (0.2, 0.75)), _wall(rng)
    canvas *= rng.uniform(0.35, 0.9)
    step = int(rng.integers(60, 110))
    for y in range(int(rng.integers(10, 60)), SIZE + step, step):
        x = int(rng.integers(-20, 30))
        while x < SIZE:
            wide, high = int(rng.integers(5, 16)), int(step * rng.uniform(0.5, 0.85))
            if rng.random() < 0.12:
                x += int(rng.integers(10, 60))
            spine = tuple(map(float, _colour_of(rng, _BOOKS, (0.1, 0.85))))
            cv2.rectangle(canvas, (x, y - high), (x + wide, y), spine, -1)
            x += wide + 1
        cv2.rectangle(canvas, (0, y), (SIZE, y + 6), tuple(map(float, wood)), -1)
    return canvas


def _window(rng: RNG) -> Floats:
    """Panes of daylight in a wall, often overexposed."""
    canvas = _wall(rng) * np.float32(rng.uniform(0.4, 1.0))
    x, y = (int(v) for v in rng.integers(-80, 220, 2))
    wide, high = (int(v) for v in rng.integers(110, 260, 2))
    sky, ground = _rgb(205, rng.uniform(0, 0.4), 1.0) * rng.uniform(0.8, 1.3), _rgb(100, 0.3, rng.uniform(0.2, 0.8))
    cv2.rectangle(canvas, (x, y), (x + wide, y + high), tuple(map(float, sky)), -1)
    cv2.rectangle(
        canvas, (x, y + int(high * rng.uniform(0.5, 1.0))), (x + wide, y + high), tuple(map(float, ground)), -1
    )
    frame = tuple(map(float, _colour_of(rng, _WALLS, (0.5, 0.95))))
    for part in range(int(rng.integers(1, 4)) + 1):
        cv2.line(canvas, (x + part * wide // 2, y), (x + part * wide // 2, y + high), frame, 7)
    cv2.rectangle(canvas, (x, y), (x + wide, y + high), frame, 8)
    return canvas


def _room(rng: RNG) -> Floats:
    """A wall with rectangles, some of them framed, that pass for doors, pictures and furniture, and perhaps a plant."""
    canvas = _wall(rng)
    for _ in range(int(rng.integers(2, 8))):
        x, y = (int(v) for v in rng.integers(-60, SIZE, 2))
        w, h = (int(v) for v in rng.integers(20, 190, 2))
        colour = _colour_of(rng, _WOODS if rng.random() < 0.4 else _WALLS, (0.08, 0.95))
        colour = random_colour(rng, (0.1, 0.9), 0.4) if rng.random() < 0.25 else colour
        cv2.rectangle(canvas, (x, y), (x + w, y + h), tuple(map(float, colour)), -1)
        if rng.random() < 0.4:
            inner = tuple(map(float, colour * rng.uniform(0.6, 1.3)))
            cv2.rectangle(canvas, (x + 7, y + 7), (x + w - 7, y + h - 7), inner, -1)
    if rng.random() < 0.35:
        _plant(rng, canvas)
    return canvas


def _plant(rng: RNG, canvas: Floats) -> None:
    x, y = int(rng.choice([rng.integers(0, 110), rng.integers(270, SIZE)])), int(rng.integers(120, 360))
    for _ in range(int(rng.integers(25, 70))):
        leaf = tuple(map(float, _rgb(rng.normal(105, 15), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.5))))
        centre = (x + int(rng.normal(0, 34)), y + int(rng.normal(0, 42)))
        cv2.ellipse(canvas, centre, (int(rng.integers(8, 26)), 5), float(rng.uniform(0, 180)), 0, 360, leaf, -1)


def _lights(rng: RNG) -> Floats:
    """Lights out of focus in the dark, most of them warm."""
    canvas = _wall(rng) * np.float32(rng.uniform(0.08, 0.35))
    family = _WOODS if rng.random() < 0.6 else _SCREENS
    for _ in range(int(rng.integers(6, 30))):
        glow = np.zeros_like(canvas)
        colour = tuple(map(float, _colour_of(rng, family, (0.4, 1.0)) * rng.uniform(0.1, 0.6)))
        cv2.circle(glow, tuple(map(int, rng.integers(0, SIZE, 2))), int(rng.integers(6, 34)), colour, -1, cv2.LINE_AA)
        canvas += glow
    return canvas


# Kind: how to paint it, the range of the sigma in pixels by which it is out of focus, and its share. Our choice.
KINDS: dict[str, tuple[Callable[[RNG], Floats], tuple[float, float], float]] = {
    "wall": (_wall, (1.0, 2.0), 0.20),
    "screen": (_screen, (1.0, 2.0), 0.14),
    "curtain": (_curtain, (1.5, 7.0), 0.10),
    "brick": (_brick, (1.2, 5.0), 0.08),
    "shelves": (_shelves, (2.0, 9.0), 0.10),
    "window": (_window, (2.0, 12.0), 0.10),
    "room": (_room, (1.5, 12.0), 0.20),
    "lights": (_lights, (1.5, 5.0), 0.08),
}
