"""Hairline, skin folds and lids: what keeps a rendered face from looking moulded.

They are measured on meshes here and drawn by the shaders; `corpus.realism` can leave each out.
Letters: V vertices of a mesh, H vertices of a hair style.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from dithead.synth.face.units import SIDES
from dithead.synth.head.anatomy import EYE_GROUPS
from dithead.synth.head.body import Body
from dithead.synth.head.mesh import unit_rows
from dithead.synth.types import Floats, Ints

STYLES_OVER_ROOTS = frozenset(["long01", "bob01", "bob02", "afro01"])
"""Hair styles that hang over their roots, so that no hairline is drawn."""

# Bounds in decimetres, read off the neutral head.
_ROOT_DISTANCE = 0.14  # edges of hair nearer to the skin than this are roots
_CROWN = 8.1  # edges above this height are partings, not the hairline
# Inner and outer corner, upper and lower lid of the eye at x > 0.
_LID_POINTS = ((0.171, 7.271, 1.384), (0.446, 7.290, 1.355), (0.311, 7.332, 1.411), (0.313, 7.245, 1.374))


def hair_growth(body: Body, base: Floats, hair: Floats) -> Floats:
    """Compute where hair grows on the skin.

    Args:
        body: the head model's shared parts.
        base: (V, 3) the person's head.
        hair: (H, 3) vertices of the person's hair.

    Returns:
        One value for each skin vertex: 1 under the hair, falling to 0 within a centimetre before the hairline.
    """
    own, neutral = np.asarray(body.skin.matrix @ base), np.asarray(body.skin.matrix @ body.head.vertices)
    distance, _ = cKDTree(hair).query(own)
    side = (np.abs(neutral[:, 0]) > 0.55) & (neutral[:, 2] < 0.85)
    scalp = np.clip((neutral[:, 1] - np.where(side, 6.95, 7.50)) / 0.15, 0, 1)
    return np.asarray(scalp * np.clip(1 - (distance - 0.05) / 0.09, 0, 1), np.float32)


def hair_vertex_data(hair: Floats, triangles: Ints, skin: Floats) -> Floats:
    """Compute what the hair shader needs of each vertex.

    Args:
        hair: (H, 3) hair on the neutral head.
        triangles: (T, 3) of the hair.
        skin: (V, 3) skin of the neutral head.

    Returns:
        (H, 3) distance from the roots (0 to 1 at a centimetre), angle around the head in radians, and height.
    """
    welded = np.unique(np.round(hair, 4), axis=0, return_inverse=True)[1].ravel()
    corners = np.stack([welded[triangles], welded[np.roll(triangles, -1, axis=1)]], axis=-1)
    pairs, count = np.unique(np.sort(corners.reshape(-1, 2), axis=1), axis=0, return_counts=True)
    near_face = (hair[:, 2] > 0.0) & (hair[:, 1] < _CROWN)
    border = np.isin(welded, pairs[count == 1])
    roots = border & (cKDTree(skin).query(hair)[0] < _ROOT_DISTANCE) & near_face
    grown = np.clip(cKDTree(hair[roots]).query(hair)[0] / 0.12, 0, 1) if roots.any() else np.ones(len(hair))
    around = np.arctan2(hair[:, 0], hair[:, 2] - 0.25)
    return np.stack([grown, around, hair[:, 1]], axis=1).astype(np.float32)


def hair_normals(position: Floats, own: Floats) -> Floats:
    """Bend the normals of hair cards outwards, so that they shade like the volume they form.

    Args:
        position: (H, 3) vertices.
        own: (H, 3) normals of the cards themselves.
    """
    centre = np.array([0, min(7.45, float(position[:, 1].mean()) + 0.1), 0.45], np.float32)
    outwards = unit_rows(position - centre)
    flip = np.where((own * outwards).sum(axis=1, keepdims=True) < 0, -1, 1)
    return unit_rows(0.65 * outwards + 0.35 * own * flip).astype(np.float32)


def crease_depths(weights: Mapping[str, float], at_rest: float) -> tuple[float, float, float]:
    """Compute how deep the skin folds beside the mouth, across the forehead and beside the eyes.

    Args:
        weights: face unit -> weight.
        at_rest: depth without expression, which grows with age.

    Returns:
        Three depths, 0 to 1.2.
    """

    def both(name: str) -> float:
        return sum(max(float(weights.get(name + side, 0.0)), 0.0) for side in SIDES) / 2

    smile = both("mouthSmile") + 0.4 * both("mouthStretch") + 0.5 * both("mouthDimple") + 0.3 * both("noseSneer")
    inner = max(float(weights.get("browInnerUp", 0.0)) - 0.35, 0.0)
    brow = 0.9 * max(both("browOuterUp") - 0.1, 0.0) + 0.5 * inner
    eye = 0.7 * smile + 0.5 * both("eyeSquint")
    return min(at_rest + 1.1 * smile, 1.2), min(at_rest + brow, 1.2), min(0.8 * at_rest + eye, 1.2)


def lid_vertices(body: Body) -> list[list[int]]:
    """Return the vertices at the corners and lids of either eye, in the order of EYE_GROUPS."""
    inside, mesh, neutral = np.unique(body.faces), body.head.mesh, body.head.vertices
    tree = cKDTree(neutral[inside])
    found = []
    for group in EYE_GROUPS:
        side = float(np.sign(neutral[np.unique(mesh.faces[body.head.groups[group]])][:, 0].mean()))
        found.append([int(inside[tree.query(np.array(point) * (side, 1, 1))[1]]) for point in _LID_POINTS])
    return found


def lid_geometry(points: Floats) -> tuple[float, float, float, float]:
    """Convert an eye's corners and lids (4, 3) to the middle's x, the y of upper and lower lid, and half the width."""
    inner, outer, upper, lower = points
    return float(inner[0] + outer[0]) / 2, float(upper[1]), float(lower[1]), float(abs(outer[0] - inner[0])) / 2
