"""The expression of a face in one frame: speech, then smiles and blinks, then lips sealed on closures.

Letters: N frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dithead.synth.face.expression_keys import ONE_SIDED_KEYS, side_difference
from dithead.synth.face.lip_contact import LipContact
from dithead.synth.face.motion import Motion
from dithead.synth.face.visemes import CONTROLS, expression_weights
from dithead.synth.types import Floats

_TUCK, _CLOSURE = CONTROLS.index("tuck"), len(CONTROLS)
_LARGEST_CONTROL = 1.3  # the bound that `visemes.mouth_curves` sets, too


class MouthTrack(Protocol):
    """The mouth's movement in a clip, one row a frame. `corpus.talking_clip.Script` is one."""

    @property
    def controls(self) -> Floats:
        """(N, 8) control values, see `visemes.CONTROLS`; the last column is lip closure."""

    @property
    def change(self) -> Floats:
        """(N, 8) change of the controls in one second."""

    @property
    def stick(self) -> Floats:
        """(N,) how far the lips still stick together, 0..1."""

    @property
    def press(self) -> float:
        """How firmly this speaker's lips press on p, b and m, 0..1."""


class MovableFace(Protocol):
    """What an expression depends on in a person. `person.person.Person` is one."""

    @property
    def side_lead(self) -> float:
        """Seconds by which the side of the mouth at x > 0 runs ahead of the middle."""

    def seal_lips(self, weights: Mapping[str, float], closure: float) -> dict[str, float]:
        """Return ``weights`` changed so that the inner lips meet as far as ``closure`` (0..1)."""


@dataclass(frozen=True)
class Expression:
    """Weights of the expression keys, and the state of the lips that shape keys cannot express."""

    weights: dict[str, float]
    contact: LipContact


@dataclass(frozen=True)
class RestingMouth:
    """A `MouthTrack` of a mouth that does not move."""

    controls: Floats
    change: Floats
    stick: Floats
    press: float


def resting_mouth(track: MouthTrack) -> RestingMouth:
    """Return a mouth at rest for as many frames as ``track`` has, of the same speaker."""
    zero = np.zeros_like(track.controls)
    return RestingMouth(zero, zero, np.zeros_like(track.stick), track.press)


def expression_at(face: MovableFace, track: MouthTrack, motion: Motion, index: int) -> Expression:
    """Compute the expression in frame ``index``.

    Args:
        face: whose expression it is.
        track: the mouth's movement by speech.
        motion: everything else that moves: smile, brows and lids are added to the speech.
        index: number of the frame, from 0.
    """
    controls = track.controls[index]
    closure = float(controls[_CLOSURE])
    weights = expression_weights(controls, track.press)
    later = np.clip(controls + face.side_lead * track.change[index], 0, _LARGEST_CONTROL)
    weights |= _side_differences(weights, expression_weights(later, track.press), 1 - closure)
    for name, curve in motion.weights.items():
        damping = 1 - 0.9 * closure if name.startswith("mouth") else 1.0
        weights[name] = weights.get(name, 0.0) + float(curve[index]) * damping
    roll = closure * min(0.15 + 0.9 * track.press, 1.0)
    contact = LipContact(roll, min(float(controls[_TUCK]), 1.0), float(track.stick[index]))
    return Expression(face.seal_lips(weights, closure), contact)


def _side_differences(now: Mapping[str, float], later: Mapping[str, float], share: float) -> dict[str, float]:
    """Weights by which the side at x > 0 runs ahead of the middle, and the other side as far behind."""
    return {side_difference(name): share * (later[name] - now[name]) for name in ONE_SIDED_KEYS if name in now}
