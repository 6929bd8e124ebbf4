"""Eyeballs: spheres whose pole is the pupil, aimed by a rotation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.synth.head.assets import Floats, Ints
from dithead.synth.head.parts import Part


@dataclass
class Eye:
    """One eyeball: where it sits and the sphere that draws it."""

    centre: Floats
    radius: float
    directions: Floats  # (V, 3) unit, +z through the pupil

    def part(self) -> Part:
        """The drawable eyeball, looking straight ahead."""
        count = len(self.directions)
        blank = np.zeros((count, 4), np.float32)
        still = np.empty((count, 3), np.float32)
        triangles, rest = sphere_triangles(), self.directions
        made = Part("eye", "eye", triangles, still, still.copy(), blank[:, :2], blank, blank + 1, rest)
        made.textures, made.moving = {"albedo_map": "eye"}, True
        self.aim(made, 0.0, 0.0)
        return made

    def aim(self, part: Part, yaw: float, pitch: float) -> None:
        """Turn the eyeball's part to look ``yaw`` sideways and ``pitch`` down, in radians."""
        cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        turn = np.array([[cy, sy * sx, sy * cx], [0, cx, -sx], [-sy, cy * sx, cy * cx]], np.float32)
        part.normal = self.directions @ turn.T
        part.position = self.centre + self.radius * part.normal


def sphere(rings: int = 26, segments: int = 32) -> Floats:
    """Unit directions of a sphere whose pole is +z, denser near it; (rings * segments, 3)."""
    angle = np.linspace(0.02, 1.0, rings) ** 1.3 * 2.2
    turn = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    a, t = np.meshgrid(angle, turn, indexing="ij")
    return np.stack([np.sin(a) * np.cos(t), np.sin(a) * np.sin(t), np.cos(a)], -1).reshape(-1, 3).astype(np.float32)


def sphere_triangles(rings: int = 26, segments: int = 32) -> Ints:
    """Triangles of `sphere`, the pole left as a pinprick inside the pupil."""
    r, s = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    a, b = r * segments + s, r * segments + (s + 1) % segments
    c, d = a + segments, b + segments
    pole = np.stack([np.zeros(segments - 2), np.arange(1, segments - 1), np.arange(2, segments)], -1)
    quads = np.stack([a, c, d, a, d, b], axis=-1).reshape(-1, 3)
    return np.concatenate([pole, quads]).astype(np.int32)
