"""A pinhole camera: world to clip space to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.synth.types import Floats


@dataclass(frozen=True)
class Camera:
    """A pinhole looking at ``target`` from ``eye``; ``height`` of the picture in decimetres at the target."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    height: float
    roll: float = 0.0  # radians

    def view_projection(self, aspect: float) -> Floats:
        """(4, 4) world to clip space, column vectors."""
        eye, target = np.array(self.eye, float), np.array(self.target, float)
        forward = target - eye
        distance = float(np.linalg.norm(forward))
        forward /= distance
        up = np.array([np.sin(self.roll), np.cos(self.roll), 0.0])
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        view = np.eye(4)
        view[:3, :3] = np.stack([right, up, -forward])
        view[:3, 3] = -view[:3, :3] @ eye
        scale = 2 * distance / self.height
        near, far = max(distance - 6.0, 0.5), distance + 8.0
        lens = np.zeros((4, 4))
        lens[0, 0], lens[1, 1] = scale / aspect, scale
        lens[2, 2], lens[2, 3] = (far + near) / (near - far), 2 * far * near / (near - far)
        lens[3, 2] = -1.0
        return (lens @ view).astype(np.float32)


def project(points: Floats, matrix: Floats, width: int, height: int) -> Floats:
    """World points (N, 3) to pixel positions and depth (N, 3), y downwards."""
    clip = np.concatenate([points, np.ones((len(points), 1), np.float32)], axis=1) @ matrix.T
    ndc = clip[:, :3] / clip[:, 3:]
    x, y = (ndc[:, 0] + 1) * width / 2, (1 - ndc[:, 1]) * height / 2
    return np.stack([x, y, ndc[:, 2]], axis=1).astype(np.float32)
