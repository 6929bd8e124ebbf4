"""A person's head whose face moves by units; `person.Person` dresses it and can be drawn.

Letters: B base vertices of the head. Lengths are decimetres.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dithead.synth.face.lip_contact import NO_CONTACT, LipContact, apply_contact, meet_lips
from dithead.synth.face.units import UNITS
from dithead.synth.head.assets import face_unit
from dithead.synth.head.body import Body, apply_shape_keys, asymmetric_key
from dithead.synth.head.head_model import ShapeKey
from dithead.synth.head.identity import Identity, macro_weights
from dithead.synth.types import Floats

_SMALLEST_WEIGHT = 1e-4  # weights below this move nothing
_TEETH_LAG = 0.45  # share by which the lower teeth must move further: the jaw's shape lets them lag behind the lip
_TONGUE = "tongueOut"
# Height in decimetres up to which mouth and jaw move skin, and over which it comes to rest: beyond, tails of these
# shapes, of up to 0.7 mm, would move lids and temples.
_LOWER_LID, _LID_BAND = 7.10, 0.15


class MovingHead:
    """A head at rest and how it moves.

    Attributes:
        body: what all people of the head model share.
        identity: whose head it is.
        base: (B, 3) the head at rest, lips closed.
        posed: (B, 3) the head as `move` left it.
        keys: face unit -> how it moves this person's vertices.
        side_lead: seconds by which the mouth's side at x > 0 runs ahead of the middle.
        tooth_edge: (3,) the upper teeth's cutting edge.
    """

    def __init__(self, body: Body, identity: Identity) -> None:
        """Build a head.

        Args:
            body: what all people of the head model share.
            identity: whose head it is.
        """
        self.body, self.identity = body, identity
        self.base = _head_at_rest(body, identity)
        rng = np.random.default_rng([0xA5, identity.seed])
        slant = rng.normal(0, 0.13)  # nobody's mouth moves quite symmetrically
        self.side_lead = float(rng.normal(0, 0.016))
        self.tooth_edge = _cutting_edge(self.base[body.upper_teeth])
        self.keys = _unit_keys(body, slant)
        self.posed = self.base.copy()

    def move(self, weights: Mapping[str, float], contact: LipContact = NO_CONTACT, *, tongue_tip: float = 0.0) -> None:
        """Move the face.

        Args:
            weights: face unit -> weight.
            contact: what the lips do to each other and to the teeth.
            tongue_tip: how far the tongue's tip is raised, 0..1.
        """
        posed = self.base.copy()
        for name, weight in weights.items():
            if abs(weight) > _SMALLEST_WEIGHT:
                key = self.keys[name]
                posed[key.index] += np.float32(weight) * key.delta
        teeth = self.body.lower_teeth
        posed[teeth] += _TEETH_LAG * (posed[teeth] - self.base[teeth])
        self._move_tongue(posed, tongue_tip, weights.get(_TONGUE, 0.0))
        apply_contact(self.body.anatomy.lip_topology, posed, self.base, self.tooth_edge, contact)
        self.posed = posed

    def _move_tongue(self, posed: Floats, raised: float, out: float) -> None:
        """Move the tongue with the jaw, raise its tip towards the upper teeth, as for l, t and d, and put it out."""
        jaw = (posed[self.body.lower_teeth] - self.base[self.body.lower_teeth]).mean(axis=0)
        points = self.base[self.body.tongue]
        low, high = points[:, 2].min(), points[:, 2].max()
        tip = np.clip((points[:, 2] - low) / (high - low), 0, 1)[:, None]
        ride = jaw * np.array([1.0, 0.9, 0.6], np.float32) * np.minimum(1, 0.35 + 0.9 * tip)
        lift = np.array([0.0, 0.16, 0.11], np.float32) * raised * tip**2 - 0.75 * raised * ride * tip**2
        posed[self.body.tongue] = points + ride + lift
        key = self.keys[_TONGUE]
        posed[key.index] += np.float32(out) * key.delta

    def mouth_state(self) -> tuple[Floats, float]:
        """Return the centre of the lips (3,) on the unturned head, and the gap between the inner lips."""
        anatomy = self.body.anatomy
        upper, lower = self.posed[anatomy.upper_inner], self.posed[anatomy.lower_inner]
        closed = self.base[anatomy.upper_inner] - self.base[anatomy.lower_inner]
        gap = float((upper - lower)[1] - closed[1])
        return (upper + lower) / 2, max(gap, 0.0)


def _head_at_rest(body: Body, identity: Identity) -> Floats:
    """The person's vertices (B, 3) with closed lips; teeth and tongue lowered to where people show them.

    MakeHuman's upper teeth hide behind the lip; people show two to four millimetres of them as they speak.
    """
    base = apply_shape_keys(body.head, {**macro_weights(identity), **identity.shape})
    meet_lips(body.anatomy.lip_topology, base, 1.0)
    base[body.upper_teeth, 1] -= np.float32(0.030 + 0.020 * np.sin(identity.seed))
    base[body.lower_teeth, 1] -= np.float32(0.045)
    base[body.tongue, 1] -= np.float32(0.05)
    return base


def _unit_keys(body: Body, slant: float) -> dict[str, ShapeKey]:
    """This person's face units; those of the mouth are stronger on one side by ``slant``, and end below the eyes."""
    vertices, keys = body.head.vertices, {name: face_unit(body.head, name) for name in UNITS}
    for name, key in keys.items():
        if name.startswith(("mouth", "jaw")):
            below = np.clip((_LOWER_LID - vertices[key.index, 1]) / _LID_BAND, 0, 1)
            key = ShapeKey(key.index, key.delta * below[:, None].astype(np.float32))
            keys[name] = asymmetric_key(key, vertices, slant) if name.startswith("mouth") else key
    return keys


def _cutting_edge(teeth: Floats) -> Floats:
    """The lowest, foremost place (3,) of the middle upper ``teeth`` (V, 3)."""
    front = teeth[np.abs(teeth[:, 0]) < 0.06]
    return np.array([0.0, front[:, 1].min(), front[:, 2].max()], np.float32)
