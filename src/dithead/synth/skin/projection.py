"""Projects one picture of a face onto the skin: colour and trust for each texel.

Letters: H, W size of the picture, A side of the skin picture, N texels that the face covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.lip_opening import lip_opening
from dithead.face.mesh_indices import MESH_LANDMARKS
from dithead.synth.skin.atlas import SkinAtlas
from dithead.synth.skin.head_fit import CAMERA_DISTANCE, HeadFit
from dithead.synth.skin.paint import CAMERA_GAMMA
from dithead.synth.types import Floats
from dithead.types import RGB, FloatArray

_DEPTH_CELL = 2.0  # pixels: side of the cells in which one texel can hide another
_DEPTH_SLACK = 0.12  # decimetres that a texel may lie behind the nearest one of its cell
_MAP_COLUMNS = 1024  # OpenCV takes maps of at most 32767 rows


@dataclass(frozen=True)
class SkinView:
    """One picture of a face, its landmarks, and which of its pixels the camera really took."""

    pixels: RGB
    landmarks: FloatArray  # (468 or more, 2) pixels
    taken: NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class ProjectedSkin:
    """What one picture says about the skin."""

    colour: Floats  # (N, 3) linear: reflectance times light
    trust: Floats  # (N,) 0..1
    normal: Floats  # (N, 3) in the camera's axes


def project_view(atlas: SkinAtlas, view: SkinView, fit: HeadFit, index: int) -> ProjectedSkin:
    """Look up every texel in a picture.

    The fit's projection is corrected so that its landmarks lie on the picture's.

    Args:
        atlas: relates texels to the head.
        view: the picture.
        fit: the head fitted to all pictures.
        index: the picture's number in the fit.
    """
    pose = fit.poses[index]
    position, normal = atlas.skin_of(fit.vertices[index])
    offsets = view.landmarks[:MESH_LANDMARKS, :2] - pose.project(fit.landmarks[index])
    pixels = atlas.to_texels(pose.project(position) + atlas.spread_offsets(np.asarray(offsets, np.float64)))
    turned = atlas.to_texels(np.hstack([position, normal]) @ np.kron(np.eye(2), pose.rotation.T))
    linear = np.asarray((view.pixels.astype(np.float32) / 255) ** CAMERA_GAMMA, np.float32)
    colour = sample_picture(linear, pixels, cv2.INTER_CUBIC)
    to_border = cv2.distanceTransform(np.pad(view.taken.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    margin = sample_picture(to_border, pixels, cv2.INTER_LINEAR)
    trust = np.clip((_facing(turned) - 0.3) / 0.7, 0, 1) ** 1.5 * _unhidden(pixels, turned[:, 2])
    trust *= np.clip(margin / (0.03 * len(view.pixels)), 0, 1) * atlas.photo_trust
    trust *= 1 - atlas.lips * np.clip(lip_opening(view.landmarks) / 0.08, 0, 0.95)
    return ProjectedSkin(np.clip(colour, 0, 1), trust.astype(np.float32), turned[:, 3:])


def sample_picture(picture: Floats, pixels: Floats, interpolation: int) -> Floats:
    """Read a picture at given positions; its border is repeated.

    Args:
        picture: (H, W) or (H, W, k).
        pixels: (N, 2) positions; the first pixel's centre is at 0.5.
        interpolation: one of OpenCV's constants.

    Returns:
        (N,) or (N, k).
    """
    rows = -(-len(pixels) // _MAP_COLUMNS)
    maps = np.zeros((rows * _MAP_COLUMNS, 2), np.float32)
    maps[: len(pixels)] = pixels - 0.5
    x, y = (np.ascontiguousarray(m) for m in maps.reshape(rows, _MAP_COLUMNS, 2).transpose(2, 0, 1))
    values = cv2.remap(picture, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values.reshape(rows * _MAP_COLUMNS, *picture.shape[2:])[: len(pixels)], np.float32)


def _facing(turned: Floats) -> Floats:
    """(N,) cosine between normals and the direction to the camera, of positions and normals (N, 6)."""
    to_camera = np.array([0, 0, CAMERA_DISTANCE], np.float32) - turned[:, :3]
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    return np.asarray((to_camera * turned[:, 3:]).sum(axis=1), np.float32)


def _unhidden(pixels: Floats, depth: Floats) -> Floats:
    """(N,) 1 where no other texel lies before this one."""
    cell = np.floor(pixels / _DEPTH_CELL).astype(np.int64)
    cell -= cell.min(axis=0)
    width = int(cell[:, 0].max()) + 1
    place = cell[:, 1] * width + cell[:, 0]
    nearest = np.full(int(place.max()) + 1, -np.inf, np.float32)
    np.maximum.at(nearest, place, depth)
    return np.asarray(depth > nearest[place] - _DEPTH_SLACK, np.float32)
