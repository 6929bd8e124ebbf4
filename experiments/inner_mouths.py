"""Render the inside of one mouth at several openings.

It answers no question; it makes ``src/dithead/face/data/inner_mouths.npz``, with which closed mouths are opened. One
rendered person looks ahead and lowers the jaw; what is neither cavity nor teeth nor tongue is filled from the inside,
so that no lips of this person are ever shown.

    python experiments/inner_mouths.py HEAD OUT.npz          # HEAD: a folder of a parametric head with good teeth
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.level_turn import height_at
from dithead.face.mesh_indices import CHEEKS, INNER_LIPS
from dithead.synth.corpus.ground_truth import AnnotatedFrame
from dithead.synth.corpus.hard_cases import random_take
from dithead.synth.corpus.take import Take
from dithead.synth.face.expression import MouthTrack
from dithead.synth.face.units import CONTROLS
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.parts import LABELS
from dithead.synth.scene.renderer import Renderer
from dithead.types import RGB
from shared import make_parser

SEED = 2
"""Of the person: of five, the one whose upper teeth are seen best."""
OPENINGS = 10
SIDE, WIDTH = 1024, 240
"""Pixels of the rendered picture, and between the corners of the inner lips."""
# Controls of the mouth, from where the teeth are apart to wide open.
_OPENING = {"jawOpen": (0.18, 0.45), "mouthLowerDown": (0.21, 0.35), "mouthUpperUp": (0.15, 0.25)}
TOOTH = (1.0, 0.955, 0.92)
"""Colour of teeth in white light, relative to red; the rendered light is made white by it."""
TONGUE = (1.0, 0.58, 0.56)
"""Colour of tongue and gums in white light, relative to red: rendered ones are of a red that mouths do not have."""
_BRIGHTER = 1.2  # than the rendered ones, whose other channels are nearly black
_SOFT = 1.0  # pixels over which the colour of the teeth passes into that of the tongue
_HEIGHTS, _LIT = (0.0, 0.3, 0.5, 0.85, 1.0), (0.55, 1.0, 1.0, 1.25, 1.05)
"""Places between the upper lip, at 0, and the lower one, and how much of the light there is: lips cast a shadow."""
_NARROW = 8  # pixels between the lips, below which their shadow grows no shorter
_MARGIN = 0.08  # around the lips, in their width
_GAP, _CLOSED = 11, 0.7  # pixels up to which dark gaps between teeth are narrowed, and how far they are filled
_BRIGHTEST = 0.8  # quantile of the teeth's brightness from which their colour is measured


def opening_take(body: Body) -> Take:
    """Return a take in which the person looks ahead and lowers the jaw."""
    take = random_take(body, SEED, OPENINGS, silent=True)
    controls = np.zeros((OPENINGS, len(CONTROLS) + 1), np.float32)
    for name, (first, last) in _OPENING.items():
        controls[:, CONTROLS.index(name)] = np.linspace(first, last, OPENINGS)
    at_rest = {name: np.zeros_like(getattr(take.motion, name)) for name in ("head", "shift", "gaze", "camera")}
    weights = {key: np.zeros_like(curve) for key, curve in take.motion.weights.items()}
    return replace(
        take,
        script=replace(take.script, mouth=MouthTrack.of_controls(controls, 0.0)),
        motion=replace(take.motion, **at_rest, weights=weights),
        setting=replace(take.setting, azimuth=0.0, elevation=0.0),
    )


def cut(frame: AnnotatedFrame) -> tuple[RGB, NDArray[np.float32]]:
    """Return the inside of one mouth, continued beyond its lips, and the lips (20, 2) in it."""
    assert frame.labels is not None
    lips = np.asarray(frame.landmarks, np.float64)[list(INNER_LIPS)]
    inside = np.isin(frame.labels, [LABELS.index(name) for name in ("cavity", "teeth", "tongue")]).astype(np.uint8)
    inside = cv2.erode(inside, np.ones((3, 3), np.uint8))
    width = float(np.linalg.norm(lips[0] - lips[10]))
    low = np.floor(lips.min(axis=0) - _MARGIN * width).astype(int)
    high = np.ceil(lips.max(axis=0) + _MARGIN * width).astype(int)
    part, hidden = (np.ascontiguousarray(p[low[1] : high[1], low[0] : high[0]]) for p in (frame.pixels, 1 - inside))
    part = cv2.inpaint(part, hidden, 3, cv2.INPAINT_TELEA)
    factor = WIDTH / width
    size = (round(part.shape[1] * factor), round(part.shape[0] * factor))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((1, _GAP), np.uint8))
    small = cv2.addWeighted(small, 1 - _CLOSED, closed, _CLOSED, 0)
    return np.asarray(small, np.uint8), ((lips - low) * factor).astype(np.float32)


def shaded(mouth: tuple[RGB, NDArray[np.float32]]) -> tuple[RGB, NDArray[np.float32]]:
    """Return a mouth and its lips (20, 2), darker under the upper lip and brighter above the lower one."""
    picture, lips = mouth
    columns = np.arange(picture.shape[1], dtype=np.float64)
    lower, upper = lips[:11], np.concatenate([lips[10:], lips[:1]])
    below, above = (height_at(columns, chain) for chain in (lower, upper))
    height = (np.arange(len(picture))[:, None] - above) / np.maximum(below - above, _NARROW)
    light = np.interp(height, _HEIGHTS, _LIT)[..., None]
    return np.asarray(np.clip(picture * light, 0, 255), np.uint8), lips


def whitening(frame: AnnotatedFrame) -> NDArray[np.float32]:
    """Return the factors (3,) that give the brightest teeth of a frame the colour of ``TOOTH`` and keep their mean."""
    teeth = frame.pixels[frame.labels == LABELS.index("teeth")].astype(np.float64)
    bright = teeth[teeth.mean(axis=1) >= np.quantile(teeth.mean(axis=1), _BRIGHTEST)].mean(axis=0)
    wanted = np.array(TOOTH) * bright.mean() / np.mean(TOOTH)
    return (wanted / bright).astype(np.float32)


def paler(frame: AnnotatedFrame) -> AnnotatedFrame:
    """Return the frame with all but the teeth in the colour of ``TONGUE``."""
    teeth = np.float32(frame.labels == LABELS.index("teeth"))
    teeth = cv2.GaussianBlur(cv2.dilate(teeth, np.ones((3, 3), np.float32)), (0, 0), _SOFT)[..., None]  # with their rim
    grey = frame.pixels.astype(np.float32).mean(axis=2, keepdims=True)
    other = grey * np.float32(TONGUE) * np.float32(_BRIGHTER / np.mean(TONGUE))
    return replace(frame, pixels=np.uint8(np.clip(other + (frame.pixels - other) * teeth, 0, 255)))


def main() -> None:
    """Render the openings, cut their mouths out and write them."""
    parser = make_parser(__doc__)
    parser.add_argument("head", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    with Renderer(SIDE, SIDE) as renderer:
        frames = list(opening_take(Body(load_head(given.head))).render(renderer, labels=True))
    factors = whitening(frames[-1])
    frames = [replace(frame, pixels=np.uint8(np.clip(frame.pixels * factors, 0, 255))) for frame in frames]
    mouths = [shaded(cut(paler(frame))) for frame in frames]
    cheeks = np.rint(frames[0].landmarks[list(CHEEKS)]).astype(int)
    skin = np.float32(np.median([frames[0].pixels[y, x] for x, y in cheeks], axis=0).mean())
    pictures = {f"picture_{k}": picture for k, (picture, _) in enumerate(mouths)}
    np.savez_compressed(given.output, lips=np.stack([lips for _, lips in mouths]), skin=skin, **pictures)
    print(f"{given.output}: {len(mouths)} mouths, skin {skin}")


if __name__ == "__main__":
    main()
