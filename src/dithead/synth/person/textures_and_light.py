"""Uploads a person's textures to a renderer, and measures the light that falls on the person's parts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dithead.errors import DataError
from dithead.synth.head.assets import find_texture
from dithead.synth.head.identity import Identity
from dithead.synth.head.mesh import unit_rows
from dithead.synth.head.parts import Part
from dithead.synth.person.part_builder import cloth_hang
from dithead.synth.scene.lighting import ambient_visibility, cone_directions, shadow_visibility, sphere_directions
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import Light
from dithead.synth.skin import paint
from dithead.synth.skin.skin_record import load_skin
from dithead.synth.types import RNG, Floats, Picture

# Numbers of directions in which visibility is measured.
_SKY_RAYS, _KEY_RAYS, _FILL_RAYS = 40, 10, 6
_FILL_SPREAD = 0.6  # radians: how large the fill light looks
_LIFT = 0.012  # decimetres that vertices are lifted off their own surface to measure visibility
_SHADED = [0, 1, 3]  # columns of `Part.light` that the lamps decide


def upload_textures(renderer: Renderer, identity: Identity, folder: Path, rng: RNG, skins: Path | None) -> None:
    """Upload the textures that a person's parts use.

    Args:
        renderer: where to.
        identity: who the person is.
        folder: the head model's folder.
        rng: paints the skin and the eyes.
        skins: the folder of real skins, needed when ``identity.photo`` names one.

    Raises:
        DataError: when a texture or the real skin is missing.
    """
    texture = partial(find_texture, folder)
    renderer.upload_texture("detail", paint.detail_picture(), repeat=True)
    renderer.upload_texture("plain", np.full((4, 4, 4), (128, 128, 128, 255), np.uint8))
    renderer.upload_texture("skin", skin_picture(identity, folder, rng, skins))
    renderer.upload_texture("eye", paint.eye_picture(texture("eyes", f"{identity.eyes}_eye.png"), float(rng.random())))
    renderer.upload_texture("eyebrows", paint.hair_picture(texture("eyebrows", f"{identity.brows}.png")))
    renderer.upload_texture("eyelashes", paint.hair_picture(texture("eyelashes", "eyelashes01.png")))
    renderer.upload_texture("teeth", paint.read_picture(texture("teeth", "teeth.png"))[..., :3])
    renderer.upload_texture("tongue", paint.read_picture(texture("tongue", "tongue01_diffuse.png")))
    if identity.hair:
        file = "afro_diffuse.png" if identity.hair == "afro01" else f"{identity.hair}_diffuse.png"
        renderer.upload_texture("hair", paint.hair_picture(texture("hair", file)))


def skin_picture(identity: Identity, folder: Path, rng: RNG, skins: Path | None) -> Picture:
    """Return the person's skin, painted or real; the arguments are those of `upload_textures`."""
    if not identity.photo:
        return paint.paint_skin(identity, folder, rng)
    if skins is None:
        raise DataError(f"this person wears the real skin {identity.photo!r}; say which folder holds it")
    return load_skin(skins, identity.photo)[0]


def bake_light(parts: list[Part], renderer: Renderer, light: Light) -> None:
    """Measure ambient occlusion and soft shadows of key and fill light at rest, and store them in ``Part.light``.

    Args:
        parts: all of the renderer's.
        renderer: measures visibility.
        light: the lamps.
    """
    sky = sphere_directions(_SKY_RAYS)
    key = cone_directions(light.key_direction, light.key_spread, _KEY_RAYS)
    fill = cone_directions(light.fill_direction, _FILL_SPREAD, _FILL_RAYS)
    points = [p.position + _LIFT * unit_rows(p.normal) for p in parts]
    visible = renderer.measure_visibility(np.concatenate(points), np.concatenate([sky, key, fill]))
    start = 0
    for part in parts:
        rows = visible[start : start + len(part.position)]
        start += len(part.position)
        normal = unit_rows(part.normal)
        to_sky, to_key, to_fill = np.split(rows, np.cumsum([len(sky), len(key)]), axis=1)
        part.light[:, 0] = ambient_visibility(to_sky, normal, sky) ** (1.5 if part.name == "skin" else 1.0)
        part.light[:, 1] = shadow_visibility(to_key, normal, light.key_direction)
        part.light[:, 3] = shadow_visibility(to_fill, normal, light.fill_direction)
        _soften_shadows(part)
    renderer.upload_light()


def _soften_shadows(part: Part) -> None:
    """Lighten parts that hard visibility makes too dark."""
    shaded: Floats = part.light[:, _SHADED]
    if part.name in ("eyebrows", "eyelashes"):
        part.light[:, _SHADED] = np.maximum(shaded, 0.5)
    elif part.name == "eye":  # light passes lids and lashes, and the eye itself
        part.light[:, _SHADED] = 0.4 + 0.6 * shaded
    elif part.name == "cloth":  # the hanging cloth has no dark holes at the armpits
        part.light[:, _SHADED] += cloth_hang(part.rest) * np.maximum(0.85 - shaded, 0)
