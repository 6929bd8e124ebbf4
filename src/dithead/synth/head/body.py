"""What all people of a head model share, and how shape keys make one of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dithead.synth.head.anatomy import study
from dithead.synth.head.assets import Floats, HeadModel, Key
from dithead.synth.head.mesh import corner_sum, plain_surface, smooth_surface

EXPRESSIONS = ("mouth-open", "mouth-pursing", "mouth-protusion", "mouth-compression", "mouth-retraction",
               "mouth-part-later", "mouth-parling", "mouth-elevation", "mouth-depression", "mouth-corner-puller",
               "mouth-depression-retraction", "mouth-upward-retraction", "mouth-eversion",
               "eye-left-closure", "eye-right-closure", "eye-left-slit", "eye-right-slit",
               "eye-left-opened-up", "eye-right-opened-up", "eyebrows-left-up", "eyebrows-right-up",
               "eyebrows-left-inner-up", "eyebrows-right-inner-up", "eyebrows-left-down",
               "eyebrows-right-down", "neck-platysma", "nose-left-elevation", "nose-right-elevation")  # fmt: skip


class Body:
    """What all people of a head model share: topology, anatomy, subdivision. Build once a process."""

    def __init__(self, head: HeadModel, *, fine: bool = False) -> None:
        surface = smooth_surface if fine else plain_surface
        self.head = head
        self.anatomy = study(head)
        self.faces = head.mesh.faces[head.groups["body"]]
        self.gather = corner_sum(self.faces, len(head.vertices))
        self.skin = surface(head.mesh, head.groups["body"], len(head.vertices))
        clothed = self.anatomy.clothed[self.faces].all(axis=1)
        self.cloth = surface(head.mesh, head.groups["body"][clothed], len(head.vertices))
        self.tongue = np.unique(head.mesh.faces[head.groups["helper-tongue"]])
        self.lower_teeth = np.unique(head.mesh.faces[head.groups["helper-lower-teeth"]])
        self.upper_teeth = np.unique(head.mesh.faces[head.groups["helper-upper-teeth"]])


def shaped(head: HeadModel, weights: Mapping[str, float]) -> Floats:
    """The head's vertices (V, 3) with shape keys added."""
    vertices = head.vertices.copy()
    for name, weight in weights.items():
        key = head.key(name)
        vertices[key.index] += np.float32(weight) * key.delta
    return vertices


def blended(head: HeadModel, name: str, ancestry: tuple[float, float, float]) -> Key:
    """One expression key, mixed from the three ancestries' versions."""
    total = np.zeros_like(head.vertices)
    for kind, part in zip(("african", "asian", "caucasian"), ancestry, strict=True):
        if part > 0.02:
            key = head.key(f"expression/{kind}/{name}")
            total[key.index] += np.float32(part) * key.delta
    index = np.flatnonzero(np.abs(total).max(axis=1) > 1e-5).astype(np.int32)
    return Key(index, total[index])


# What of the mouth is soft enough for one side to lag behind the other; the jaw is one bone.
SIDED = ("mouth-pursing", "mouth-retraction", "mouth-part-later", "mouth-parling", "mouth-corner-puller")
MORE_LEFT = "{}~"  # name of the key that strengthens another at x > 0 and weakens it at x < 0


def sided(key: Key, rest: Floats) -> Key:
    """The key at x > 0 and its opposite at x < 0, nothing on the midline."""
    side = np.tanh(rest[key.index, 0] / 0.15)
    return Key(key.index, key.delta * side[:, None])


def lopsided(key: Key, rest: Floats, slant: float) -> Key:
    """The key stronger on one side of the face (x > 0 for positive ``slant``), unchanged on the midline."""
    side = np.tanh(rest[key.index, 0] / 0.15)
    return Key(key.index, key.delta * (1 + np.float32(slant) * side[:, None]))
