"""What all people of a head model share, and how shape keys make one of them.

Letters: V vertices of the head.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dithead.synth.head.anatomy import find_anatomy
from dithead.synth.head.head_model import HeadModel, ShapeKey
from dithead.synth.head.mesh import base_surface, corner_sum_matrix, subdivided_surface
from dithead.synth.types import Floats

_SIDE_WIDTH = 0.15  # decimetres from the midline over which one side of the face turns into the other


class Body:
    """What all people of a head model share: topology, anatomy and subdivision. Build it once a process.

    Attributes:
        head: the head model.
        anatomy: its regions.
        faces: (F, 4) quads of the skin.
        corner_sum: see `mesh.corner_sum_matrix`.
        skin: the skin's surface.
        cloth: the surface that clothes may cover.
        tongue, lower_teeth, upper_teeth: vertices of these parts.
    """

    def __init__(self, head: HeadModel, *, fine: bool = False) -> None:
        """Build what is shared.

        Args:
            head: the head model.
            fine: subdivide skin and cloth once, for presentation; four times the triangles.
        """
        surface = subdivided_surface if fine else base_surface
        self.head = head
        self.anatomy = find_anatomy(head)
        self.faces = head.mesh.faces[head.groups["body"]]
        self.corner_sum = corner_sum_matrix(self.faces, len(head.vertices))
        self.skin = surface(head.mesh, head.groups["body"], len(head.vertices))
        clothed = self.anatomy.clothed[self.faces].all(axis=1)
        self.cloth = surface(head.mesh, head.groups["body"][clothed], len(head.vertices))
        self.tongue = np.unique(head.mesh.faces[head.groups["helper-tongue"]])
        self.lower_teeth = np.unique(head.mesh.faces[head.groups["helper-lower-teeth"]])
        self.upper_teeth = np.unique(head.mesh.faces[head.groups["helper-upper-teeth"]])


def apply_shape_keys(head: HeadModel, weights: Mapping[str, float]) -> Floats:
    """Return the neutral head's vertices (V, 3) with weighted shape keys added."""
    vertices = head.vertices.copy()
    for name, weight in weights.items():
        key = head.key(name)
        vertices[key.index] += np.float32(weight) * key.delta
    return vertices


def asymmetric_key(key: ShapeKey, neutral: Floats, slant: float) -> ShapeKey:
    """Make a key stronger on one side of the face, unchanged on the midline.

    Args:
        key: the symmetric key.
        neutral: (V, 3) the neutral head.
        slant: how much stronger at x > 0, relative; negative: at x < 0.
    """
    side = np.tanh(neutral[key.index, 0] / _SIDE_WIDTH)
    return ShapeKey(key.index, key.delta * (1 + np.float32(slant) * side[:, None]))
