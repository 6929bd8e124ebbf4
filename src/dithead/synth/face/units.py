"""The 52 face units of ARKit: their names, which side of the face they move, and how speech controls become units.

Phonemes, recordings and tracked faces all move a face by the same numbers. A unit is a shape key of the head model,
``faceunits/NAME``, with a weight of 0 (rest) to 1 (as far as faces go).
https://developer.apple.com/documentation/arkit/arfaceanchor/blendshapelocation
"""

from __future__ import annotations

import numpy as np

from dithead.synth.types import Floats

_BOTH_SIDES = ("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut",
               "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress",
               "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer")  # fmt: skip
_WHOLE = ("browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
          "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
          "mouthShrugUpper", "tongueOut")  # fmt: skip
SIDES = ("Left", "Right")
"""Endings of units that move one side of the face; left is the person's own, at x > 0."""

UNITS = tuple(sorted((*(name + side for name in _BOTH_SIDES for side in SIDES), *_WHOLE)))
"""Names of all face units in alphabetical order: the columns of an array of weights (..., 52)."""

LEADING = np.array([(unit[:-4] in _BOTH_SIDES) * 1.0 - (unit[:-5] in _BOTH_SIDES) for unit in UNITS], np.float32)
"""(52,) 1 for a unit of the left side, -1 for one of the right side, 0 for the others."""

CONTROLS = ("jawOpen", "mouthPucker", "mouthFunnel", "mouthStretch", "mouthSmile", "mouthLowerDown", "mouthUpperUp",
            "tongueOut", "lipTuck", "tongueTip")  # fmt: skip
"""What speech moves: units, with both sides alike, and two that are no units. ``lipTuck`` brings the lower lip to the
upper teeth (0..1), ``tongueTip`` raises the tip of the tongue (0..1). Curves hold these columns and then lip closure.
"""
_CLOSURE = len(CONTROLS)
_OPENERS = ("mouthFunnel", "mouthLowerDown", "mouthUpperUp")  # units that part the lips; the jaw may stay open

# Units that go with closed lips, at the firmest press. The amounts are our choice.
_PRESSED = {"mouthRollLower": 1.1, "mouthRollUpper": 0.75, "mouthPress": 0.1, "mouthShrugLower": 0.5}
_LIGHTEST_PRESS = 0.15  # share of that which every closure has
_TUCKED = {"mouthRollLower": 0.3, "mouthShrugLower": 0.8, "mouthUpperUp": 0.15}  # that go with a tucked lip


def unit_number(name: str) -> int:
    """Return the column of a unit in `UNITS`."""
    return UNITS.index(name)


def unit_key(name: str) -> str:
    """Return the name of a unit's shape key in the head model."""
    return f"faceunits/{name}"


def columns_of(weights: dict[str, float]) -> Floats:
    """Return weights (52,) of named units, of both sides where a name leaves out its side."""
    row = np.zeros(len(UNITS), np.float32)
    for name, weight in weights.items():
        for unit in [name] if name in UNITS else [name + side for side in SIDES]:
            row[unit_number(unit)] = weight
    return row


_OF_CONTROLS = np.stack([columns_of({n: 1.0} if n in UNITS or n in _BOTH_SIDES else {}) for n in CONTROLS])
_OF_CONTROLS[CONTROLS.index("lipTuck")] = columns_of(_TUCKED)
_OF_CLOSURE = columns_of(_PRESSED)
_OPENING = np.minimum(sum(columns_of({name: 1.0}) for name in _OPENERS), 1)


def units_of(controls: Floats, press: float) -> Floats:
    """Convert speech controls to weights of all face units.

    Closed lips stop whatever parts them, roll inwards, and meet in spite of an open jaw by ``mouthClose``.

    Args:
        controls: (..., 11) rows of `visemes.mouth_curves`.
        press: how firmly this speaker's lips press on p, b and m, 0..1.

    Returns:
        (..., 52) weights.
    """
    closure = controls[..., _CLOSURE:]
    firmness = min(_LIGHTEST_PRESS + (1 - _LIGHTEST_PRESS) * press, 1.0)
    units = controls[..., :_CLOSURE] @ _OF_CONTROLS * (1 - closure * _OPENING) + closure * firmness * _OF_CLOSURE
    units[..., unit_number("mouthClose")] = closure[..., 0] * units[..., unit_number("jawOpen")]
    return np.asarray(units, np.float32)
