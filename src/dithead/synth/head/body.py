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
_SMALL_PART = 0.02  # ancestries below this share are left out of a mixture
_SMALL_MOVE = 1e-5  # decimetres below which a vertex does not move


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


def blend_ancestries(head: HeadModel, name: str, ancestry: tuple[float, float, float]) -> ShapeKey:
    """Mix one expression key from the versions of three ancestries.

    Args:
        head: the head model.
        name: one of `face.expression_keys.EXPRESSION_KEYS`.
        ancestry: shares of African, Asian and Caucasian, which sum to 1.
    """
    total = np.zeros_like(head.vertices)
    for kind, part in zip(("african", "asian", "caucasian"), ancestry, strict=True):
        if part > _SMALL_PART:
            key = head.key(f"expression/{kind}/{name}")
            total[key.index] += np.float32(part) * key.delta
    index = np.flatnonzero(np.abs(total).max(axis=1) > _SMALL_MOVE).astype(np.int32)
    return ShapeKey(index, total[index])


def antisymmetric_key(key: ShapeKey, neutral: Floats) -> ShapeKey:
    """Return the key at x > 0 and its opposite at x < 0, nothing on the midline; ``neutral``: (V, 3) the head."""
    side = np.tanh(neutral[key.index, 0] / _SIDE_WIDTH)
    return ShapeKey(key.index, key.delta * side[:, None])


def asymmetric_key(key: ShapeKey, neutral: Floats, slant: float) -> ShapeKey:
    """Make a key stronger on one side of the face, unchanged on the midline.

    Args:
        key: the symmetric key.
        neutral: (V, 3) the neutral head.
        slant: how much stronger at x > 0, relative; negative: at x < 0.
    """
    side = np.tanh(neutral[key.index, 0] / _SIDE_WIDTH)
    return ShapeKey(key.index, key.delta * (1 + np.float32(slant) * side[:, None]))
