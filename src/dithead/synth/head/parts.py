"""What can be drawn: a part's arrays, and the buffers they become on the graphics device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dithead.synth.head.assets import Floats, Ints
from dithead.synth.head.mesh import Surface, corner_sum, normals

if TYPE_CHECKING:
    import moderngl

LABELS = ("background", "skin", "lips", "cavity", "teeth", "tongue", "eye", "eyebrows", "hair", "cloth", "glasses",
          "occluder")  # fmt: skip


@dataclass
class Part:
    """A drawable: a mesh, what is fixed about each vertex, and how it is shaded."""

    name: str
    program: str  # one of PROGRAMS
    triangles: Ints  # (T, 3)
    position: Floats  # (V, 3) now
    normal: Floats  # (V, 3) now
    uv: Floats  # (V, 2)
    mask: Floats  # (V, 4) meaning depends on the program
    light: Floats  # (V, 4) ambient, key, follow, fill
    rest: Floats  # (V, 3)
    textures: dict[str, str] = field(default_factory=dict)  # sampler -> picture name
    uniforms: dict[str, Any] = field(default_factory=dict)
    cutoff: float = 0.0  # > 0: coverage comes from the texture's alpha
    solid: bool = False  # closed: faces turned away need not be drawn
    blend: bool = False  # mixed with what lies behind by its coverage
    occludes: bool = False  # casts shadow
    moving: bool = False  # positions and normals change with the face


def part_of(name: str, program: str, surface: Surface, *, moving: bool) -> Part:
    """A part with the surface's triangles, lit from everywhere, its vertices not yet placed."""
    count = len(surface.uv)
    zero = np.zeros((count, 3), np.float32)
    return Part(name, program, surface.triangles, zero, zero.copy(), surface.uv,
                np.zeros((count, 4), np.float32), lit(count), zero.copy(), moving=moving)  # fmt: skip


def own_normals(part: Part) -> Floats:
    """(V, 3) from the part's own triangles."""
    return normals(part.position, part.triangles, corner_sum(part.triangles, len(part.position)))


def lit(count: int) -> Floats:
    """(count, 4) light of vertices that nothing shades."""
    return np.ones((count, 4), np.float32)


class Drawn:
    """A part's buffers and vertex arrays."""

    def __init__(self, ctx: moderngl.Context, part: Part, program: Program, depth: Program, label: Program) -> None:
        self.part = part
        self.program = program
        self.depth = depth
        self.label = label
        self._moving = ctx.buffer(self._pack_moving(), dynamic=part.moving)
        self._fixed = ctx.buffer(self._pack_fixed())
        self._index = ctx.buffer(part.triangles.astype(np.int32).tobytes())
        layout = [
            (self._moving, "3f 3f", "in_position", "in_normal"),
            (self._fixed, "2f 4f 4f 3f", "in_uv", "in_mask", "in_light", "in_rest"),
        ]
        self._array = ctx.vertex_array(program.program, layout, self._index, skip_errors=True)
        self._label_array = ctx.vertex_array(label.program, layout, self._index, skip_errors=True)
        self._depth_array = ctx.vertex_array(
            depth.program,
            [(self._moving, "3f 12x", "in_position"), (self._fixed, "2f 44x", "in_uv")],
            self._index,
        )

    def _pack_moving(self) -> bytes:
        return np.hstack([self.part.position, self.part.normal]).astype(np.float32).tobytes()

    def _pack_fixed(self) -> bytes:
        part = self.part
        return np.hstack([part.uv, part.mask, part.light, part.rest]).astype(np.float32).tobytes()

    def upload_moving(self) -> None:
        self._moving.write(self._pack_moving())

    def upload_fixed(self) -> None:
        self._fixed.write(self._pack_fixed())

    def render(self, uniforms: Mapping[str, Any], textures: Mapping[str, Any]) -> None:
        for unit, (sampler, name) in enumerate(self.part.textures.items()):
            textures[name].use(unit)
            self.program.set(sampler, unit)
        for name, value in {**uniforms, "cutoff": self.part.cutoff}.items():
            self.program.set(name, value)
        self._array.render()

    def render_label(self, uniforms: Mapping[str, Any], textures: Mapping[str, Any]) -> None:
        if "albedo_map" in self.part.textures:
            textures[self.part.textures["albedo_map"]].use(0)
        number = LABELS.index(self.part.name if self.part.name in LABELS else "eyebrows")
        for name, value in {**uniforms, "cutoff": self.part.cutoff, "label": number, "albedo_map": 0}.items():
            self.label.set(name, value)
        self._label_array.render()

    def render_depth(self, matrix: Floats, textures: Mapping[str, Any]) -> None:
        if "albedo_map" in self.part.textures:
            textures[self.part.textures["albedo_map"]].use(0)
        self.depth.set("view_projection", matrix)
        self.depth.set("cutoff", self.part.cutoff)
        self._depth_array.render()

    def release(self) -> None:
        for resource in (self._array, self._label_array, self._depth_array, self._moving, self._fixed, self._index):
            resource.release()


class Program:
    """A shader program that remembers its uniforms: looking one up costs more than setting it."""

    def __init__(self, program: moderngl.Program) -> None:
        self.program = program
        self._members: dict[str, Any] = {name: program[name] for name in program}
        self._last: dict[str, Any] = {}

    def set(self, name: str, value: Any) -> None:
        """Set a uniform, if the program uses it; matrices are given row by row."""
        member = self._members.get(name)
        if member is None:
            return
        if isinstance(value, np.ndarray):
            array = value.astype(np.float32)
            member.write(np.ascontiguousarray(array.T if array.ndim == 2 else array).tobytes())
        elif self._last.get(name) != value:
            member.value = value
            self._last[name] = value
