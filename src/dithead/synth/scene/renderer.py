"""Render meshes off-screen: the one interface to a graphics library (moderngl on EGL, in software or on a GPU).

A `Renderer` holds one person's parts, draws frames and measures visibility. Nothing in it knows about faces.

Letters: H, W height and width of the picture, P points, D directions.
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
"""The shading programs a `Part` can name; each is a file ``shaders/NAME.frag``."""

_WHOLE_BACKGROUND = (1.0, 1.0, 0.0, 0.0)  # scale and shift of the background picture


@cache
def _shader(name: str) -> str:
    text = (resources.files("dithead.synth.scene") / "shaders" / name).read_text()
    return text.replace("#include neck\n", _shader("neck.glsl")) if "#include neck" in text else text


def open_context() -> moderngl.Context:
    """Open an off-screen OpenGL 3.3 context.

    Raises:
        MissingExtraError: moderngl is not installed.
        DitheadError: No graphics driver answers.
    """
    try:
        import moderngl
    except ImportError as error:
        raise MissingExtraError("synth") from error
    try:
        return moderngl.create_context(standalone=True, require=330, backend="egl")
    except Exception as error:  # moderngl raises a bare Exception when no driver answers
        raise DitheadError(
            f"no off-screen OpenGL driver ({error}); on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri"
        ) from error


class Renderer:
    """Draws one person's parts on the graphics device. Use it as a context manager."""

    def __init__(self, width: int, height: int, *, supersample: float = 1.4) -> None:
        """Open the device and compile the shaders.

        Args:
            width: The pictures' width in pixels.
            height: Their height in pixels.
            supersample: Pictures are drawn larger by this factor and averaged. On software drivers that costs half of
                what multisampling does, and it smooths hair as well.
        """
        self.ctx = open_context()
        self.width, self.height = width, height
        self._size = round(width * supersample), round(height * supersample)
        self._target = self.ctx.simple_framebuffer(self._size, components=4)
        self._programs = {name: self._compile("mesh.vert", f"{name}.frag", shared="common.glsl") for name in PROGRAMS}
        self._depth = self._compile("depth.vert", "depth.frag")
        self._label = self._compile("mesh.vert", "label.frag")
        self._back = self._compile("back.vert", "back.frag")
        corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)
        self._back_array = self.ctx.vertex_array(self._back.program, [(self.ctx.buffer(corners), "2f", "in_position")])
        self._textures: dict[str, moderngl.Texture] = {}
        self._drawn: list[PartBuffers] = []

    def _compile(self, vertex: str, fragment: str, *, shared: str | None = None) -> ShaderProgram:
        """Compile a program; ``shared`` names a file that stands before the fragment shader."""
        source = f"#version 330\n{_shader(shared)}{_shader(fragment)}" if shared else _shader(fragment)
        return ShaderProgram(self.ctx.program(vertex_shader=_shader(vertex), fragment_shader=source))

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.ctx.release()

    def upload_texture(self, name: str, pixels: NDArray[np.uint8], *, repeat: bool = False) -> None:
        """Upload a picture (H, W, 3 or 4), top row first, under ``name``; with ``repeat`` it tiles."""
        if name in self._textures:
            self._textures.pop(name).release()
        flipped = np.ascontiguousarray(pixels[::-1])
        texture = self.ctx.texture((pixels.shape[1], pixels.shape[0]), pixels.shape[2], flipped.tobytes(), alignment=1)
        texture.build_mipmaps()
        texture.repeat_x = texture.repeat_y = repeat
        self._textures[name] = texture

    def clear(self) -> None:
        """Remove the parts and textures but keep the programs, so that another person can be drawn."""
        self.ctx.__enter__()  # another context may have been opened since and be the driver's current one
        for drawn in self._drawn:
            drawn.release()
        for name in list(self._textures):
            self._textures.pop(name).release()
        self._drawn = []

    def add_parts(self, parts: Sequence[Part]) -> None:
        """Add parts; they are drawn in this order."""
        for part in parts:
            programs = self._programs[part.program], self._depth, self._label
            self._drawn.append(PartBuffers(self.ctx, part, *programs))

    def upload_light(self) -> None:
        """Upload the parts' ``light`` arrays again after they were changed."""
        for drawn in self._drawn:
            drawn.upload_fixed()

    def draw(self, camera: Camera, scene: Mapping[str, Any], window: tuple[float, ...] = _WHOLE_BACKGROUND) -> RGB:
        """Draw one frame.

        Args:
            camera: Where the picture is taken from.
            scene: Uniforms that all parts share: lights and the head's pose.
            window: Scale (x, y) and shift (x, y) of the background picture.

        Returns:
            Pixels (H, W, 3).
        """
        import moderngl

        self._target.use()
        self.ctx.clear(0, 0, 0, 1)
        self._render_background(window, moderngl.DEPTH_TEST)
        shared = {"view_projection": camera.view_projection(self.width / self.height), "eye": camera.eye, **scene}
        for drawn in self._drawn:
            if drawn.part.moving:
                drawn.upload_moving()
            flags = (moderngl.CULL_FACE if drawn.part.solid else 0) | (moderngl.BLEND if drawn.part.blend else 0)
            self.ctx.enable_only(moderngl.DEPTH_TEST | flags)
            drawn.render({**shared, **drawn.part.uniforms}, self._textures)
        return self._read()

    def draw_background(self) -> RGB:
        """Draw the background alone: (H, W, 3)."""
        import moderngl

        self._target.use()
        self._render_background(_WHOLE_BACKGROUND, moderngl.NOTHING)
        return self._read()

    def _render_background(self, window: tuple[float, ...], flags: int) -> None:
        import moderngl

        self.ctx.enable_only(flags)
        self._textures["background"].use(0)
        self._back.set("window", tuple(window))
        self._back_array.render(moderngl.TRIANGLE_STRIP)

    def _read(self) -> RGB:
        raw = np.frombuffer(self._target.read(components=3, alignment=1), np.uint8)
        large = raw.reshape(self._size[1], self._size[0], 3)[::-1]
        if self._size == (self.width, self.height):
            return np.ascontiguousarray(large)
        return np.asarray(cv2.resize(large, (self.width, self.height), interpolation=cv2.INTER_AREA), np.uint8)

    def draw_labels(self, camera: Camera, scene: Mapping[str, Any]) -> NDArray[np.uint8]:
        """Return what each pixel of the frame that was drawn last shows: numbers (H, W) into `parts.LABELS`."""
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

    def measure_visibility(self, points: Floats, directions: Floats, size: int = 256) -> Floats:
        """Measure by depth maps how far points are open towards directions.

        Args:
            points: Positions (P, 3).
            directions: Unit vectors (D, 3).
            size: Side of the depth maps in pixels.

        Returns:
            Visibility (P, D): 0 where a part lies in between, 1 where none does.
        """
        import moderngl

        depth = self.ctx.depth_texture((size, size))
        buffer = self.ctx.framebuffer(depth_attachment=depth)
        visible = np.empty((len(points), len(directions)), np.float32)
        for column, direction in enumerate(directions):
            buffer.use()
            buffer.clear(depth=1.0)
            self.ctx.enable_only(moderngl.DEPTH_TEST)
            matrix = _light_matrix(direction)
            for drawn in self._drawn:
                if drawn.part.occludes:
                    drawn.render_depth(matrix, self._textures)
            depth_map = np.frombuffer(depth.read(alignment=4), np.float32).reshape(size, size)
            visible[:, column] = _compare_depth(depth_map, points, matrix)
        buffer.release()
        depth.release()
        return visible


