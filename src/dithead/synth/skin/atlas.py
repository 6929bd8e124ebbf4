"""Relates the texels of the skin picture to places on the head, to turn pictures of a face into a skin and back.

Letters: A side of the skin picture, N texels that the face covers, V vertices of the skin's surface, B base vertices
of the head. Lengths are decimetres.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dithead.synth.head.body import Body
from dithead.synth.head.landmark_vertices import landmark_points
from dithead.synth.head.mesh import vertex_normals
from dithead.synth.skin.head_fit import FaceSpace
from dithead.synth.skin.paint import SKIN_SIZE, head_uv
from dithead.synth.types import Floats
from dithead.types import FloatArray

_PHOTO_MIN = (-9, 5.85, -0.1)  # x, y, z: what lies below or behind is never taken from a photo
_SUBPIXEL_BITS = 4
_OFFSET_REACHES = (0.30, 0.12, 0.06)  # how far landmark offsets spread over the skin, coarse to fine


class SkinAtlas:
    """For each texel of the outer skin: its triangle, its place on the neutral head and its mirror image's texel.

    Attributes:
        body: the head model's shared parts.
        space: the shapes that heads and expressions can take.
        rest: (V, 3) the skin of the neutral head.
        texel_xy: (V, 2) where each vertex lies in the skin picture, x and y in texels.
        triangles: those that photos may colour.
        covered: (A, A) bool, the texels of these triangles.
        corners: (N, 3) skin vertices of each covered texel's triangle.
        weights: (N, 3) barycentric coordinates of the texel in it.
    """

    def __init__(self, body: Body) -> None:
        """Find the triangle of each texel; it takes a second."""
        self.body, self.space = body, FaceSpace(body.head)
        surface = body.skin
        self.rest = np.asarray(surface.matrix @ body.head.vertices, np.float32)
        uv = head_uv(surface.uv)
        self.texel_xy = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * SKIN_SIZE - 0.5
        inside = np.asarray(surface.matrix @ body.anatomy.cavity)[surface.triangles].max(axis=1) > 0.3
        front = (self.rest[surface.triangles] > _PHOTO_MIN).all(axis=(1, 2))
        self.triangles = surface.triangles[~inside & front]
        owner = self._triangle_numbers()
        self.covered = owner >= 0
        self.corners = self.triangles[owner[self.covered]]
        self.weights = self._barycentric()

    def _triangle_numbers(self) -> NDArray[np.int32]:
        """(A, A) number of each texel's triangle, -1 for none."""
        owner = np.full((SKIN_SIZE, SKIN_SIZE), -1, np.int32)
        corners = np.round(self.texel_xy[self.triangles] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        for number, triangle in enumerate(corners):
            cv2.fillConvexPoly(owner, triangle, number, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
        return owner

    def _barycentric(self) -> Floats:
        y, x = np.nonzero(self.covered)
        a, b, c = (self.texel_xy[self.corners[:, i]] for i in range(3))
        u, v, p = b - a, c - a, np.stack([x, y], axis=1) - a
        area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        area = np.where(np.abs(area) < 1e-9, 1e-9, area)
        second = (p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]) / area
        third = (u[:, 0] * p[:, 1] - u[:, 1] * p[:, 0]) / area
        weights = np.clip(np.stack([1 - second - third, second, third], axis=1), -0.5, 1.5)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

    def to_texels(self, values: FloatArray) -> Floats:
        """Interpolate vertex values (V, k) at the covered texels (N, k)."""
        return np.asarray(np.einsum("nc,nck->nk", self.weights, values[self.corners]), np.float32)

    def picture(self, values: Floats, fill: float = 0.0) -> Floats:
        """Arrange texel values (N, ...) as a picture (A, A, ...), with ``fill`` where nothing is covered."""
        picture = np.full((SKIN_SIZE, SKIN_SIZE, *values.shape[1:]), fill, np.float32)
        picture[self.covered] = values
        return picture

    @cached_property
    def place(self) -> Floats:
        """(N, 3) where on the neutral head each texel lies."""
        return self.to_texels(self.rest)

    @cached_property
    def mirror(self) -> tuple[Floats, Floats]:
        """Column and row (A, A) of each texel's mirror image, as `cv2.remap` takes them."""
        rows = self.texel_xy[:, 1][(np.abs(self.rest[:, 0]) < 1e-3) & (self.rest[:, 2] > 1)]
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
        """A region of `Anatomy` at the texels: (N,) in 0..1."""
        mask = np.asarray(self.body.skin.matrix @ getattr(self.body.anatomy, name))
        return self.to_texels(mask[:, None])[:, 0].clip(0, 1)

    @cached_property
    def photo_trust(self) -> Floats:
        """(N,) 0 where a photo must not be trusted: lids and lashes, where the lips meet, under the chin."""
        x, y, z = np.abs(self.place[:, 0]), self.place[:, 1], self.place[:, 2]
        eye = np.hypot((x - 0.325) / 0.185, (y - 7.27) / 0.085)
        lids = np.clip((eye - 1.0) / 0.45, 0, 1) + (z < 0.6)
        _, normal = self.skin_of(self.body.head.vertices)
        not_under = 1 - np.clip((-self.to_texels(normal)[:, 1] - 0.35) / 0.25, 0, 1) * (y < 6.36)
        line = self.body.head.vertices[self.body.anatomy.contact_line]
        contact = np.clip((cKDTree(line).query(self.place)[0] - 0.035) / 0.03, 0, 1)
        return np.asarray(np.minimum(lids, contact).clip(0, 1) * not_under, np.float32)

    @cached_property
    def _offset_weights(self) -> list[NDArray[np.float64]]:
        """Weights (V, 468) that spread landmark offsets to skin vertices, one for each of _OFFSET_REACHES."""
        marks = landmark_points(self.body.head, self.body.head.vertices)
        square = ((self.rest[:, None] - marks[None]) ** 2).sum(axis=2)
        kernels = [np.exp(-square / (2 * reach**2)) for reach in _OFFSET_REACHES]
        return [k / (k.sum(axis=1, keepdims=True) + 0.3) for k in kernels]

    def spread_offsets(self, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Spread landmark offsets (468, 2) smoothly to the skin's vertices (V, 2), coarse to fine."""
        marks = self._landmark_vertices
        total = np.zeros((len(self.rest), 2))
        for kernel in self._offset_weights:
            step = kernel @ offsets
            total, offsets = total + step, offsets - step[marks]
        return total

    @cached_property
    def _landmark_vertices(self) -> NDArray[np.intp]:
        """(468,) the skin vertex nearest to each landmark."""
        points = landmark_points(self.body.head, self.body.head.vertices)
        return np.asarray(cKDTree(self.rest).query(points)[1], np.intp)

    def skin_of(self, vertices: Floats) -> tuple[Floats, Floats]:
        """Return positions and unit normals (V, 3) of the skin on the head ``vertices`` (B, 3)."""
        body = self.body
        both = np.hstack([vertices, vertex_normals(vertices, body.faces, body.corner_sum)])
        fine = np.asarray(body.skin.matrix @ both, np.float32)
        return fine[:, :3], fine[:, 3:] / np.maximum(np.linalg.norm(fine[:, 3:], axis=1, keepdims=True), 1e-6)
