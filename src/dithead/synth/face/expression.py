"""The expression of a face in one frame: speech, then smiles and blinks, then lips that touch.

Letters: N frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.synth.face.lip_contact import LipContact
from dithead.synth.face.motion import Motion
from dithead.synth.face.units import CONTROLS, LEADING, UNITS, units_of
from dithead.synth.face.visemes import LARGEST_CONTROL
from dithead.synth.types import Floats


@dataclass(frozen=True)
class MouthTrack:
    """The mouth's movement in a clip, one row a frame.

    Attributes:
        units: (N, 52) weights of the face units, see `units.UNITS`.
        change: (N, 52) their change per second.
        closure: (N,) how far the lips are closed for p, b and m, 0..1.
        tuck: (N,) how far the lower lip goes to the upper teeth, 0..1.
        stick: (N,) how far the lips still stick together, 0..1.
        tongue_tip: (N,) how far the tongue's tip is raised, 0..1.
    """

    units: Floats
    change: Floats
    closure: Floats
    tuck: Floats
    stick: Floats
    tongue_tip: Floats

    @classmethod
    def of_controls(cls, controls: Floats, press: float) -> MouthTrack:
        """Return a mouth that holds each row of speech controls (N, 11) and does not move on.

        Args:
            controls: rows of `visemes.mouth_curves`.
            press: how firmly this speaker's lips press on p, b and m, 0..1.
        """
        units = units_of(controls, press)
        tuck, tip = (controls[:, CONTROLS.index(name)] for name in ("lipTuck", "tongueTip"))
        return cls(units, np.zeros_like(units), controls[:, len(CONTROLS)], tuck, np.zeros_like(tuck), tip)

    def __len__(self) -> int:
        return len(self.units)

    def at_rest(self) -> MouthTrack:
        """Return a mouth that does not move for as many frames."""
        return MouthTrack(*(np.zeros_like(getattr(self, name)) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Expression:
    """Weights of the face units, and what the lips do that units cannot express."""

    weights: dict[str, float]
    contact: LipContact


def expression_at(track: MouthTrack, motion: Motion, index: int, side_lead: float) -> Expression:
    """Compute the expression in frame ``index``.

    Args:
        track: the mouth's movement by speech.
        motion: everything else that moves: smile, brows and lids are added to the speech.
        index: number of the frame, from 0.
        side_lead: seconds by which the face's left side runs ahead of the middle, and the right one behind.
    """
    closure = float(track.closure[index])
    ahead = side_lead * (1 - closure) * LEADING * track.change[index]
    units = np.clip(track.units[index] + ahead, 0, LARGEST_CONTROL)
    weights = dict(zip(UNITS, units.tolist(), strict=True))
    for name, curve in motion.weights.items():
        weights[name] += float(curve[index]) * (1 - 0.9 * closure if name.startswith("mouth") else 1.0)
    contact = LipContact(closure, min(float(track.tuck[index]), 1.0), float(track.stick[index]))
    return Expression(weights, contact)
