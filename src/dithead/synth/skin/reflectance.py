"""Estimates the reflectance of a face's skin from pictures: projected, freed of light and shine, merged.

Letters: A side of the skin picture, N texels that the face covers. Lengths are decimetres on the neutral head.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.mesh_indices import MESH_LANDMARKS
from dithead.synth.skin.atlas import SkinAtlas
from dithead.synth.skin.completion import MIN_REFLECTANCE, local_mean
from dithead.synth.skin.head_fit import HeadFit, fit_head
from dithead.synth.skin.paint import SKIN_SIZE
from dithead.synth.skin.projection import ProjectedSkin, SkinView, project_view
from dithead.synth.skin.skin_mask import outside_features, skin_likelihood
from dithead.synth.types import Floats

_MAX_FIT_ERROR = 0.06  # distances between the eye corners; fits to real faces have 0.015
_FINE_DETAIL = 9.0  # texels: coarser detail is the mean over pictures, finer detail comes from the best picture
_MIN_PLAIN_SKIN = 500  # sampled texels below which the light cannot be estimated


def estimate_reflectance(atlas: SkinAtlas, views: list[SkinView]) -> tuple[Floats, Floats, HeadFit]:
    """Estimate one person's reflectance from pictures.

    Args:
        atlas: relates texels to the head.
        views: the pictures.

    Returns:
        The reflectance (A, A, 3) up to an unknown gain, how far it is known (A, A) in 0..1, and the fitted head.

    Raises:
        FaceError: when no picture shows enough of the face, or the head does not fit it.
    """
    fit = fit_head(atlas.space, np.stack([v.landmarks[:MESH_LANDMARKS] for v in views]))
    if fit.error > _MAX_FIT_ERROR:
        raise FaceError(f"the head does not fit the face ({fit.error:.3f} eye distances off); use other clips")
    projected = [project_view(atlas, view, fit, i) for i, view in enumerate(views)]
    if max(float(p.trust.mean()) for p in projected) < 0.01:
        raise FaceError("too little of the face is seen; use clips that show it from the front")
    flat = [(remove_glasses_frames(atlas, remove_lighting(atlas, p)), p.trust) for p in projected]
    flat = [(logs, trust * skin_likelihood(atlas, logs, trust)) for logs, trust in flat]
    return *_merge_views(atlas, flat), fit


def _harmonics(normal: Floats) -> NDArray[np.float64]:
    """The first nine spherical harmonics (N, 9), unscaled, of unit vectors (N, 3)."""
    x, y, z = normal.astype(np.float64).T
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], axis=1)


def remove_lighting(atlas: SkinAtlas, projected: ProjectedSkin) -> Floats:
    """Divide out the smooth light that nine spherical harmonics of the normal explain.

    The light is fitted robustly to plain skin and normalised there, so that the skin's tone stays. Shine is reduced
    towards its surroundings.

    Args:
        atlas: relates texels to the head.
        projected: one picture on the skin.

    Returns:
        (N, 3) log reflectance.
    """
    logs = np.log(np.maximum(projected.colour, MIN_REFLECTANCE))
    plain = projected.trust * (1 - atlas.lips) * (atlas.beard < 0.4) * outside_features(atlas)
    basis = _harmonics(projected.normal)
    pick = np.flatnonzero(plain > 0.05)[::7]
    if len(pick) < _MIN_PLAIN_SKIN:
        return np.asarray(logs, np.float32)
    weight, ridge = plain[pick].astype(np.float64), np.diag([1e-6] + [4.0] * 3 + [12.0] * 5)
    for _ in range(5):
        rows = basis[pick] * weight[:, None]
        light = np.linalg.solve(basis[pick].T @ rows + ridge * len(pick) / 2000, rows.T @ logs[pick])
        off = logs[pick].mean(axis=1) - (basis[pick] @ light).mean(axis=1)
        weight = plain[pick] / (1 + (off / 0.25) ** 2)
    shade = basis @ light
    shade -= np.average(shade[pick], axis=0, weights=weight)
    return _reduce_shine(atlas, np.asarray(logs - np.clip(shade, -1.2, 0.8), np.float32), projected.trust)


def _reduce_shine(atlas: SkinAtlas, logs: Floats, trust: Floats) -> Floats:
    """Darken what is far brighter than its surroundings, because it is mostly reflection: (N, 3)."""
    around = local_mean(atlas.picture(logs), atlas.picture(trust), 28.0)[atlas.covered]
    excess = np.clip((logs - around).mean(axis=1) - 0.14, 0, None)
    return np.asarray(logs - (0.6 * excess)[:, None], np.float32)


def remove_glasses_frames(atlas: SkinAtlas, logs: Floats) -> Floats:
    """Fill strong thin dark lines around the eyes, which are the frames of glasses, from beside them: (N, 3)."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    socket = (
        np.clip((7.36 - y) / 0.04, 0, 1)
        * np.clip((y - 6.93) / 0.08, 0, 1)
        * np.clip((0.75 - x) / 0.1, 0, 1)
        * (z > 0.6)
    )
    picture = atlas.picture(logs)
    closed = cv2.morphologyEx(picture, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (19, 19)))
    closed = cv2.GaussianBlur(closed, (0, 0), 3)[atlas.covered]
    line = np.clip(((closed - logs).mean(axis=1) - 0.22) / 0.12, 0, 1) * socket
    wide = cv2.GaussianBlur(cv2.dilate(atlas.picture(line.astype(np.float32)), np.ones((5, 5), np.uint8)), (0, 0), 1.5)
    return np.asarray(logs + wide[atlas.covered][:, None] * (closed - logs), np.float32)


def _merge_views(atlas: SkinAtlas, views: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Merge log reflectances and trusts of several pictures to one reflectance, and how far it is known.

    Coarse detail is averaged; fine detail comes from the picture that shows it best.
    """
    level = [np.average(logs, axis=0, weights=trust + 1e-6) for logs, trust in views]
    best = level[int(np.argmax([t.sum() for _, t in views]))]
    coarse, fine = np.zeros((SKIN_SIZE, SKIN_SIZE, 3)), np.zeros((SKIN_SIZE, SKIN_SIZE, 3))
    total, fine_total = np.full((SKIN_SIZE, SKIN_SIZE, 1), 1e-6), np.full((SKIN_SIZE, SKIN_SIZE, 1), 1e-9)
    known = np.zeros((SKIN_SIZE, SKIN_SIZE), np.float32)
    for (logs, trust), own in zip(views, level, strict=True):
        picture, weight = atlas.picture(logs - (own - best).astype(np.float32)), atlas.picture(trust)
        low = local_mean(picture, weight, _FINE_DETAIL)
        coarse += low * weight[..., None]
        total += weight[..., None]
        fine_weight = (weight[..., None] ** 6) * float(trust.sum())
        fine += (picture - low) * fine_weight
        fine_total += fine_weight
        known = np.maximum(known, weight)
    return np.exp(coarse / total + fine / fine_total).astype(np.float32), known
