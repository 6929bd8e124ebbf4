"""Pictures of one face to the reflectance of its skin: projected, unlit, completed.

Letters: T frames, A side of the skin picture, N texels the face covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.lip_opening import lip_aperture
from dithead.face.mesh_indices import MESH_LANDMARKS
from dithead.synth.head.assets import Floats
from dithead.synth.skin.atlas import Atlas
from dithead.synth.skin.head_fit import DISTANCE, Fit, fit_head
from dithead.synth.skin.paint import SKIN_SIZE
from dithead.types import RGB, FloatArray

FLOOR = 0.004  # darkest reflectance told apart
_DEPTH_CELL = 2.0  # pixels: what hides what is decided this finely
_WORST = 0.06  # eye distances by which landmarks may miss; real faces take 0.015
_BAND = 9.0  # texels: coarser detail is the mean over frames, finer comes from the frame that sees it best


@dataclass(frozen=True)
class View:
    """One picture and its landmarks, and which of its pixels the camera really took."""

    pixels: RGB
    landmarks: FloatArray  # (468 or more, 2) pixels
    taken: NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class Projection:
    """What one view says about the skin: reflectance times light, trust in it, and normals towards the camera."""

    colour: Floats  # (N, 3) linear
    trust: Floats  # (N,) 0..1
    normal: Floats  # (N, 3) in the camera's axes


def photograph(atlas: Atlas, views: list[View]) -> tuple[Floats, Floats, Fit]:
    """Reflectance (A, A, 3), relative to an unknown gain, how far it is known (A, A) 0..1, and the head's fit.

    Raises FaceError when no view shows enough of the face, or when the head cannot take its form.
    """
    fit = fit_head(atlas.space, np.stack([v.landmarks[:MESH_LANDMARKS] for v in views]))
    if fit.error > _WORST:
        raise FaceError(f"the head does not fit the face ({fit.error:.3f} eye distances off)")
    seen = [project(atlas, view, fit, i) for i, view in enumerate(views)]
    if max(float(s.trust.mean()) for s in seen) < 0.01:
        raise FaceError("too little of the face is seen")
    flat = [(without_wires(atlas, unlit(atlas, s)), s.trust) for s in seen]
    flat = [(logs, trust * skin_like(atlas, logs, trust)) for logs, trust in flat]
    return *_merge(atlas, flat), fit


def project(atlas: Atlas, view: View, fit: Fit, index: int) -> Projection:
    """Look up every texel in the view, through the fit corrected so that its landmarks lie on the picture's."""
    pose = fit.poses[index]
    position, normal = atlas.shaped(fit.vertices[index])
    off = view.landmarks[:MESH_LANDMARKS, :2] - pose.project(fit.landmarks[index])
    flat = atlas.spread(pose.project(position) + atlas.drift(np.asarray(off, np.float64)))
    turned = atlas.spread(np.hstack([position, normal]) @ np.kron(np.eye(2), pose.rotation.T))
    linear = (view.pixels.astype(np.float32) / 255) ** 2.2
    colour = look_up(linear, flat, cv2.INTER_CUBIC)
    near = cv2.distanceTransform(np.pad(view.taken.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    margin = look_up(near, flat, cv2.INTER_LINEAR)
    towards = _facing(turned)
    trust = np.clip((towards - 0.3) / 0.7, 0, 1) ** 1.5 * _unhidden(flat, turned[:, 2])
    trust *= np.clip(margin / (0.03 * len(view.pixels)), 0, 1) * atlas.keep_out
    trust *= 1 - atlas.lips * np.clip(lip_aperture(view.landmarks) / 0.08, 0, 0.95)
    return Projection(np.clip(colour, 0, 1), trust.astype(np.float32), turned[:, 3:])


def look_up(picture: Floats, flat: Floats, how: int) -> Floats:
    """The picture at positions (N, 2) in pixels, whose centres are at halves; its border is repeated."""
    rows = -(-len(flat) // 1024)  # OpenCV takes maps of at most 32767 rows
    maps = np.zeros((rows * 1024, 2), np.float32)
    maps[: len(flat)] = flat - 0.5
    x, y = maps.reshape(rows, 1024, 2).transpose(2, 0, 1)
    seen = cv2.remap(picture, np.ascontiguousarray(x), np.ascontiguousarray(y), how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen.reshape(rows * 1024, *picture.shape[2:])[: len(flat)], np.float32)


def _facing(turned: Floats) -> Floats:
    """Cosine between normals and the way to the camera."""
    way = np.array([0, 0, DISTANCE], np.float32) - turned[:, :3]
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    return np.asarray((way * turned[:, 3:]).sum(axis=1), np.float32)


def _unhidden(flat: Floats, depth: Floats) -> Floats:
    """(N,) 1 where no other texel lies before this one."""
    cell = np.floor(flat / _DEPTH_CELL).astype(np.int64)
    cell -= cell.min(axis=0)
    width = int(cell[:, 0].max()) + 1
    place = cell[:, 1] * width + cell[:, 0]
    nearest = np.full(int(place.max()) + 1, -np.inf, np.float32)
    np.maximum.at(nearest, place, depth)
    return np.asarray(depth > nearest[place] - 0.12, np.float32)


def _harmonics(normal: Floats) -> NDArray[np.float64]:
    """The first nine spherical harmonics, unscaled, of unit vectors (N, 3)."""
    x, y, z = normal.astype(np.float64).T
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], axis=1)


def unlit(atlas: Atlas, seen: Projection) -> Floats:
    """Log reflectance (N, 3): the smooth light that nine spherical harmonics of the normal explain is taken out.

    The light is fitted robustly to plain skin and normalised there, so that tone stays and the turn of the light goes;
    shine is pressed down towards its surroundings.
    """
    logs = np.log(np.maximum(seen.colour, FLOOR))
    plain = seen.trust * (1 - atlas.lips) * (atlas.beard < 0.4) * _not_brow(atlas)
    basis = _harmonics(seen.normal)
    pick = np.flatnonzero(plain > 0.05)[::7]
    if len(pick) < 500:
        return np.asarray(logs, np.float32)
    weight, ridge = plain[pick].astype(np.float64), np.diag([1e-6] + [4.0] * 3 + [12.0] * 5)
    for _ in range(5):
        rows = basis[pick] * weight[:, None]
        light = np.linalg.solve(basis[pick].T @ rows + ridge * len(pick) / 2000, rows.T @ logs[pick])
        off = logs[pick].mean(axis=1) - (basis[pick] @ light).mean(axis=1)
        weight = plain[pick] / (1 + (off / 0.25) ** 2)
    shade = basis @ light
    shade -= np.average(shade[pick], axis=0, weights=weight)
    return _matte(atlas, np.asarray(logs - np.clip(shade, -1.2, 0.8), np.float32), seen.trust)


def _not_brow(atlas: Atlas) -> Floats:
    """(N,) 0 on the brows, eyes and nostrils."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    brow = (np.abs(y - 7.40 - 0.05 * np.clip(x - 0.1, 0, 0.3)) < 0.12) & (x > 0.04) & (x < 0.62)
    nose = (np.abs(y - 6.86) < 0.05) & (x < 0.16)
    return np.asarray(~(brow | nose) & (z > 0.5), np.float32)


def _matte(atlas: Atlas, logs: Floats, trust: Floats) -> Floats:
    """Shine pressed down: what is far brighter than its surroundings is mostly reflection."""
    picture = atlas.picture(logs)
    weight = atlas.picture(trust)
    around = _blurred(picture, weight, 28.0)[atlas.covered]
    above = (logs - around).mean(axis=1)
    excess = np.clip(above - 0.14, 0, None)
    return np.asarray(logs - (0.6 * excess)[:, None], np.float32)


def without_wires(atlas: Atlas, logs: Floats) -> Floats:
    """Strong thin dark lines around the eyes, which are the frames of glasses, filled from beside them."""
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


def _blurred(picture: Floats, weight: Floats, sigma: float) -> Floats:
    """The weighted local mean of a picture (A, A, k)."""
    small = max(int(sigma / 5), 1)
    shape = (picture.shape[1] // small, picture.shape[0] // small)
    total, norm = (cv2.GaussianBlur(cv2.resize(p, shape, interpolation=cv2.INTER_AREA), (0, 0), sigma / small)
                   for p in (picture * weight[..., None], weight))  # fmt: skip
    mean = total / (norm[..., None] + 1e-4)
    return np.asarray(cv2.resize(mean, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def skin_like(atlas: Atlas, logs: Floats, trust: Floats) -> Floats:
    """(N,) 0 where hair, glasses or a background cover what the mesh says is skin."""
    middle = (np.abs(atlas.place[:, 0]) < 0.55) & (np.abs(atlas.place[:, 1] - 7.0) < 0.25) & (trust > 0.2)
    if middle.sum() < 200:
        return np.ones(len(trust), np.float32)
    centre = np.median(logs[middle], axis=0)
    smooth = _blurred(atlas.picture(logs), atlas.picture(trust), 4.0)[atlas.covered]
    off = smooth - centre
    grey = off.mean(axis=1)
    hue = np.abs(off - grey[:, None]).max(axis=1)
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    strict = np.clip(np.maximum((x - 0.46) / 0.12, (y - 7.5) / 0.15), 0, 1)  # towards the hair, less is forgiven
    odd = np.maximum((np.abs(grey) - 0.6 + 0.25 * strict) / 0.25, (hue - 0.32 + 0.12 * strict) / 0.15).clip(0, 1)
    free = np.maximum((1 - _not_brow(atlas)) * (z > 0.9), np.maximum(atlas.beard, atlas.lips))
    odd *= 1 - free * np.clip(1 - (x - 0.52) / 0.06, 0, 1)
    odd = np.maximum(odd, _lopsided(atlas, smooth, trust, centre))
    wide = cv2.dilate(atlas.picture(odd.astype(np.float32)), np.ones((13, 13), np.uint8))
    return np.asarray(
        1 - cv2.GaussianBlur(_joined(atlas, wide, middle), (0, 0), 4)[atlas.covered].clip(0, 1), np.float32
    )


def _lopsided(atlas: Atlas, smooth: Floats, trust: Floats, centre: Floats) -> Floats:
    """(N,) 1 where one side of the forehead or temple is unlike skin and its mirror image is not: hair fell there."""
    off = np.abs(atlas.picture(smooth) - centre).max(axis=2)
    seen = atlas.picture(trust)
    twin, twin_seen = (cv2.remap(p.astype(np.float32), *atlas.mirror, cv2.INTER_LINEAR) for p in (off, seen))
    upper = np.clip((atlas.place[:, 1] - 7.28) / 0.05, 0, 1)
    worse = np.clip((off - twin - 0.18) / 0.15, 0, 1) * (twin_seen > 0.08)
    return np.asarray(worse[atlas.covered] * upper, np.float32)


def _joined(atlas: Atlas, odd: Floats, middle: NDArray[np.bool_]) -> Floats:
    """``odd`` (A, A), and 1 on whatever only odd texels join to the middle of the face."""
    count, labels = cv2.connectedComponents((atlas.covered & (odd < 0.5)).astype(np.uint8), connectivity=4)
    ours = np.bincount(labels[atlas.covered][middle], minlength=count)
    ours[0] = 0
    return np.asarray(np.where(labels == int(np.argmax(ours)), odd, 1.0), np.float32)


def _merge(atlas: Atlas, seen: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Many views' log reflectance to one: coarse detail averaged, fine detail from who sees it best."""
    level = [np.average(logs, axis=0, weights=trust + 1e-6) for logs, trust in seen]
    best = level[int(np.argmax([t.sum() for _, t in seen]))]
    coarse, fine = np.zeros((SKIN_SIZE, SKIN_SIZE, 3)), np.zeros((SKIN_SIZE, SKIN_SIZE, 3))
    total, sharp = np.full((SKIN_SIZE, SKIN_SIZE, 1), 1e-6), np.full((SKIN_SIZE, SKIN_SIZE, 1), 1e-9)
    known = np.zeros((SKIN_SIZE, SKIN_SIZE), np.float32)
    for (logs, trust), own in zip(seen, level, strict=True):
        picture, weight = atlas.picture(logs - (own - best).astype(np.float32)), atlas.picture(trust)
        low = _blurred(picture, weight, _BAND)
        coarse += low * weight[..., None]
        total += weight[..., None]
        keen = (weight[..., None] ** 6) * float(trust.sum())
        fine += (picture - low) * keen
        sharp += keen
        known = np.maximum(known, weight)
    return np.exp(coarse / total + fine / sharp).astype(np.float32), known


def complete(photo: Floats, known: Floats, stock: Floats, mirror: tuple[Floats, Floats]) -> Floats:
    """The whole skin (A, A, 3): the photo where known, else its mirror image, else ``stock`` in the photo's colours.

    Both fill-ins are first moved to the photo's low frequencies, which spread from what is known, so no seam shows.
    """
    logs, other = np.log(np.maximum(photo, FLOOR)), np.log(np.maximum(stock, FLOOR))
    other = other - 0.7 * _blurred(
        other, np.ones(other.shape[:2], np.float32), 40.0
    )  # painted necks are redder than faces
    twin = cv2.remap(logs, *mirror, cv2.INTER_LINEAR)
    twin_known = cv2.remap(known, *mirror, cv2.INTER_LINEAR) * 0.8
    sure = _ramp(known, 0.06, 0.30)
    base = other + spread_out(logs - other, np.maximum(known - 0.05, 0))
    halves = base + _ramp(twin_known, 0.06, 0.30)[..., None] * (
        twin + spread_out(logs - twin, np.minimum(known, twin_known)) - base
    )
    return np.asarray(np.exp(halves + sure[..., None] * (logs - halves)), np.float32)


def _ramp(x: Floats, low: float, high: float) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(cv2.GaussianBlur((t * t * (3 - 2 * t)).astype(np.float32), (0, 0), 2.0), np.float32)


def spread_out(values: Floats, weight: Floats) -> Floats:
    """Low frequencies of ``values`` (A, A, k) where ``weight`` is, spread smoothly to everywhere else."""
    result: Floats | None = None
    for sigma in (160.0, 60.0, 24.0):
        small = 8 if sigma > 40 else 4
        shape = (SKIN_SIZE // small, SKIN_SIZE // small)
        v = cv2.resize(values * weight[..., None], shape, interpolation=cv2.INTER_AREA)
        w = cv2.resize(weight, shape, interpolation=cv2.INTER_AREA)
        v, w = (cv2.GaussianBlur(p, (0, 0), sigma / small) for p in (v, w))
        mean = v / (w[..., None] + 1e-6)
        trust = np.clip(w / 0.15, 0, 1)[..., None]
        overall = (values * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
        before = overall if result is None else cv2.resize(result, shape)
        result = before + trust * (mean - before)
    return np.asarray(cv2.resize(result, (SKIN_SIZE, SKIN_SIZE), interpolation=cv2.INTER_CUBIC), np.float32)
