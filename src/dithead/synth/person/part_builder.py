"""Builds the parts of a person that can be drawn: skin, hair, cloth, teeth, tongue, brows and lashes.

Letters: B base vertices of the head, V vertices of a part. Lengths are decimetres.
"""

from __future__ import annotations

import numpy as np

from dithead.synth.head.assets import load_proxy
from dithead.synth.head.body import Body
from dithead.synth.head.details import STYLES_OVER_ROOTS, hair_growth, hair_normals, hair_vertex_data
from dithead.synth.head.identity import Identity
from dithead.synth.head.mesh import Surface, proxy_surface, unit_rows, vertex_normals
from dithead.synth.head.parts import Part, part_from_surface, part_normals
from dithead.synth.skin import paint
from dithead.synth.types import Colour, Floats

# How each kind of hair is drawn: coverage below the cut-off is not drawn, density multiplies coverage.
_HAIR_CUTOFF = {"hair": 0.25, "eyebrows": 0.02, "eyelashes": 0.02}
_HAIR_DENSITY = {"hair": 1.3, "eyebrows": 1.15, "eyelashes": 0.75}
_LASH_COLOUR = (0.008, 0.006, 0.005)
_TONGUE_COLOUR = (0.42, 0.29, 0.28)
_HEM = 5.66  # height at which the model's body is cut off
_ARMPIT, _ARMPIT_BAND = 5.95, 0.3  # cloth hangs straight below this height, over this distance


def skin_part(body: Body, base: Floats, identity: Identity) -> tuple[Part, Surface]:
    """Build the skin, with its masks for lips, beard, mouth cavity and hair growth.

    Args:
        body: the head model's shared parts.
        base: (B, 3) the person's head at rest.
        identity: who the person is.

    Returns:
        The part, not yet placed, and the surface that places it.
    """
    surface, anatomy = body.skin, body.anatomy
    masks = np.stack([anatomy.lips, _beard_mask(body, identity), anatomy.cavity, anatomy.turning], axis=1)
    fine = np.asarray(surface.matrix @ masks, np.float32)
    part = part_from_surface("skin", "skin", surface, moving=True)
    part.uv = paint.head_uv(surface.uv)
    part.solid = part.occludes = True
    part.mask[:, :3] = fine[:, :3]
    if identity.hair:
        hair = proxy_surface(load_proxy(body.head, "hair", identity.hair), base)
        part.mask[:, 3] = hair_growth(body, base, hair.at(base))
    part.light[:, 2] = np.clip(fine[:, 3], 0, 1)
    part.rest = np.asarray(surface.matrix @ body.head.vertices, np.float32)
    part.textures = {"albedo_map": "skin", "detail_map": "detail"}
    part.uniforms = _skin_uniforms(identity)
    return part, surface


def _beard_mask(body: Body, identity: Identity) -> Floats:
    """(B,) where this person's stubble grows."""
    anatomy = body.anatomy
    moustache, chin, cheeks = identity.stubble_style
    beard = np.maximum(anatomy.moustache * moustache, anatomy.chin * chin)
    return np.maximum(beard, anatomy.beard * cheeks * (1 - anatomy.moustache))


def _skin_uniforms(identity: Identity) -> dict[str, object]:
    photo = bool(identity.photo)
    return {
        "lip_colour": identity.lip_colour,
        "lip_strength": identity.lip_strength,
        "lip_gloss": identity.lip_gloss,
        "gloss": identity.gloss,
        "blush": identity.blush,
        "stubble": identity.stubble,
        "relief": 0.006,
        "painted": 0.0 if photo else 1.0,
        "hairline": 1.0,
        "hair_colour": _scalp_colour(identity),
        "folds": (0.30 if photo else 0.45) + 0.9 * identity.age,
        "creased": (0.0, 0.0, 0.0),
        "stubble_colour": tuple(0.9 * c + 0.06 * t for c, t in zip(identity.hair_colour, identity.tone, strict=True)),
    }


def _scalp_colour(identity: Identity) -> tuple[float, ...]:
    """Colour of the skin under the hair's roots."""
    return tuple(min(0.85 * h, 0.7 * t) for h, t in zip(identity.hair_colour, identity.tone, strict=True))


