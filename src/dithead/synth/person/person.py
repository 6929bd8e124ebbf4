"""A drawable person: fitted meshes that an expression moves, with its own textures and light.

Letters: B base vertices of the head. Lengths are decimetres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from dithead.synth.face.expression_keys import EXPRESSION_KEYS, ONE_SIDED_KEYS, side_difference
from dithead.synth.face.lip_contact import NO_CONTACT, LipContact, apply_contact, close_lips
from dithead.synth.head.anatomy import EYE_GROUPS
from dithead.synth.head.body import Body, antisymmetric_key, apply_shape_keys, asymmetric_key, blend_ancestries
from dithead.synth.head.details import crease_depths, lid_geometry, lid_vertices
from dithead.synth.head.eyeball import Eyeball, uv_sphere_points
from dithead.synth.head.glasses import glasses_part
from dithead.synth.head.head_model import HeadModel, ShapeKey
from dithead.synth.head.identity import Identity, macro_weights
from dithead.synth.head.mesh import vertex_normals
from dithead.synth.head.parts import Part, part_normals
from dithead.synth.person.part_builder import brow_part, cloth_part, hair_part, lash_part, mouth_part, skin_part
from dithead.synth.person.textures_and_light import bake_light, upload_textures
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import Setting
from dithead.synth.types import RNG, Floats

_SMALLEST_WEIGHT = 1e-4  # expression weights below this move nothing
_TEETH_LAG = 0.45  # share by which the lower teeth must move further: MakeHuman's jaw key lets them lag behind the lip
_WIDEST_MOUTH = 0.6  # decimetres of opening at which the shader's light in the mouth no longer grows


class Person:
    """A person that can be drawn. `upload_to` gives it to a renderer; `pose` moves the face.

    Attributes:
        body: what all people of the head model share.
        identity: who the person is.
        skins: the folder of real skins, or None.
        base: (B, 3) the head at rest, lips closed.
        posed: (B, 3) the head as `pose` left it.
        keys: expression key -> how it moves this person's vertices.
        side_lead: seconds by which the mouth's side at x > 0 runs ahead of the middle.
        tooth_edge: (3,) the upper teeth's cutting edge.
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
        self.body, self.identity, self.skins = body, identity, skins
        self.base = _head_at_rest(body, identity)
        rng = np.random.default_rng([0xA5, identity.seed])
        slant = rng.normal(0, 0.13)  # nobody's mouth moves quite symmetrically
        self.side_lead = float(rng.normal(0, 0.016))
        self.tooth_edge = _cutting_edge(self.base[body.upper_teeth])
        self.keys = _expression_keys(body.head, identity, slant)
        self._parting = self._lip_parting()
        self.posed = self.base.copy()
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
        tongue: float = 0.0,
        gaze: tuple[float, float] = (0, 0),
    ) -> None:
        """Move the face.

        Args:
            weights: expression key -> weight.
            contact: what the lips do to each other and to the teeth.
            tongue: how far the tongue's tip is raised, 0..1.
            gaze: yaw and pitch of the eyes in radians.
        """
        posed = self.base.copy()
        for name, weight in weights.items():
            if abs(weight) > _SMALLEST_WEIGHT:
                key = self.keys[name]
                posed[key.index] += np.float32(weight) * key.delta
        teeth = self.body.lower_teeth
        posed[teeth] += _TEETH_LAG * (posed[teeth] - self.base[teeth])
        self._move_tongue(posed, tongue)
        apply_contact(self.body.anatomy.lip_topology, posed, self.base, self.tooth_edge, contact)
        self.posed = posed
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

    def seal_lips(self, weights: Mapping[str, float], closure: float) -> dict[str, float]:
        """Return an expression whose inner lips meet; the jaw closes what is left of the gap.

        Args:
            weights: expression key -> weight.
            closure: how much of the gap is closed, 0..1.
        """
        gap = sum(weight * self._parting[name] for name, weight in weights.items())
        sealed = dict(weights)
        if gap > 0 and closure > 0:
            sealed["mouth-open"] = sealed.get("mouth-open", 0.0) - closure * gap / self._parting["mouth-open"]
        return sealed

    def _lip_parting(self) -> dict[str, float]:
        """How far each key moves the inner lips apart, in decimetres at weight 1."""
        anatomy, parting = self.body.anatomy, {}
        for name, key in self.keys.items():
            height = dict(zip(key.index.tolist(), key.delta[:, 1].tolist(), strict=True))
            parting[name] = height.get(anatomy.upper_inner, 0.0) - height.get(anatomy.lower_inner, 0.0)
        return parting

    def _move_tongue(self, posed: Floats, raised: float) -> None:
        """Move the tongue with the jaw, and raise its tip towards the upper teeth, as for l, t, d and th."""
        jaw = (posed[self.body.lower_teeth] - self.base[self.body.lower_teeth]).mean(axis=0)
        points = self.base[self.body.tongue]
        low, high = points[:, 2].min(), points[:, 2].max()
        tip = np.clip((points[:, 2] - low) / (high - low), 0, 1)[:, None]
        ride = jaw * np.array([1.0, 0.9, 0.6], np.float32) * np.minimum(1, 0.35 + 0.9 * tip)
        lift = np.array([0.0, 0.16, 0.11], np.float32) * raised * tip**2 - 0.75 * raised * ride * tip**2
        posed[self.body.tongue] = points + ride + lift

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
    close_lips(body.anatomy.lip_topology, base)
    base[body.upper_teeth, 1] -= np.float32(0.030 + 0.020 * np.sin(identity.seed))
    base[body.lower_teeth, 1] -= np.float32(0.045)
    base[body.tongue, 1] -= np.float32(0.05)
    return base


def _expression_keys(head: HeadModel, identity: Identity, slant: float) -> dict[str, ShapeKey]:
    """This person's expression keys; those of the mouth are stronger on one side by ``slant``."""
    plain = {name: blend_ancestries(head, name, identity.ancestry) for name in EXPRESSION_KEYS}
    keys = {n: asymmetric_key(k, head.vertices, slant) if n.startswith("mouth") else k for n, k in plain.items()}
    return keys | {side_difference(name): antisymmetric_key(plain[name], head.vertices) for name in ONE_SIDED_KEYS}


def _fit_eyeball(body: Body, base: Floats, group: str) -> Eyeball:
    """The sphere that fills the eye of one face group."""
    points = base[np.unique(body.head.mesh.faces[body.head.groups[group]])]
    low, high = points.min(axis=0), points.max(axis=0)
    radius = float(high[0] - low[0]) / 2
    centre = (low + high) / 2
    centre[2] = low[2] + radius
    return Eyeball(centre, radius, uv_sphere_points())


def _cutting_edge(teeth: Floats) -> Floats:
    """The lowest, foremost place (3,) of the middle upper ``teeth`` (V, 3)."""
    front = teeth[np.abs(teeth[:, 0]) < 0.06]
    return np.array([0.0, front[:, 1].min(), front[:, 2].max()], np.float32)


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
