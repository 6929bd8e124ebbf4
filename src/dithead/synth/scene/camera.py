"""A pinhole camera: from world positions to clip space and to pixels. Lengths are in decimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.synth.types import Floats


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at ``eye`` that is aimed at ``target``."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    height: float  # decimetres that the picture spans at the target, from bottom to top
    roll: float = 0.0  # radians

    def view_projection(self, aspect: float) -> Floats:
        """Return the matrix (4, 4) from world to clip space, for column vectors; ``aspect`` is width over height."""
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
        projection = np.zeros((4, 4))
        projection[0, 0], projection[1, 1] = scale / aspect, scale
        projection[2, 2], projection[2, 3] = (far + near) / (near - far), 2 * far * near / (near - far)
        projection[3, 2] = -1.0
        return (projection @ view).astype(np.float32)


def project(points: Floats, matrix: Floats, width: int, height: int) -> Floats:
    """Project world positions into a picture.

    Args:
        points: Positions (N, 3) in decimetres.
        matrix: The camera's `Camera.view_projection` (4, 4).
        width: The picture's width in pixels.
        height: Its height in pixels.

    Returns:
        Pixel positions and depth (N, 3): x to the right, y downwards, depth -1 (near) to 1 (far).
    """
    clip = np.concatenate([points, np.ones((len(points), 1), np.float32)], axis=1) @ matrix.T
    ndc = clip[:, :3] / clip[:, 3:]
    x, y = (ndc[:, 0] + 1) * width / 2, (1 - ndc[:, 1]) * height / 2
    return np.stack([x, y, ndc[:, 2]], axis=1).astype(np.float32)
