"""What a face does at one moment of a clip: speech, then smiles and blinks, then lips sealed where it closes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dithead.synth.face.lip_contact import Touch
from dithead.synth.face.motion import Motion
from dithead.synth.face.visemes import CONTROLS, face_weights
from dithead.synth.head.body import MORE_LEFT, SIDED

if TYPE_CHECKING:
    from dithead.synth.head.person import Person
    from dithead.synth.voice.script import Script

_TUCK, _CLOSURE = CONTROLS.index("tuck"), len(CONTROLS)


@dataclass(frozen=True)
class Look:
    """Weights of the expression keys, and what the lips do besides."""

    weights: dict[str, float]
    touch: Touch


def at_rest(script: Script) -> Script:
    """The same script with a mouth that says nothing."""
    still = np.zeros_like(script.controls)
    return replace(script, controls=still, change=still, stick=np.zeros_like(script.stick))


def expression(person: Person, script: Script, motion: Motion, index: int) -> Look:
    """The face in frame ``index``."""
    controls = script.controls[index]
    closure = float(controls[_CLOSURE])
    weights = face_weights(controls, script.press)
    ahead = face_weights(np.clip(controls + person.lag * script.change[index], 0, 1.3), script.press)
    weights |= _one_side(weights, ahead, 1 - closure)
    for name, curve in motion.weights.items():
        damp = 1 - 0.9 * closure if name.startswith("mouth") else 1.0
        weights[name] = weights.get(name, 0.0) + float(curve[index]) * damp
    roll = closure * min(0.15 + 0.9 * script.press, 1.0)
    touch = Touch(roll, min(float(controls[_TUCK]), 1.0), float(script.stick[index]))
    return Look(person.seal(weights, closure), touch)


def _one_side(now: Mapping[str, float], ahead: Mapping[str, float], share: float) -> dict[str, float]:
    """Keys by which the side at x > 0 is ahead of the middle, and the other as far behind."""
    return {MORE_LEFT.format(name): share * (ahead[name] - now[name]) for name in SIDED if name in now}
