"""Opens, closes, rounds or spreads the mouth of one picture by geometry: the face moves as it does when people speak.

How much each landmark moves with opening and width of the lips is a mean over people, ``data/lip_motion.npz``. Skin and
lips stay the person's own. What lies behind lips that the picture shows closed is unknown, so it comes from a rendered
mouth, ``data/inner_mouths.npz``, in the light of the picture. Letters: K points, h, w a picture's size.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.closed_mouth import Motion, closed_evenly, cover_inside, lip_interior
from dithead.face.eye_whites import eye_whites
from dithead.face.lip_opening import lip_opening
from dithead.face.masks import box_around
from dithead.face.mesh_indices import (
    ALIGNMENT_POINTS,
    CHEEKS,
    INNER_LIPS,
    NOSE_TIP,
    eye_distance,
    outline_aspect,
)
from dithead.face.thin_plate import warp_to
from dithead.types import RGB, FloatArray

SHUT = 0.03
"""Lip opening, in eye distances, up to which a picture shows nothing of the inside of the mouth (our choice)."""
_DATA = Path(__file__).parent / "data"
_KEPT, _STREAKED = 1.4, 2.2  # times the own opening up to which the own inside shows, and from which none of it does
_BESIDE = 0.7  # eye distances beyond the face at which the picture stays where it is (our choice)
_FIXED = 9  # points on each side of that frame
_SOFT = 0.012  # sigma of the inner lips' edge, in eye distances
_LIGHT = 0.75  # how far the inside of the mouth takes on the light of the face: 0 not at all, 1 fully (docs/log)
_BY_EYES = 0.6  # how far the whites of the eyes tell of that light; the rest is told by the skin (docs/log)
_USUAL_WHITES = 0.83  # brightness of the whites of the eyes over that of the skin, median over people (docs/log)
_WHITES = (0.55, 1.15)  # the same, least and most; beyond are closed eyes and reflections in glasses (our choice)
_ASPECTS, _SHADES = (0.0, 0.17, 0.24, 0.35), (0.65, 1.12, 1.1, 0.97)
"""Aspects of the lips, and how bright the rendered inside has to be there to be as bright as people's (docs/log)."""
_SOFTER = 0.5  # times the blur of the picture, by which the rendered inside is blurred (docs/log)
_LEAST_BLUR, _MOST_BLUR = 0.5, 4.0  # pixels, of the rendered inside, which is to be as soft as its picture (our choice)
_CHEEK = 0.04  # half the side of the squares in which the colour of the skin is measured, in eye distances


class InnerMouth(NamedTuple):
    """What a rendered mouth shows between its lips."""

    picture: RGB  # (h, w, 3)
    lips: NDArray[np.float32]  # (20, 2) its inner lips in pixels, in the order of ``INNER_LIPS``
    skin: float  # how bright the cheeks are in the same light, 0 to 255


def opened_mouth(picture: RGB, landmarks: FloatArray, opening: float, wider: float = 0.0) -> RGB:
    """Return the picture with its mouth opened or closed, rounded or spread.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in pixels of the picture.
        opening: The lip opening that the mouth is to have, in eye distances.
        wider: How much wider it is to be, in eye distances; negative for rounded lips.
    """
    before = np.asarray(landmarks, np.float64)[:, :2]
    after, unit = moved_landmarks(before, opening, wider), eye_distance(before)
    fixed = _frame_around(before, unit)
    moving = np.flatnonzero(before[:, 1] > before[NOSE_TIP, 1])
    still = np.setdiff1d(ALIGNMENT_POINTS, moving)
    box, own = box_around(fixed, picture.shape), lip_opening(before)
    left, top, right, bottom = box
    warped = picture.copy()
    if opening < own:
        moving, left_open = moving[~lip_interior(before)[moving]], opening / own
        lips = closed_evenly(Motion(before, after), left_open)
        anchors = Motion(*(np.concatenate([each[moving], before[still], fixed]) for each in (before, after)))
        warped[top:bottom, left:right] = cover_inside(picture, lips, anchors, box, left_open)
        return warped
    points, origins = (np.concatenate([each[moving], before[still], fixed]) for each in (after, before))
    _, distinct = np.unique(np.round(points, 2), axis=0, return_index=True)
    where = warp_to(points[distinct], origins[distinct], box, unit)
    warped[top:bottom, left:right] = cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    share = _rendered_share(own, opening)
    if not share:
        return warped
    light = _Light(_light_on(picture, before, unit), edge_blur(picture, before))
    return _filled(warped, after, light, unit, share)


def moved_landmarks(landmarks: FloatArray, opening: float, wider: float = 0.0) -> NDArray[np.float64]:
    """Return landmarks (478, 2) with another lip ``opening``, and lips ``wider`` by so much, in eye distances."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    by_opening, by_width = _motion()
    moved = (opening - lip_opening(points)) * by_opening + wider * by_width
    eyes = points[ALIGNMENT_POINTS[3]] - points[ALIGNMENT_POINTS[0]]  # the head may be tilted in the picture
    turn = np.array([[eyes[0], eyes[1]], [-eyes[1], eyes[0]]])
    return np.asarray(points + moved @ turn)


def _rendered_share(own: float, opening: float) -> float:
    """How much of a rendered inside shows: a little of the person's own inside, stretched far, would be streaks."""
    if opening <= SHUT / 3:
        return 0.0
    return 1.0 if own <= SHUT else float(np.clip((opening / own - _KEPT) / (_STREAKED - _KEPT), 0, 1))


