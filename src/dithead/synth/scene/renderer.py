"""The one interface to a graphics library: moderngl on EGL, software (Mesa llvmpipe) or a GPU.

A `Stage` holds one person's parts, draws frames and measures visibility. Nothing here knows about faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import DitheadError, MissingExtraError
from dithead.synth.head.parts import Part
from dithead.synth.scene.camera import Camera
from dithead.synth.scene.part_buffers import PartBuffers, ShaderProgram
from dithead.synth.types import Floats
from dithead.types import RGB

if TYPE_CHECKING:
    import moderngl

PROGRAMS = ("skin", "mouth", "eye", "hair", "cloth")


@cache
def _source(name: str) -> str:
    text = (resources.files("dithead.synth.scene") / "shaders" / name).read_text()
    return text.replace("#include neck\n", _source("neck.glsl")) if "#include neck" in text else text


def open_context() -> moderngl.Context:
    """An off-screen OpenGL 3.3 context; raises a clear error without moderngl or a driver."""
    try:
        import moderngl
    except ImportError as error:
        raise MissingExtraError("synth") from error
    try:
        return moderngl.create_context(standalone=True, require=330, backend="egl")
    except Exception as error:  # moderngl raises bare Exception when no driver answers
        raise DitheadError(
            f"no off-screen OpenGL driver ({error}); on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri"
        ) from error


class Stage:
    """One person's parts on the graphics device. Use as a context manager."""

    def __init__(self, width: int, height: int, *, supersample: float = 1.4) -> None:
        """Pictures of ``width`` x ``height``, drawn ``supersample`` times larger and averaged.

        On software drivers that costs half of what multisampling does and smooths hair as well.
        """
        self.ctx = open_context()
        self.width, self.height = width, height
        ctx = self.ctx
        self._size = round(width * supersample), round(height * supersample)
        self._target = ctx.simple_framebuffer(self._size, components=4)
        self._programs = {
            name: ShaderProgram(
                ctx.program(
                    vertex_shader=_source("mesh.vert"),
                    fragment_shader="#version 330\n" + _source("common.glsl") + _source(f"{name}.frag"),
                )
            )
            for name in PROGRAMS
        }
        depth = ctx.program(vertex_shader=_source("depth.vert"), fragment_shader=_source("depth.frag"))
        self._depth = ShaderProgram(depth)
        label = ctx.program(vertex_shader=_source("mesh.vert"), fragment_shader=_source("label.frag"))
        self._label = ShaderProgram(label)
        back = ctx.program(vertex_shader=_source("back.vert"), fragment_shader=_source("back.frag"))
        self._back = ShaderProgram(back)
        corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)
        self._back_array = ctx.vertex_array(back, [(ctx.buffer(corners), "2f", "in_position")])
        self._textures: dict[str, moderngl.Texture] = {}
        self._drawn: list[PartBuffers] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.ctx.release()

    def picture(self, name: str, pixels: NDArray[np.uint8], *, repeat: bool = False) -> None:
        """Upload an (H, W, 3|4) uint8 picture, top row first, under ``name``."""
        if name in self._textures:
            self._textures.pop(name).release()
        flipped = np.ascontiguousarray(pixels[::-1])
        texture = self.ctx.texture((pixels.shape[1], pixels.shape[0]), pixels.shape[2], flipped.tobytes(), alignment=1)
        texture.build_mipmaps()
        texture.repeat_x = texture.repeat_y = repeat
        self._textures[name] = texture

    def clear(self) -> None:
        """Forget the parts and pictures, keep the programs: the next person may enter."""
        self.ctx.__enter__()  # whoever opened another context since has made that one the driver's current
        for drawn in self._drawn:
            drawn.release()
        for name in list(self._textures):
            self._textures.pop(name).release()
        self._drawn = []

    def add(self, parts: Sequence[Part]) -> None:
        """Put parts on the stage, drawn in this order."""
        for part in parts:
            programs = self._programs[part.program], self._depth, self._label
            self._drawn.append(PartBuffers(self.ctx, part, *programs))

    def relight(self) -> None:
        """Upload the parts' ``light`` arrays again after a bake."""
        for drawn in self._drawn:
            drawn.upload_fixed()

    def draw(self, camera: Camera, scene: Mapping[str, Any], window: tuple[float, ...] = (1, 1, 0, 0)) -> RGB:
        """One frame (H, W, 3) uint8. ``scene`` holds the uniforms shared by all parts."""
        import moderngl

        ctx = self.ctx
        self._target.use()
        ctx.clear(0, 0, 0, 1)
        ctx.enable_only(moderngl.DEPTH_TEST)
        self._textures["background"].use(0)
        self._back.set("window", tuple(window))
        self._back_array.render(moderngl.TRIANGLE_STRIP)
        shared = {"view_projection": camera.view_projection(self.width / self.height), "eye": camera.eye, **scene}
        for drawn in self._drawn:
            if drawn.part.moving:
                drawn.upload_moving()
            flags = (moderngl.CULL_FACE if drawn.part.solid else 0) | (moderngl.BLEND if drawn.part.blend else 0)
            ctx.enable_only(moderngl.DEPTH_TEST | flags)
            drawn.render({**shared, **drawn.part.uniforms}, self._textures)
        return self._read()

    def empty(self) -> RGB:
        """The background alone (H, W, 3)."""
        import moderngl

        self._target.use()
        self._textures["background"].use(0)
        self._back.set("window", (1, 1, 0, 0))
        self.ctx.enable_only(moderngl.NOTHING)
        self._back_array.render(moderngl.TRIANGLE_STRIP)
        return self._read()

    def _read(self) -> RGB:
        raw = np.frombuffer(self._target.read(components=3, alignment=1), np.uint8)
        large = raw.reshape(self._size[1], self._size[0], 3)[::-1]
        if self._size == (self.width, self.height):
            return np.ascontiguousarray(large)
        return np.asarray(cv2.resize(large, (self.width, self.height), interpolation=cv2.INTER_AREA), np.uint8)

    def labels(self, camera: Camera, scene: Mapping[str, Any]) -> NDArray[np.uint8]:
        """What each pixel of the frame just drawn shows: (H, W) numbers into LABELS."""
        import moderngl

        target = self.ctx.simple_framebuffer((self.width, self.height), components=4)
        target.use()
        target.clear(0, 0, 0, 1)
        view = camera.view_projection(self.width / self.height)
        for drawn in self._drawn:
            self.ctx.enable_only(moderngl.DEPTH_TEST | (moderngl.CULL_FACE if drawn.part.solid else 0))
            drawn.render_label({**scene, **drawn.part.uniforms, "view_projection": view}, self._textures)
        raw = np.frombuffer(target.read(components=1, alignment=1), np.uint8).reshape(self.height, self.width)
        target.release()
        return np.ascontiguousarray(raw[::-1])

    def visibility(self, points: Floats, directions: Floats, size: int = 256) -> Floats:
        """How far each point (P, 3) is open towards each unit direction (D, 3): (P, D) in 0..1."""
        import moderngl

        depth = self.ctx.depth_texture((size, size))
        buffer = self.ctx.framebuffer(depth_attachment=depth)
        out = np.empty((len(points), len(directions)), np.float32)
        for column, direction in enumerate(directions):
            buffer.use()
            buffer.clear(depth=1.0)
            self.ctx.enable_only(moderngl.DEPTH_TEST)
            matrix = _parallel(direction)
            for drawn in self._drawn:
                if drawn.part.occludes:
                    drawn.render_depth(matrix, self._textures)
            field = np.frombuffer(depth.read(alignment=4), np.float32).reshape(size, size)
            out[:, column] = _compare(field, points, matrix)
        buffer.release()
        depth.release()
        return out


