"""An identity made flesh: fitted meshes, painted textures, baked light, and a face that moves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from dithead.errors import DataError
from dithead.synth.face.lip_contact import STILL, Touch, close_lips, roll_lips, stick_lips, tuck_lip
from dithead.synth.head.anatomy import EYE_GROUPS
from dithead.synth.head.assets import Floats, find_texture, load_proxy
from dithead.synth.head.body import EXPRESSIONS, MORE_LEFT, SIDED, Body, blended, lopsided, shaped, sided
from dithead.synth.head.details import FULL, creases, growing, hair_mask, hair_normals, lid_line, lid_vertices
from dithead.synth.head.eyeball import Eye, sphere
from dithead.synth.head.glasses import spectacles
from dithead.synth.head.identity import Identity, macro_weights
from dithead.synth.head.mesh import Surface, normals, proxy_surface
from dithead.synth.head.parts import Part, own_normals, part_of
from dithead.synth.scene.lighting import ambient_visibility, cone_directions, shadow_visibility, sphere_directions, unit
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import Setting
from dithead.synth.skin import paint


class Person:
    """A drawable person. `dress` puts it on a stage; `pose` moves the face; `parts` are what is drawn."""

    def __init__(self, body: Body, identity: Identity, skins: Path | None = None) -> None:
        """skins: the folder of real skins, needed when ``identity.photo`` names one."""
        self.body, self.identity = body, identity
        self.skins = skins
        head = body.head
        self.base = shaped(head, {**macro_weights(identity), **identity.shape})
        close_lips(body.anatomy.touch, self.base)
        # MakeHuman's upper teeth hide behind the lip; people show two to four millimetres of them as they speak.
        self.base[body.upper_teeth, 1] -= np.float32(0.030 + 0.020 * np.sin(identity.seed))
        self.base[body.lower_teeth, 1] -= np.float32(0.045)
        self.base[body.tongue, 1] -= np.float32(0.05)
        own = np.random.default_rng([0xA5, identity.seed])
        slant = own.normal(0, 0.13)  # nobody speaks quite straight
        self.lag = float(own.normal(0, 0.016))  # seconds by which the side at x > 0 is ahead
        self.tooth_edge = _cutting_edge(self.base[body.upper_teeth])
        keys = {name: blended(head, name, identity.ancestry) for name in EXPRESSIONS}
        self.keys = {n: lopsided(k, head.vertices, slant) if n.startswith("mouth") else k for n, k in keys.items()}
        self.keys |= {MORE_LEFT.format(name): sided(keys[name], head.vertices) for name in SIDED}
        self._parting = self._partings()
        self.coarse = self.base.copy()
        self.pivot = self.base[body.anatomy.neck].mean(axis=0)
        self.eyes = [self._eye(group) for group in EYE_GROUPS]
        self._lids = lid_vertices(body)
        self.parts: list[Part] = []
        self._moving: list[tuple[Part, slice]] = []
        self._build()

    def _eye(self, group: str) -> Eye:
        points = self.base[np.unique(self.body.head.mesh.faces[self.body.head.groups[group]])]
        low, high = points.min(axis=0), points.max(axis=0)
        radius = float(high[0] - low[0]) / 2
        centre = (low + high) / 2
        centre[2] = low[2] + radius
        return Eye(centre, radius, sphere())

    def _build(self) -> None:
        """The moving parts share one matrix; the rest is placed once."""
        who = self.identity
        surfaces = [
            self._skin(),
            self._proxy("teeth", who.teeth, "mouth"),
            self._proxy("tongue", "tongue01", "mouth"),
            *([] if who.photo else [self._proxy("eyebrows", who.brows, "hair")]),  # a photo brings its own
            self._proxy("eyelashes", who.lashes, "hair"),
        ]
        self.parts = [part for part, _ in surfaces]
        self._matrix = sparse.vstack([surface.matrix for _, surface in surfaces]).tocsr().astype(np.float32)
        self._offset = np.concatenate([surface.offset for _, surface in surfaces])
        ends = np.cumsum([0] + [len(surface.uv) for _, surface in surfaces])
        self._moving = [(part, slice(ends[i], ends[i + 1])) for i, part in enumerate(self.parts)]
        self.pose({})
        for part in self.parts[1:]:
            part.normal = own_normals(part)
        self.parts += [eye.part() for eye in self.eyes] + [self._cloth()]
        for part in self.parts:
            if part.name == "eye":
                part.uniforms["lid_shadow"] = 1.0
        self._tell_details({})
        if who.hair:
            self.parts.append(self._hair(who.hair))
        if who.glasses:
            self.parts.append(spectacles([e.centre for e in self.eyes], self.eyes[0].radius, who.glasses))

    def _hair(self, name: str) -> Part:
        part, surface = self._proxy("hair", name, "hair")
        part.position = (surface.matrix @ self.base + surface.offset).astype(np.float32)
        part.normal = hair_normals(part.position, own_normals(part))
        part.rest, part.moving, part.occludes = part.position.copy(), False, True
        part.light[:, 2] = np.clip((part.position[:, 1] - 5.7) / 0.6, 0, 1)
        part.textures["detail_map"] = "detail"
        part.uniforms |= {"strands": 1.0, "hairline": 0.0 if name in FULL else 1.0}
        rest = self.body.head.vertices
        own = np.asarray(surface.matrix @ rest) + surface.offset
        part.mask[:, :3] = hair_mask(own, part.triangles, np.asarray(self.body.skin.matrix @ rest))
        return part

    def _skin(self) -> tuple[Part, Surface]:
        surface, anatomy, who = self.body.skin, self.body.anatomy, self.identity
        moustache, chin, cheeks = who.stubble_style
        beard = np.maximum(anatomy.moustache * moustache, anatomy.chin * chin)
        beard = np.maximum(beard, anatomy.beard * cheeks * (1 - anatomy.moustache))
        masks = np.stack([anatomy.lips, beard, anatomy.cavity, anatomy.follow], axis=1)
        fine = np.asarray(surface.matrix @ masks, np.float32)
        part = part_of("skin", "skin", surface, moving=True)
        part.uv = paint.head_uv(surface.uv)
        part.solid = part.occludes = True
        part.mask[:, :3] = fine[:, :3]
        if who.hair:
            hair = proxy_surface(load_proxy(self.body.head, "hair", who.hair), self.base)
            part.mask[:, 3] = growing(self.body, self.base, np.asarray(hair.matrix @ self.base) + hair.offset)
        part.light[:, 2] = np.clip(fine[:, 3], 0, 1)
        part.rest = np.asarray(surface.matrix @ self.body.head.vertices, np.float32)
        part.textures = {"albedo_map": "skin", "detail_map": "detail"}
        part.uniforms = {
            "lip_colour": who.lip_colour, "lip_strength": who.lip_strength, "lip_gloss": who.lip_gloss,
            "gloss": who.gloss, "blush": who.blush, "stubble": who.stubble, "relief": 0.006,
            "painted": 0.0 if who.photo else 1.0, "hairline": 1.0,
            "hair_colour": tuple(min(0.85 * h, 0.7 * t) for h, t in zip(who.hair_colour, who.tone, strict=True)),
            "folds": (0.30 if who.photo else 0.45) + 0.9 * who.age, "creased": (0.0, 0.0, 0.0),
            "stubble_colour": tuple(0.9 * c + 0.06 * t for c, t in zip(who.hair_colour, who.tone, strict=True)),
        }  # fmt: skip
        return part, surface

    def _proxy(self, kind: str, name: str, program: str) -> tuple[Part, Surface]:
        who = self.identity
        surface = proxy_surface(load_proxy(self.body.head, kind, name), self.base)
        part = part_of(kind, program, surface, moving=True)
        part.textures = {"albedo_map": kind}
        if kind == "teeth":
            part.uniforms, part.solid = {"tint": who.tooth_colour, "tongue": 0.0}, True
        elif kind == "tongue":
            part.uniforms = {"tint": (0.42, 0.29, 0.28), "tongue": 1.0}
        else:
            colour = {"eyebrows": who.brow_colour, "hair": who.hair_colour}.get(kind, (0.008, 0.006, 0.005))
            part.cutoff = {"hair": 0.25, "eyebrows": 0.02, "eyelashes": 0.02}[kind]
            part.blend = True
            density = {"hair": 1.3, "eyebrows": 1.15, "eyelashes": 0.75}[kind]
            part.uniforms = {"tint": colour, "density": density, "shine": 1.0 if kind == "hair" else 0.1,
                             "flatness": 0.0 if kind == "hair" else 1.0, "strands": 0.0}  # fmt: skip
        return part, surface

    def _cloth(self) -> Part:
        surface = self.body.cloth
        part = part_of("cloth", "cloth", surface, moving=False)
        body_normal = normals(self.base, self.body.faces, self.body.gather)
        place = np.asarray(surface.matrix @ self.base, np.float32)
        bent = unit(place * (1.0, 0.0, 1.0) + (0.0, 0.5, 0.2))  # towards the armpits cloth hangs straight
        hangs = np.clip((5.95 - place[:, 1:2]) / 0.3, 0, 1)
        outward = unit((1 - hangs) * unit(np.asarray(surface.matrix @ body_normal)) + hangs * bent).astype(np.float32)
        part.position = place + 0.04 * outward
        part.normal = outward
        part.rest = np.asarray(surface.matrix @ self.body.head.vertices, np.float32)
        part.position[:, 1] -= 8 * np.clip(5.66 - part.rest[:, 1], 0, None)  # hang down past the cut
        part.light[:, 2] = np.asarray(surface.matrix @ self.body.anatomy.follow).clip(0, 1) * 0.9
        part.textures = {"detail_map": "detail"}
        return part

    def pose(self, weights: Mapping[str, float], touch: Touch = STILL, *,
             tongue: float = 0.0, gaze: tuple[float, float] = (0, 0)) -> None:  # fmt: skip
        """Move the face: expression ``weights``, lips, tongue tip raised 0..1, gaze yaw and pitch in radians."""
        coarse = self.base.copy()
        for name, weight in weights.items():
            if abs(weight) > 1e-4:
                key = self.keys[name]
                coarse[key.index] += np.float32(weight) * key.delta
        teeth = self.body.lower_teeth
        coarse[teeth] += 0.45 * (coarse[teeth] - self.base[teeth])  # the key lets the jaw's teeth lag behind the lip
        self._move_tongue(coarse, tongue)
        self._touch(coarse, touch)
        self.coarse = coarse
        both = np.hstack([coarse, normals(coarse, self.body.faces, self.body.gather)])
        fine = np.asarray(self._matrix @ both, np.float32)
        for part, rows in self._moving:
            part.position = fine[rows, :3] + self._offset[rows]
            if part.name == "skin":
                part.normal = fine[rows, 3:]
        for eye, part in zip(self.eyes, (p for p in self.parts if p.name == "eye"), strict=False):
            eye.aim(part, *gaze)
        self._tell_details(weights)

    def _touch(self, coarse: Floats, touch: Touch) -> None:
        lips = self.body.anatomy.touch
        if touch.tuck > 0.02:
            tuck_lip(lips, coarse, self.tooth_edge, touch.tuck)
        if max(touch.roll, touch.tuck) > 0.02:
            roll_lips(lips, coarse, touch.roll, 0.5 * touch.tuck)
        stick_lips(lips, coarse, self.base, touch.stick)

    def _tell_details(self, weights: Mapping[str, float]) -> None:
        """Tell the skin how far it folds now, and the eyes where their lids are."""
        who = self.identity
        self.parts[0].uniforms["creased"] = creases(weights, 0.0 if who.photo else 0.3 * who.age)
        for part, places in zip((p for p in self.parts if p.name == "eye"), self._lids, strict=False):
            part.uniforms["lids"] = lid_line(self.coarse[places])

    def seal(self, weights: Mapping[str, float], closure: float) -> dict[str, float]:
        """The same expression with the inner lips together as far as ``closure`` (0..1): the jaw makes up the rest."""
        gap = sum(weight * self._parting[name] for name, weight in weights.items())
        sealed = dict(weights)
        if gap > 0 and closure > 0:
            sealed["mouth-open"] = sealed.get("mouth-open", 0.0) - closure * gap / self._parting["mouth-open"]
        return sealed

    def _partings(self) -> dict[str, float]:
        """How far each key moves the inner lips apart, decimetres at weight 1."""
        moved = {}
        for name, key in self.keys.items():
            dense = dict(zip(key.index.tolist(), key.delta[:, 1].tolist(), strict=True))
            anatomy = self.body.anatomy
            moved[name] = dense.get(anatomy.upper_inner, 0.0) - dense.get(anatomy.lower_inner, 0.0)
        return moved

    def _move_tongue(self, coarse: Floats, raised: float) -> None:
        """The tongue rides on the jaw; its tip rises towards the upper teeth for l, t, d, th."""
        jaw = (coarse[self.body.lower_teeth] - self.base[self.body.lower_teeth]).mean(axis=0)
        points = self.base[self.body.tongue]
        low, high = points[:, 2].min(), points[:, 2].max()
        tip = np.clip((points[:, 2] - low) / (high - low), 0, 1)[:, None]
        ride = jaw * np.array([1.0, 0.9, 0.6], np.float32) * np.minimum(1, 0.35 + 0.9 * tip)
        lift = np.array([0.0, 0.16, 0.11], np.float32) * raised * tip**2 - 0.75 * raised * ride * tip**2
        coarse[self.body.tongue] = points + ride + lift

    def bake(self, stage: Renderer, setting: Setting) -> None:
        """Measure ambient occlusion and soft shadows of key and fill at rest, and keep them per vertex."""
        light = setting.light
        sky = sphere_directions(40)
        key = cone_directions(light.key_direction, light.key_spread, 10)
        fill = cone_directions(light.fill_direction, 0.6, 6)
        points = [p.position + 0.012 * unit(p.normal) for p in self.parts]
        seen = stage.measure_visibility(np.concatenate(points), np.concatenate([sky, key, fill]))
        at = 0
        for part in self.parts:
            rows = seen[at : at + len(part.position)]
            at += len(part.position)
            normal = unit(part.normal)
            part.light[:, 0] = ambient_visibility(rows[:, : len(sky)], normal, sky) ** (
                1.5 if part.name == "skin" else 1.0
            )
            part.light[:, 1] = shadow_visibility(rows[:, len(sky) : len(sky) + len(key)], normal, light.key_direction)
            part.light[:, 3] = shadow_visibility(rows[:, len(sky) + len(key) :], normal, light.fill_direction)
            if part.name in ("eyebrows", "eyelashes"):
                part.light[:, [0, 1, 3]] = np.maximum(part.light[:, [0, 1, 3]], 0.5)
            if part.name == "eye":  # light finds its way past lids and lashes, and through the eye itself
                part.light[:, [0, 1, 3]] = 0.4 + 0.6 * part.light[:, [0, 1, 3]]
            if part.name == "cloth":  # no holes at the armpits
                hangs = np.clip((5.95 - part.rest[:, 1:2]) / 0.3, 0, 1)
                part.light[:, [0, 1, 3]] += hangs * np.maximum(0.85 - part.light[:, [0, 1, 3]], 0)
        stage.upload_light()

    def dress(self, stage: Renderer, setting: Setting, rng: np.random.Generator) -> None:
        """Put this person on ``stage``, painted and lit for ``setting``."""
        who, texture = self.identity, partial(find_texture, self.body.head.folder)
        stage.clear()
        stage.upload_texture("background", setting.background)
        stage.upload_texture("detail", paint.detail_picture(), repeat=True)
        stage.upload_texture("plain", np.full((4, 4, 4), (128, 128, 128, 255), np.uint8))
        stage.upload_texture("skin", self._painted(rng))
        stage.upload_texture("eye", paint.eye_picture(texture("eyes", f"{who.eyes}_eye.png"), float(rng.random())))
        stage.upload_texture("eyebrows", paint.hair_picture(texture("eyebrows", f"{who.brows}.png")))
        stage.upload_texture("eyelashes", paint.hair_picture(texture("eyelashes", "eyelashes01.png")))
        stage.upload_texture("teeth", paint.read_picture(texture("teeth", "teeth.png"))[..., :3])
        stage.upload_texture("tongue", paint.read_picture(texture("tongue", "tongue01_diffuse.png")))
        if who.hair:
            file = "afro_diffuse.png" if who.hair == "afro01" else f"{who.hair}_diffuse.png"
            stage.upload_texture("hair", paint.hair_picture(texture("hair", file)))
        next(p for p in self.parts if p.name == "cloth").uniforms = dict(setting.cloth)
        next(p for p in self.parts if p.name == "skin").uniforms["neckline"] = setting.cloth["neckline"]
        stage.add_parts(self.parts)
        self.bake(stage, setting)

    def _painted(self, rng: np.random.Generator) -> paint.Picture:
        from dithead.synth.skin.real_skins import load_skin

        if not self.identity.photo:
            return paint.paint_skin(self.identity, self.body.head.folder, rng)
        if self.skins is None:
            raise DataError(f"this person wears the real skin {self.identity.photo!r}; say which folder holds it")
        return load_skin(self.skins, self.identity.photo)[0]

    def mouth_state(self) -> tuple[Floats, float]:
        """Centre of the lips in head space (3,) and the gap between the inner lips in decimetres."""
        anatomy = self.body.anatomy
        upper, lower = self.coarse[anatomy.upper_inner], self.coarse[anatomy.lower_inner]
        rest = self.base[anatomy.upper_inner] - self.base[anatomy.lower_inner]
        gap = float((upper - lower)[1] - rest[1])
        return (upper + lower) / 2, max(gap, 0.0)


def _cutting_edge(teeth: Floats) -> Floats:
    """The lowest, foremost place (3,) of the middle upper ``teeth`` (V, 3)."""
    front = teeth[np.abs(teeth[:, 0]) < 0.06]
    return np.array([0.0, front[:, 1].min(), front[:, 2].max()], np.float32)


def uniforms(person: Person, setting: Setting, rotation: Floats, shift: Floats) -> dict[str, Any]:
    """Everything `Renderer.draw` needs for this frame besides the camera."""
    mouth, gap = person.mouth_state()
    placed = rotation @ (mouth - person.pivot) + person.pivot + shift
    return {
        **setting.light.uniforms(),
        "head_rotation": rotation,
        "pivot": tuple(float(x) for x in person.pivot),
        "head_shift": tuple(float(x) for x in shift),
        "mouth_centre": tuple(float(x) for x in placed),
        "mouth_open": min(gap, 0.6),
    }