def _light_matrix(direction: Floats, centre: tuple[float, float, float] = (0, 7.0, 0.4), radius: float = 2.3) -> Floats:
    """Orthographic matrix (4, 4) of a view along ``-direction`` on a ball around the head, in decimetres."""
    up = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.95 else np.array([0.0, 0.0, 1.0])
    right = np.cross(up, direction)
    right /= np.linalg.norm(right)
    rows = np.stack([right, np.cross(direction, right), -np.asarray(direction)]) / radius
    matrix = np.eye(4)
    matrix[:3, :3] = rows
    matrix[:3, 3] = -rows @ np.array(centre)
    return matrix.astype(np.float32)


def _compare_depth(depth_map: Floats, points: Floats, matrix: Floats, bias: float = 0.006) -> Floats:
    """Share (P,) of the four depth-map pixels around each point that lie behind it, weighted by nearness.

    ``bias``, in half ranges of depth, keeps a surface from shading itself.
    """
    size = len(depth_map)
    placed = points @ matrix[:3, :3].T + matrix[:3, 3]
    x, y = ((placed[:, :2] + 1) * size / 2 - 0.5).T
    depth = (placed[:, 2] + 1) / 2 - bias
    total = np.zeros(len(points), np.float32)
    for dx in (0, 1):
        for dy in (0, 1):
            column = np.clip(np.floor(x).astype(int) + dx, 0, size - 1)
            row = np.clip(np.floor(y).astype(int) + dy, 0, size - 1)
            near = (1 - np.abs(x - np.floor(x) - dx)) * (1 - np.abs(y - np.floor(y) - dy))
            total += near * (depth <= depth_map[row, column])
    return total