def _parallel(direction: Floats, centre: tuple[float, float, float] = (0, 7.0, 0.4), radius: float = 2.3) -> Floats:
    """(4, 4) orthographic light matrix looking along -direction."""
    up = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.95 else np.array([0.0, 0.0, 1.0])
    right = np.cross(up, direction)
    right /= np.linalg.norm(right)
    rows = np.stack([right, np.cross(direction, right), -np.asarray(direction)]) / radius
    matrix = np.eye(4)
    matrix[:3, :3] = rows
    matrix[:3, 3] = -rows @ np.array(centre)
    return matrix.astype(np.float32)


def _compare(field: Floats, points: Floats, matrix: Floats, bias: float = 0.006) -> Floats:
    """Four-tap soft comparison of the points with a depth map."""
    size = len(field)
    seen = points @ matrix[:3, :3].T + matrix[:3, 3]
    x, y = ((seen[:, :2] + 1) * size / 2 - 0.5).T
    depth = (seen[:, 2] + 1) / 2 - bias
    total = np.zeros(len(points), np.float32)
    for dx in (0, 1):
        for dy in (0, 1):
            column = np.clip(np.floor(x).astype(int) + dx, 0, size - 1)
            row = np.clip(np.floor(y).astype(int) + dy, 0, size - 1)
            near = (1 - np.abs(x - np.floor(x) - dx)) * (1 - np.abs(y - np.floor(y) - dy))
            total += near * (depth <= field[row, column])
    return total
