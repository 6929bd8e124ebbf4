"""A drawable person: fitted meshes that an expression moves, with its own textures and light.

Letters: B base vertices of the head. Lengths are decimetres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from dithead.synth.face.lip_contact import NO_CONTACT, LipContact
from dithead.synth.head.anatomy import EYE_GROUPS
from dithead.synth.head.body import Body
from dithead.synth.head.details import crease_depths, lid_geometry, lid_vertices
from dithead.synth.head.eyeball import Eyeball, uv_sphere_points
from dithead.synth.head.glasses import glasses_part
from dithead.synth.head.identity import Identity
from dithead.synth.head.mesh import vertex_normals
from dithead.synth.head.parts import Part, part_normals
from dithead.synth.person.moving_head import MovingHead
from dithead.synth.person.part_builder import brow_part, cloth_part, hair_part, lash_part, mouth_part, skin_part
from dithead.synth.person.textures_and_light import bake_light, upload_textures
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import Setting
from dithead.synth.types import RNG, Floats

_WIDEST_MOUTH = 0.6  # decimetres of opening at which the shader's light in the mouth no longer grows


class Person(MovingHead):
    """A person that can be drawn. `upload_to` gives it to a renderer; `pose` moves the face.

    Attributes:
        skins: the folder of real skins, or None.
        pivot: (3,) the point around which the head turns.
        eyes: both eyeballs, in the order of EYE_GROUPS.
        lids: vertices at each eye's corners and lids.
        parts: what is drawn, in this order.
    """

    def __init__(self, body: Body, identity: Identity, skins: Path | None = None) -> None:
        """Build a person.

        Args:
            body: what all people of the head model share.
            identity: who the person is.
            skins: the folder of real skins, needed when ``identity.photo`` names one.
        """
        super().__init__(body, identity)
        self.skins = skins
        self.pivot = self.base[body.anatomy.neck].mean(axis=0)
        self.eyes = [_fit_eyeball(body, self.base, group) for group in EYE_GROUPS]
        self.lids = lid_vertices(body)
        self.parts: list[Part] = []
        self._moving: list[tuple[Part, slice]] = []
        self._build_parts()

    def _build_parts(self) -> None:
        """Build all parts; the moving ones share one matrix, the others are placed once."""
        body, base, identity = self.body, self.base, self.identity
        surfaces = [
            skin_part(body, base, identity),
            mouth_part(body, base, identity, "teeth"),
            mouth_part(body, base, identity, "tongue"),
            *([] if identity.photo else [brow_part(body, base, identity)]),  # a photographed skin has its own brows
            lash_part(body, base, identity),
        ]
        self.parts = [part for part, _ in surfaces]
        self._matrix = sparse.vstack([surface.matrix for _, surface in surfaces]).tocsr().astype(np.float32)
        self._offset = np.concatenate([surface.offset for _, surface in surfaces])
        ends = np.cumsum([0] + [len(surface.uv) for _, surface in surfaces])
        self._moving = [(part, slice(ends[i], ends[i + 1])) for i, part in enumerate(self.parts)]
        self.pose({})
        for part in self.parts[1:]:
            part.normal = part_normals(part)
        self.parts += [eye.build_part() for eye in self.eyes] + [cloth_part(body, base)]
        for part in self._eye_parts():
            part.uniforms["lid_shadow"] = 1.0
        self._update_details({})
        if identity.hair:
            self.parts.append(hair_part(body, base, identity.hair, identity.hair_colour))
        if identity.glasses:
            self.parts.append(glasses_part([e.centre for e in self.eyes], self.eyes[0].radius, identity.glasses))

    def part(self, name: str) -> Part:
        """Return the first part called ``name``."""
        return next(part for part in self.parts if part.name == name)

    def _eye_parts(self) -> Iterator[Part]:
        return (part for part in self.parts if part.name == "eye")

    def pose(
        self,
        weights: Mapping[str, float],
        contact: LipContact = NO_CONTACT,
        *,
        tongue_tip: float = 0.0,
        gaze: tuple[float, float] = (0, 0),
    ) -> None:
        """Move the face.

        Args:
            weights: face unit -> weight.
            contact: what the lips do to each other and to the teeth.
            tongue_tip: how far the tongue's tip is raised, 0..1.
            gaze: yaw and pitch of the eyes in radians.
        """
        self.move(weights, contact, tongue_tip=tongue_tip)
        posed = self.posed
        both = np.hstack([posed, vertex_normals(posed, self.body.faces, self.body.corner_sum)])
        fine = np.asarray(self._matrix @ both, np.float32)
        for part, rows in self._moving:
            part.position = fine[rows, :3] + self._offset[rows]
            if part.name == "skin":
                part.normal = fine[rows, 3:]
        for eye, part in zip(self.eyes, self._eye_parts(), strict=False):
            eye.aim(part, *gaze)
        self._update_details(weights)

    def _update_details(self, weights: Mapping[str, float]) -> None:
        """Set how deep the skin folds now, and where each eye's lids are."""
        identity = self.identity
        self.parts[0].uniforms["creased"] = crease_depths(weights, 0.0 if identity.photo else 0.3 * identity.age)
        for part, lids in zip(self._eye_parts(), self.lids, strict=False):
            part.uniforms["lids"] = lid_geometry(self.posed[lids])

    def upload_to(self, renderer: Renderer, setting: Setting, rng: RNG) -> None:
        """Give this person's parts, textures and light to a renderer.

        Args:
            renderer: is cleared first.
            setting: light, background and clothes.
            rng: paints the skin and the eyes.
        """
        renderer.clear()
        renderer.upload_texture("background", setting.background)
        upload_textures(renderer, self.identity, self.body.head.folder, rng, self.skins)
        self.part("cloth").uniforms = dict(setting.cloth)
        self.part("skin").uniforms["neckline"] = setting.cloth["neckline"]
        renderer.add_parts(self.parts)
        bake_light(self.parts, renderer, setting.light)


def _fit_eyeball(body: Body, base: Floats, group: str) -> Eyeball:
    """The sphere that fills the eye of one face group."""
    points = base[np.unique(body.head.mesh.faces[body.head.groups[group]])]
    low, high = points.min(axis=0), points.max(axis=0)
    radius = float(high[0] - low[0]) / 2
    centre = (low + high) / 2
    centre[2] = low[2] + radius
    return Eyeball(centre, radius, uv_sphere_points())


def frame_uniforms(person: Person, setting: Setting, rotation: Floats, shift: Floats) -> dict[str, Any]:
    """Return what `Renderer.draw` needs for one frame besides the camera.

    Args:
        person: posed for the frame.
        setting: gives the light.
        rotation: (3, 3) of the head.
        shift: (3,) of the head.
    """
    mouth, gap = person.mouth_state()
    placed = rotation @ (mouth - person.pivot) + person.pivot + shift
    return {
        **setting.light.uniforms(),
        "head_rotation": rotation,
        "pivot": tuple(float(x) for x in person.pivot),
        "head_shift": tuple(float(x) for x in shift),
        "mouth_centre": tuple(float(x) for x in placed),
        "mouth_open": min(gap, _WIDEST_MOUTH),
    }
