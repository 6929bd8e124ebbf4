"""Where the lips are while somebody speaks, without rendering: landmarks of a moved head as a face tracker sees them.

Letters: T moments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dithead.face.mesh_indices import (
    INNER_LIP_BOTTOM,
    INNER_LIP_TOP,
    LEFT_EYE_OUTER,
    LIP_INDICES,
    RIGHT_EYE_OUTER,
)
from dithead.synth.face.lip_contact import LipContact, apply_contact
from dithead.synth.face.units import CONTROLS, UNITS, units_of
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import sample_identity
from dithead.synth.head.landmark_vertices import landmark_points
from dithead.synth.person.moving_head import MovingHead
from dithead.synth.types import Floats, Ints

_PERSON = 5
"""Seed of the person whose lips speak: a mouth of about mean width."""
_AROUND = 0.7  # decimetres from the middle of the lips within which vertices matter to them


def spoken_lips(units: Floats, closure: Floats, tuck: Floats) -> NDArray[np.float32]:
    """Move a head and read its lips.

    Args:
        units: (T, 52) weights of the face units.
        closure: (T,) how far the lips are closed.
        tuck: (T,) how far the lower lip goes to the upper teeth.

    Returns:
        (T, 40, 2) the lips' landmarks in the order of `LIP_INDICES`, x to the person's left and y down, over the
        distance of the outer eye corners.
    """
    lips = _Lips.of_shipped_head()
    rows = zip(units @ lips.by_unit, closure, tuck, strict=True)
    return np.stack([lips.at(moved, LipContact(float(c), min(float(t), 1.0))) for moved, c, t in rows])


def lips_of_controls(controls: Floats, press: float) -> NDArray[np.float32]:
    """Do as `spoken_lips` with speech controls (T, 11) of a speaker whose lips press as ``press`` says."""
    tuck = controls[:, CONTROLS.index("lipTuck")]
    return spoken_lips(units_of(controls, press), controls[:, len(CONTROLS)], tuck)


def lip_gap(lips: Floats) -> NDArray[np.float32]:
    """Return the opening between the inner lips (T,) of lips (T, 40, 2), in their unit."""
    top, bottom = (lips[:, LIP_INDICES.index(i)] for i in (INNER_LIP_TOP, INNER_LIP_BOTTOM))
    return np.asarray(np.linalg.norm(top - bottom, axis=-1), np.float32)


@dataclass(frozen=True)
class _Lips:
    """What moves the landmarks of a head's lips.

    Attributes:
        head: the head.
        near: (K,) its vertices that matter to the lips.
        by_unit: (52, K * 3) how each unit moves them.
        eyes: the distance of the outer eye corners in decimetres.
    """

    head: MovingHead
    near: Ints
    by_unit: Floats
    eyes: float

    @classmethod
    @lru_cache(maxsize=1)
    def of_shipped_head(cls) -> _Lips:
        model = load_head()
        head = MovingHead(Body(model), sample_identity(_PERSON, model.key_names))
        points = landmark_points(model, head.base)
        moved = np.zeros((len(UNITS), *head.base.shape), np.float32)
        for row, name in zip(moved, UNITS, strict=True):
            row[head.keys[name].index] = head.keys[name].delta
        near = np.flatnonzero(np.abs(head.base[:, :2] - points[INNER_LIP_TOP, :2]).max(axis=1) < _AROUND)
        eyes = float(np.linalg.norm(points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]))
        return cls(head, near.astype(np.int32), moved[:, near].reshape(len(UNITS), -1), eyes)

    def at(self, moved: Floats, contact: LipContact) -> NDArray[np.float32]:
        """Lips (40, 2) whose vertices ``moved`` by (K * 3,)."""
        head = self.head
        posed = head.base.copy()
        posed[self.near] += moved.reshape(-1, 3)
        apply_contact(head.body.anatomy.lip_topology, posed, head.base, head.tooth_edge, contact)
        points = landmark_points(head.body.head, posed)[list(LIP_INDICES), :2]
        return np.asarray(points * (1, -1) / self.eyes, np.float32)
