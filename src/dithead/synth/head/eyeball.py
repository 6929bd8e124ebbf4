"""Eyeballs: spheres whose pole is the pupil, aimed by a rotation.

Letters: V vertices of the sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.synth.head.parts import Part
from dithead.synth.types import Floats, Ints


@dataclass
class Eyeball:
    """One eyeball: where it sits and the sphere that draws it."""

    centre: Floats  # (3,) decimetres
    radius: float  # decimetres
    directions: Floats  # (V, 3) unit vectors, +z through the pupil

    def build_part(self) -> Part:
        """Return the drawable eyeball, looking straight ahead."""
        count = len(self.directions)
        zero = np.zeros((count, 4), np.float32)
        unplaced = np.empty((count, 3), np.float32)
        part = Part(
            name="eye",
            program="eye",
            triangles=uv_sphere_triangles(),
            position=unplaced,
            normal=unplaced.copy(),
            uv=zero[:, :2],
            mask=zero,
            light=zero + 1,
            rest=self.directions,
            textures={"albedo_map": "eye"},
            moving=True,
        )
        self.aim(part, 0.0, 0.0)
        return part

    def aim(self, part: Part, yaw: float, pitch: float) -> None:
        """Turn the eyeball's part.

        Args:
            part: what `build_part` returned.
            yaw: radians sideways.
            pitch: radians down.
        """
        cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        rotation = np.array([[cy, sy * sx, sy * cx], [0, cx, -sx], [-sy, cy * sx, cy * cx]], np.float32)
        part.normal = self.directions @ rotation.T
        part.position = self.centre + self.radius * part.normal


def uv_sphere_points(rings: int = 26, segments: int = 32) -> Floats:
    """Return unit vectors (rings * segments, 3) on a sphere with its pole at +z, denser near the pole."""
    angle = np.linspace(0.02, 1.0, rings) ** 1.3 * 2.2
    turn = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    a, t = np.meshgrid(angle, turn, indexing="ij")
    return np.stack([np.sin(a) * np.cos(t), np.sin(a) * np.sin(t), np.cos(a)], -1).reshape(-1, 3).astype(np.float32)


def uv_sphere_triangles(rings: int = 26, segments: int = 32) -> Ints:
    """Return the triangles (T, 3) of `uv_sphere_points`; a fan inside the pupil closes the pole."""
    r, s = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    a, b = r * segments + s, r * segments + (s + 1) % segments
    c, d = a + segments, b + segments
    pole = np.stack([np.zeros(segments - 2), np.arange(1, segments - 1), np.arange(2, segments)], -1)
    quads = np.stack([a, c, d, a, d, b], axis=-1).reshape(-1, 3)
    return np.concatenate([pole, quads]).astype(np.int32)
