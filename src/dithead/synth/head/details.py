"""What keeps a face from looking moulded: hair thinning out at its roots, folds that follow expression, shading lids.

Measured on meshes here, drawn by the shaders; each can be left out (`features`). Letters: V vertices of a mesh.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from dithead.synth.head.anatomy import EYE_GROUPS
from dithead.synth.head.assets import Floats, Ints
from dithead.synth.head.body import Body
from dithead.synth.scene.lighting import unit

_ROOT = 0.14  # decimetres: edges of hair nearer to the skin than this are roots
FULL = frozenset(["long01", "bob01", "bob02", "afro01"])  # styles that hang over their roots
_CROWN = 8.1  # above, edges are partings, not the hairline
# Inner and outer corner, upper and lower lid of the eye at x > 0, on the neutral head.
_LIDS = ((0.171, 7.271, 1.384), (0.446, 7.290, 1.355), (0.311, 7.332, 1.411), (0.313, 7.245, 1.374))


def growing(body: Body, base: Floats, hair: Floats) -> Floats:
    """(V,) 1 on the skin of ``base`` under ``hair`` (H, 3), falling to 0 within a centimetre before the hairline."""
    own, rest = np.asarray(body.skin.matrix @ base), np.asarray(body.skin.matrix @ body.head.vertices)
    away, _ = cKDTree(hair).query(own)
    side = (np.abs(rest[:, 0]) > 0.55) & (rest[:, 2] < 0.85)
    grows = np.clip((rest[:, 1] - np.where(side, 6.95, 7.50)) / 0.15, 0, 1)
    return np.asarray(grows * np.clip(1 - (away - 0.05) / 0.09, 0, 1), np.float32)


def hair_mask(hair: Floats, triangles: Ints, skin: Floats) -> Floats:
    """(V, 3) of hair on the neutral head: 0 at its roots to 1 a centimetre on; where around the head; how high."""
    weld = np.unique(np.round(hair, 4), axis=0, return_inverse=True)[1].ravel()
    edges = np.sort(np.stack([weld[triangles], weld[np.roll(triangles, -1, axis=1)]], axis=-1).reshape(-1, 2), axis=1)
    pairs, count = np.unique(edges, axis=0, return_counts=True)
    face = (hair[:, 2] > 0.0) & (hair[:, 1] < _CROWN)
    rim = np.isin(weld, pairs[count == 1]) & (cKDTree(skin).query(hair)[0] < _ROOT) & face
    grown = np.clip(cKDTree(hair[rim]).query(hair)[0] / 0.12, 0, 1) if rim.any() else np.ones(len(hair))
    around = np.arctan2(hair[:, 0], hair[:, 2] - 0.25)
    return np.stack([grown, around, hair[:, 1]], axis=1).astype(np.float32)


def hair_normals(position: Floats, own: Floats) -> Floats:
    """Cards of hair shade like the volume they form: mostly outwards from the skull."""
    centre = np.array([0, min(7.45, float(position[:, 1].mean()) + 0.1), 0.45], np.float32)
    out = unit(position - centre)
    flip = np.where((own * out).sum(axis=1, keepdims=True) < 0, -1, 1)
    return unit(0.65 * out + 0.35 * own * flip).astype(np.float32)


def creases(weights: Mapping[str, float], still: float) -> tuple[float, float, float]:
    """How deep skin folds beside the mouth, across the forehead and beside the eyes, 0 to 1.2; ``still``: at rest."""

    def both(name: str) -> float:
        return sum(max(float(weights.get(name.format(side), 0.0)), 0.0) for side in ("left", "right")) / 2

    smile = both("mouth-corner-puller") + 0.5 * both("mouth-retraction") + 0.3 * both("nose-{}-elevation")
    brow = 0.9 * max(both("eyebrows-{}-up") - 0.1, 0.0) + 0.5 * max(both("eyebrows-{}-inner-up") - 0.35, 0.0)
    eye = 0.7 * smile + 0.5 * both("eye-{}-slit")
    return min(still + 1.1 * smile, 1.2), min(still + brow, 1.2), min(0.8 * still + eye, 1.2)


def lid_vertices(body: Body) -> list[list[int]]:
    """Body vertices at the corners and lids of either eye, in the order of EYE_GROUPS."""
    inside, mesh, rest = np.unique(body.faces), body.head.mesh, body.head.vertices
    tree = cKDTree(rest[inside])
    found = []
    for group in EYE_GROUPS:
        side = float(np.sign(rest[np.unique(mesh.faces[body.head.groups[group]])][:, 0].mean()))
        found.append([int(inside[tree.query(np.array(place) * (side, 1, 1))[1]]) for place in _LIDS])
    return found


def lid_line(places: Floats) -> tuple[float, float, float, float]:
    """Of an eye's corners and lids (4, 3): x of the middle, y of the upper and lower lid there, half the width."""
    inner, outer, upper, lower = places
    return float(inner[0] + outer[0]) / 2, float(upper[1]), float(lower[1]), float(abs(outer[0] - inner[0])) / 2
