"""The painted skin's texels and where on the head each lies: what turns pictures of a face into a skin and back.

Letters: A side of the skin picture, N texels covered by the face, V fine skin vertices.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dithead.synth.corpus.ground_truth import landmark_points
from dithead.synth.head.assets import Floats
from dithead.synth.head.body import Body
from dithead.synth.head.mesh import normals
from dithead.synth.skin.head_fit import FaceSpace
from dithead.synth.skin.paint import SKIN_SIZE, head_uv
from dithead.types import FloatArray

FRONT = (-9, 5.85, -0.1)  # decimetres: what lies below or behind is never taken from a photo
_SUBPIXEL = 4  # bits


class Atlas:
    """For each texel of the outer skin: its triangle, its place on the neutral head, and its mirror image's texel."""

    def __init__(self, body: Body) -> None:
        self.body, self.space = body, FaceSpace(body.head)
        surface = body.skin
        self.rest = np.asarray(surface.matrix @ body.head.vertices, np.float32)  # (V, 3)
        uv = head_uv(surface.uv)
        self.at = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * SKIN_SIZE - 0.5  # (V, 2) texel x, y
        inside = np.asarray(surface.matrix @ body.anatomy.cavity)[surface.triangles].max(axis=1) > 0.3
        front = (self.rest[surface.triangles] > FRONT).all(axis=(1, 2))
        self.triangles = surface.triangles[~inside & front]
        owner = self._paint()
        self.covered = owner >= 0  # (A, A)
        self.corners = self.triangles[owner[self.covered]]  # (N, 3) skin vertices
        self.weights = self._barycentric()  # (N, 3)

    def _paint(self) -> NDArray[np.int32]:
        owner = np.full((SKIN_SIZE, SKIN_SIZE), -1, np.int32)
        corners = np.round(self.at[self.triangles] * (1 << _SUBPIXEL)).astype(np.int32)
        for number, triangle in enumerate(corners):
            cv2.fillConvexPoly(owner, triangle, number, lineType=cv2.LINE_8, shift=_SUBPIXEL)
        return owner

    def _barycentric(self) -> Floats:
        y, x = np.nonzero(self.covered)
        a, b, c = (self.at[self.corners[:, i]] for i in range(3))
        u, v, p = b - a, c - a, np.stack([x, y], axis=1) - a
        area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        area = np.where(np.abs(area) < 1e-9, 1e-9, area)
        second = (p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]) / area
        third = (u[:, 0] * p[:, 1] - u[:, 1] * p[:, 0]) / area
        weights = np.clip(np.stack([1 - second - third, second, third], axis=1), -0.5, 1.5)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

    def spread(self, values: FloatArray) -> Floats:
        """Vertex values (V, k) to texels (N, k)."""
        return np.asarray(np.einsum("nc,nck->nk", self.weights, values[self.corners]), np.float32)

    def picture(self, values: Floats, fill: float = 0.0) -> Floats:
        """Texel values (N, ...) as a picture (A, A, ...)."""
        made = np.full((SKIN_SIZE, SKIN_SIZE, *values.shape[1:]), fill, np.float32)
        made[self.covered] = values
        return made

    @cached_property
    def place(self) -> Floats:
        """(N, 3) where on the neutral head each texel lies."""
        return self.spread(self.rest)

    @cached_property
    def mirror(self) -> tuple[Floats, Floats]:
        """Column and row (A, A) of each texel's mirror image: what `cv2.remap` takes."""
        rows = self.at[:, 1][(np.abs(self.rest[:, 0]) < 1e-3) & (self.rest[:, 2] > 1)]
        y, x = np.mgrid[0:SKIN_SIZE, 0:SKIN_SIZE].astype(np.float32)
        return x, np.float32(2 * np.median(rows)) - y

    @cached_property
    def lips(self) -> Floats:
        """(N,) 1 on the lips."""
        return self._region("lips")

    @cached_property
    def beard(self) -> Floats:
        """(N,) 1 where beards grow."""
        return self._region("beard")

    def _region(self, name: str) -> Floats:
        mask = np.asarray(self.body.skin.matrix @ getattr(self.body.anatomy, name))
        return self.spread(mask[:, None])[:, 0].clip(0, 1)

    @cached_property
    def keep_out(self) -> Floats:
        """(N,) 0 where a photo must not be trusted: lids and lashes, where the lips meet, under the chin."""
        x, y, z = np.abs(self.place[:, 0]), self.place[:, 1], self.place[:, 2]
        eye = np.hypot((x - 0.325) / 0.185, (y - 7.27) / 0.085)
        lids = np.clip((eye - 1.0) / 0.45, 0, 1) + (z < 0.6)
        _, normal = self.shaped(self.body.head.vertices)
        under = 1 - np.clip((-self.spread(normal)[:, 1] - 0.35) / 0.25, 0, 1) * (y < 6.36)
        contact, _ = cKDTree(self.body.head.vertices[self.body.anatomy.mouth]).query(self.place)
        return np.asarray(np.minimum(lids, np.clip((contact - 0.035) / 0.03, 0, 1)).clip(0, 1) * under, np.float32)

    @cached_property
    def _near(self) -> list[NDArray[np.float64]]:
        """Weights (V, 468) that carry landmark offsets to skin vertices, from far-reaching to near."""
        marks = landmark_points(self.body.head, self.body.head.vertices)
        square = ((self.rest[:, None] - marks[None]) ** 2).sum(axis=2)
        kernels = [np.exp(-square / (2 * reach**2)) for reach in (0.30, 0.12, 0.06)]
        return [k / (k.sum(axis=1, keepdims=True) + 0.3) for k in kernels]

    def drift(self, off: NDArray[np.float64]) -> NDArray[np.float64]:
        """Landmark offsets (468, 2) as smooth offsets of the skin's vertices (V, 2)."""
        marks = self._marks
        total = np.zeros((len(self.rest), 2))
        for kernel in self._near:
            step = kernel @ off
            total, off = total + step, off - step[marks]
        return total

    @cached_property
    def _marks(self) -> NDArray[np.intp]:
        points = landmark_points(self.body.head, self.body.head.vertices)
        return np.asarray(cKDTree(self.rest).query(points)[1], np.intp)

    def shaped(self, vertices: Floats) -> tuple[Floats, Floats]:
        """Positions and unit normals (V, 3) of the skin when the head's vertices are these."""
        body = self.body
        both = np.hstack([vertices, normals(vertices, body.faces, body.gather)])
        fine = np.asarray(body.skin.matrix @ both, np.float32)
        return fine[:, :3], fine[:, 3:] / np.maximum(np.linalg.norm(fine[:, 3:], axis=1, keepdims=True), 1e-6)