def _filled(picture: RGB, landmarks: NDArray[np.float64], light: _Light, unit: float, share: float) -> RGB:
    """The picture with the inside of a rendered mouth between its inner lips, mixed in by its ``share``."""
    lips = landmarks[list(INNER_LIPS)]
    aspect = outline_aspect(lips)
    donor = min(_inner_mouths(), key=lambda each: abs(outline_aspect(each.lips) - aspect))
    margin = 3 * _SOFT * unit + 2
    box = box_around(np.stack([lips.min(axis=0) - margin, lips.max(axis=0) + margin]), picture.shape)
    left, top, right, bottom = box
    enlarged = np.ptp(donor.lips[:, 0]) / max(float(np.ptp(lips[:, 0])), 1e-6)
    soft = cv2.GaussianBlur(donor.picture, (0, 0), max(enlarged * light.blur * _SOFTER, 0.3))
    where = warp_to(lips, donor.lips, box, unit)
    seen = cv2.remap(soft, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    shade = float(np.interp(aspect, _ASPECTS, _SHADES))
    lit = np.clip(seen * (shade * (light.brightness / donor.skin) ** _LIGHT), 0, 255)
    inside = np.zeros((bottom - top, right - left), np.uint8)
    corners: list[Any] = [np.round((lips - (left, top)) * 16).astype(np.int32)]
    cv2.fillPoly(inside, corners, 255, lineType=cv2.LINE_AA, shift=4)
    weight = share * cv2.GaussianBlur(inside.astype(np.float32) / 255, (0, 0), _SOFT * unit)[..., None]
    result, part = picture.copy(), picture[top:bottom, left:right]
    result[top:bottom, left:right] = np.rint(part + (lit - part) * weight).astype(np.uint8)
    return result


class _Light(NamedTuple):
    """How a picture shows what is in it."""

    brightness: float  # of the light on the face, as that of usual skin in it, 0 to 255
    blur: float  # pixels, see ``edge_blur``


def edge_blur(picture: RGB, landmarks: NDArray[np.float64]) -> float:
    """Estimate how blurred the edges of a face are, as the sigma in pixels of a Gaussian over sharp ones.

    For steps blurred by sigma, the mean squared gradient over the mean squared Laplacian is 2 sigma squared.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in its pixels.
    """
    left, top, right, bottom = box_around(landmarks, picture.shape)
    grey = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2GRAY).astype(np.float32)
    down, across = np.gradient(grey) if min(grey.shape) > 1 else (grey, grey)
    bends = float(np.mean(cv2.Laplacian(grey, cv2.CV_32F) ** 2))
    return float(np.sqrt(np.mean(down**2 + across**2) / max(2 * bends, 1e-6)).clip(_LEAST_BLUR, _MOST_BLUR))


def _frame_around(landmarks: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """Points (K, 2) on a frame around the face, which stay where they are."""
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    top = landmarks[list(ALIGNMENT_POINTS), 1].mean()
    x = np.linspace(left - _BESIDE * unit, right + _BESIDE * unit, _FIXED)
    y = np.linspace(top, bottom + _BESIDE * unit, _FIXED)
    rows = [np.stack(np.broadcast_arrays(x, edge), axis=1) for edge in (y[0], y[-1])]
    columns = [np.stack(np.broadcast_arrays(edge, y[1:-1]), axis=1) for edge in (x[0], x[-1])]
    return np.concatenate(rows + columns)


def _light_on(picture: RGB, landmarks: NDArray[np.float64], unit: float) -> float:
    """How bright usual skin would be in the light on a face: skins differ more than the whites of eyes do."""
    skin, whites = _skin(picture, landmarks, unit), eye_whites(picture, landmarks)
    if whites is None:
        return skin
    return skin * float(np.clip(whites / skin, *_WHITES) / _USUAL_WHITES) ** _BY_EYES


def _skin(picture: RGB, landmarks: NDArray[np.float64], unit: float) -> float:
    """How bright the cheeks are, 0 to 255."""
    reach, limit = max(1, round(_CHEEK * unit)), np.array([picture.shape[1], picture.shape[0]]) - 1
    places = np.rint(landmarks[list(CHEEKS)]).astype(int)
    inside = places[((places >= 0) & (places <= limit)).all(axis=1)]
    if not len(inside):
        inside = places.clip(0, limit)
    squares = [
        picture[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].reshape(-1, 3) for x, y in inside
    ]
    return max(1.0, float(np.median(np.concatenate(squares), axis=0).mean()))


@lru_cache(maxsize=1)
def _motion() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far landmarks (478, 2) move, in eye distances, when the lips open and when they widen by one."""
    with np.load(_DATA / "lip_motion.npz", allow_pickle=False) as data:
        return np.asarray(data["opening"], np.float64), np.asarray(data["width"], np.float64)


@lru_cache(maxsize=1)
def _inner_mouths() -> tuple[InnerMouth, ...]:
    with np.load(_DATA / "inner_mouths.npz", allow_pickle=False) as data:
        return tuple(
            InnerMouth(np.asarray(data[f"picture_{k}"], np.uint8), lips.astype(np.float32), float(data["skin"]))
            for k, lips in enumerate(data["lips"])
        )
