"""A part's buffers and vertex arrays on the graphics device, and the shader programs that draw them.

Letters: V vertices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dithead.synth.head.parts import LABELS, Part
from dithead.synth.types import Floats

if TYPE_CHECKING:
    import moderngl


class PartBuffers:
    """A part's buffers and vertex arrays on the graphics device."""

    def __init__(
        self, ctx: moderngl.Context, part: Part, program: ShaderProgram, depth: ShaderProgram, label: ShaderProgram
    ) -> None:
        """Upload a part.

        Args:
            ctx: the graphics device.
            part: what to draw.
            program: draws the part in colour.
            depth: draws its depth alone, to measure visibility.
            label: draws the number of its label.
        """
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
        """Upload positions and normals again."""
        self._moving.write(self._pack_moving())

    def upload_fixed(self) -> None:
        """Upload texture coordinates, masks, light and rest positions again."""
        self._fixed.write(self._pack_fixed())

    def render(self, uniforms: Mapping[str, Any], textures: Mapping[str, Any]) -> None:
        """Draw the part in colour; ``textures`` holds the renderer's textures by name."""
        for unit, (sampler, name) in enumerate(self.part.textures.items()):
            textures[name].use(unit)
            self.program.set(sampler, unit)
        for name, value in {**uniforms, "cutoff": self.part.cutoff}.items():
            self.program.set(name, value)
        self._array.render()

    def render_label(self, uniforms: Mapping[str, Any], textures: Mapping[str, Any]) -> None:
        """Draw the number of the part's label; parts without a label of their own count as eyebrows."""
        if "albedo_map" in self.part.textures:
            textures[self.part.textures["albedo_map"]].use(0)
        number = LABELS.index(self.part.name if self.part.name in LABELS else "eyebrows")
        for name, value in {**uniforms, "cutoff": self.part.cutoff, "label": number, "albedo_map": 0}.items():
            self.label.set(name, value)
        self._label_array.render()

    def render_depth(self, matrix: Floats, textures: Mapping[str, Any]) -> None:
        """Draw the part's depth through the projection ``matrix`` (4, 4)."""
        if "albedo_map" in self.part.textures:
            textures[self.part.textures["albedo_map"]].use(0)
        self.depth.set("view_projection", matrix)
        self.depth.set("cutoff", self.part.cutoff)
        self._depth_array.render()

    def release(self) -> None:
        """Free the buffers."""
        for resource in (self._array, self._label_array, self._depth_array, self._moving, self._fixed, self._index):
            resource.release()


class ShaderProgram:
    """A shader program that caches its uniforms, because looking one up costs more than setting it."""

    def __init__(self, program: moderngl.Program) -> None:
        self.program = program
        self._members: dict[str, Any] = {name: program[name] for name in program}
        self._last: dict[str, Any] = {}

    def set(self, name: str, value: Any) -> None:
        """Set the uniform ``name`` if the program uses it; matrices are given row by row."""
        member = self._members.get(name)
        if member is None:
            return
        if isinstance(value, np.ndarray):
            array = value.astype(np.float32)
            member.write(np.ascontiguousarray(array.T if array.ndim == 2 else array).tobytes())
        elif self._last.get(name) != value:
            member.value = value
            self._last[name] = value
