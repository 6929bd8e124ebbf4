"""What makes footage hard to work with, added to a take: a turned head, painted lips, captions burned in.

Letters: H, W picture; h, w a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.provenance.label_text import draw_text
from dithead.synth.corpus.ground_truth import AnnotatedFrame
from dithead.synth.corpus.take import Take
from dithead.synth.head.body import Body
from dithead.synth.head.parts import LABELS
from dithead.synth.person.person import Person
from dithead.types import RGB

CAPTIONS = ("Hello and welcome", "today we bake", "a very good pie", "so stay with us")
"""Words of captions, one after the other."""
CAPTION_FRAMES = 12
"""Frames for which each caption stands, and for which none stands after it (our choice)."""
_COLOURS = ((255, 220, 0), (255, 255, 255), (120, 255, 90))  # as on short-video platforms
_HEIGHT, _CHIN = 0.085, 152  # letters as a fraction of the picture's side; FaceMesh's index of the chin
_RIM = (1.6, 1.6, 1.7)  # light from behind, which makes the far jaw shine against the dark
_DARK = 8  # grey levels of 255
_PAINT = (
    {"lip_colour": (0.01, 0.008, 0.012), "lip_strength": 1.0, "eye_makeup": 1.0},
    {"lip_colour": (0.55, 0.01, 0.25), "lip_strength": 1.0, "lip_gloss": 1.6, "eye_makeup": 1.0, "blush": 1.0},
    {"lip_colour": (0.5, 0.02, 0.02), "lip_strength": 1.0, "lip_gloss": 1.4, "eye_makeup": 0.6},
    {"lip_colour": (0.02, 0.03, 0.4), "lip_strength": 1.0},
)  # black, magenta, red, blue


def turned(take: Take, degrees: float, *, dark: bool = False) -> Take:
    """Let the camera stand to one side.

    Args:
        take: The take.
        degrees: Yaw of the head in the picture, to the one side or the other by chance of the person.
        dark: Before a dark background, with light from behind.
    """
    side = 1 if take.person.identity.seed % 2 else -1
    setting = replace(take.setting, azimuth=float(np.radians(degrees)) * side)
    if dark:
        light = replace(setting.light, rim_colour=_RIM)
        setting = replace(setting, light=light, background=np.full_like(setting.background, _DARK))
    return replace(take, setting=setting)


def turning(take: Take, degrees: float) -> Take:
    """Let the head turn from so many ``degrees`` on the one side to as many on the other."""
    head = take.motion.head.copy()
    head[:, 0] = np.radians(degrees) * np.sin(np.linspace(-np.pi / 2, np.pi / 2, len(head)))
    return replace(take, motion=replace(take.motion, head=head))


def painted(take: Take, body: Body) -> Take:
    """Paint the person's lips and eyes heavily, in one of four colours by chance of the person."""
    identity = take.person.identity
    made_up = replace(identity, **_PAINT[identity.seed % len(_PAINT)])  # type: ignore[arg-type]
    return replace(take, person=Person(body, made_up))


def captioned(frames: Iterator[AnnotatedFrame], seed: int) -> Iterator[AnnotatedFrame]:
    """Burn words with a black edge over the chin into some frames; in their labels, they are occluders.

    Args:
        frames: The frames in order.
        seed: Decides the colour.
    """
    words, colour, place = cycle(CAPTIONS), np.array(_COLOURS[seed % len(_COLOURS)], np.float32), None
    for index, frame in enumerate(frames):
        if index % (2 * CAPTION_FRAMES) == 0:
            ink, edge = caption(next(words), frame.pixels.shape[1])
        if place is None:  # captions stand still, wherever the head goes
            place = int(frame.landmarks[_CHIN, 1]) - round(0.75 * len(ink))
        yield frame if index // CAPTION_FRAMES % 2 else _with_caption(frame, ink, edge, colour, place)


def caption(text: str, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw the letters of a caption and the same with their edge, (h, w) each, for a picture of that ``width``."""
    size = _HEIGHT * width
    ink = np.pad(draw_text(text, size, round(0.9 * width)), round(0.15 * size))
    reach = max(1, round(0.07 * size))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    return ink, np.asarray(cv2.dilate(ink, kernel), np.float32)


def burn_in(
    picture: RGB, ink: NDArray[np.float32], edge: NDArray[np.float32], colour: NDArray[np.float32], top: int
) -> tuple[RGB, NDArray[np.bool_]]:
    """Put a caption into the middle of a picture (H, W, 3); returns that, and where (H, W) it is."""
    height, width = picture.shape[:2]
    top = int(np.clip(top, 0, max(0, height - ink.shape[0])))
    left = max(0, (width - ink.shape[1]) // 2)
    box = slice(top, top + ink.shape[0]), slice(left, left + ink.shape[1])
    new, where = picture.copy(), np.zeros((height, width), bool)
    part = new[box].astype(np.float32)
    ink, edge = (x[: part.shape[0], : part.shape[1], None] for x in (ink, edge))
    new[box] = np.rint(part * (1 - edge) * (1 - ink) + colour * ink)
    where[box] = edge[..., 0] > 0.5
    return new, where


def _with_caption(
    frame: AnnotatedFrame, ink: NDArray[np.float32], edge: NDArray[np.float32], colour: NDArray[np.float32], top: int
) -> AnnotatedFrame:
    pixels, where = burn_in(frame.pixels, ink, edge, colour, top)
    labels = None if frame.labels is None else np.where(where, np.uint8(LABELS.index("occluder")), frame.labels)
    rest = None if frame.rest is None else burn_in(frame.rest, ink, edge, colour, top)[0]
    return replace(frame, pixels=pixels, labels=labels, rest=rest)