def mouth_part(body: Body, base: Floats, identity: Identity, kind: str) -> tuple[Part, Surface]:
    """Build the teeth or the tongue.

    Args:
        body: the head model's shared parts.
        base: (B, 3) the person's head at rest.
        identity: who the person is.
        kind: "teeth" or "tongue".
    """
    name = identity.teeth if kind == "teeth" else "tongue01"
    part, surface = _proxy_part(body, base, kind, name, "mouth")
    if kind == "teeth":
        part.uniforms, part.solid = {"tint": identity.tooth_colour, "tongue": 0.0}, True
    else:
        part.uniforms = {"tint": _TONGUE_COLOUR, "tongue": 1.0}
    return part, surface


def brow_part(body: Body, base: Floats, identity: Identity) -> tuple[Part, Surface]:
    """Build the eyebrows; the arguments are those of `skin_part`."""
    return _hairy_part(body, base, "eyebrows", identity.brows, identity.brow_colour)


def lash_part(body: Body, base: Floats, identity: Identity) -> tuple[Part, Surface]:
    """Build the eyelashes; the arguments are those of `skin_part`."""
    return _hairy_part(body, base, "eyelashes", identity.lashes, _LASH_COLOUR)


def hair_part(body: Body, base: Floats, name: str, colour: Colour) -> Part:
    """Build the hair of the head, placed once because it does not move with the face.

    Args:
        body: the head model's shared parts.
        base: (B, 3) the person's head at rest.
        name: the hair style's proxy.
        colour: of the hair.
    """
    part, surface = _hairy_part(body, base, "hair", name, colour)
    part.position = surface.at(base).astype(np.float32)
    part.normal = hair_normals(part.position, part_normals(part))
    part.rest, part.moving, part.occludes = part.position.copy(), False, True
    part.light[:, 2] = np.clip((part.position[:, 1] - 5.7) / 0.6, 0, 1)
    part.textures["detail_map"] = "detail"
    part.uniforms |= {"strands": 1.0, "hairline": 0.0 if name in STYLES_OVER_ROOTS else 1.0}
    neutral = body.head.vertices
    skin = np.asarray(body.skin.matrix @ neutral)
    part.mask[:, :3] = hair_vertex_data(surface.at(neutral), part.triangles, skin)
    return part


def _hairy_part(body: Body, base: Floats, kind: str, name: str, colour: Colour) -> tuple[Part, Surface]:
    part, surface = _proxy_part(body, base, kind, name, "hair")
    part.cutoff, part.blend = _HAIR_CUTOFF[kind], True
    part.uniforms = {
        "tint": colour,
        "density": _HAIR_DENSITY[kind],
        "shine": 1.0 if kind == "hair" else 0.1,
        "flatness": 0.0 if kind == "hair" else 1.0,
        "strands": 0.0,
    }
    return part, surface


def _proxy_part(body: Body, base: Floats, kind: str, name: str, program: str) -> tuple[Part, Surface]:
    surface = proxy_surface(load_proxy(body.head, kind, name), base)
    part = part_from_surface(kind, program, surface, moving=True)
    part.textures = {"albedo_map": kind}
    return part, surface


def cloth_part(body: Body, base: Floats) -> Part:
    """Build the clothes: the skin of neck and shoulders, moved outwards and hanging down past the body's cut."""
    surface = body.cloth
    part = part_from_surface("cloth", "cloth", surface, moving=False)
    body_normal = vertex_normals(base, body.faces, body.corner_sum)
    place = np.asarray(surface.matrix @ base, np.float32)
    hanging = unit_rows(place * (1.0, 0.0, 1.0) + (0.0, 0.5, 0.2))
    share = cloth_hang(place)
    outwards = unit_rows((1 - share) * unit_rows(np.asarray(surface.matrix @ body_normal)) + share * hanging)
    part.normal = outwards.astype(np.float32)
    part.position = place + 0.04 * part.normal
    part.rest = np.asarray(surface.matrix @ body.head.vertices, np.float32)
    part.position[:, 1] -= 8 * np.clip(_HEM - part.rest[:, 1], 0, None)
    part.light[:, 2] = np.asarray(surface.matrix @ body.anatomy.turning).clip(0, 1) * 0.9
    part.textures = {"detail_map": "detail"}
    return part


def cloth_hang(position: Floats) -> Floats:
    """Return how far cloth at ``position`` (V, 3) hangs straight down instead of following the body: (V, 1) in 0..1."""
    return np.clip((_ARMPIT - position[:, 1:2]) / _ARMPIT_BAND, 0, 1)
