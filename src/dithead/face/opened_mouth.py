"""Opens, closes, rounds or spreads the mouth of one picture by geometry: the face moves as it does when people speak.

How much each landmark moves with opening and width of the lips is a mean over people, ``data/lip_motion.npz``. Skin and
lips stay the person's own; ``rendered_inside`` fills lips that the picture shows closed. Letters: K points, h, w a
picture's size.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.closed_mouth import Motion, closed_evenly, cover_inside, lip_interior, off_the_edges
from dithead.face.lip_opening import lip_opening
from dithead.face.masks import box_around
from dithead.face.mesh_indices import ALIGNMENT_POINTS, NOSE_TIP, eye_distance
from dithead.face.parted_inside import dark_row, part_inside
from dithead.face.rendered_inside import Inside, filled, light_on, usual_softness
from dithead.face.thin_plate import warp_to
from dithead.types import RGB, FloatArray

SHUT = 0.03
"""Lip opening, in eye distances, up to which a picture shows nothing of the inside of the mouth (our choice)."""
_DATA = Path(__file__).parent / "data"
_STRETCHED = (1.4, 2.2)  # times the own opening up to which the own inside shows, and from which none of it does
_PARTED = (2.4, 3.4)  # the same where it parts, see ``parted_inside`` (docs/log)
_BESIDE = 0.7  # eye distances beyond the face at which the picture stays where it is (our choice)
_FIXED = 9  # points on each side of that frame
_TRIED = 0.1  # eye distances of opening at which it is found how soft the inside must be (our choice)


def opened_mouth(
    picture: RGB, landmarks: FloatArray, opening: float, wider: float = 0.0, inside: Inside | None = None
) -> RGB:
    """Return the picture with its mouth opened or closed, rounded or spread.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in pixels of the picture.
        opening: The lip opening that the mouth is to have, in eye distances.
        wider: How much wider it is to be, in eye distances; negative for rounded lips.
        inside: From ``inside_of``, where several mouths are made of one picture.
    """
    before = np.asarray(landmarks, np.float64)[:, :2]
    motion, own = Motion(before, moved_landmarks(before, opening, wider)), lip_opening(before)
    if opening < own:
        return _closed(picture, motion, opening / own)
    row = _row_to_part_at(picture, before, inside) if own > SHUT else None
    share = _rendered_share(own, opening, parted=row is not None)
    opened = _warped(picture, motion, share)
    if row is not None:
        part_inside(picture, opened, motion, row)
    if not share:
        return opened
    return filled(opened, motion.after, inside or inside_of(picture, before), share)


def inside_of(picture: RGB, landmarks: FloatArray) -> Inside:
    """Tell how a picture must show the inside of its mouth, when that is opened.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in pixels of the picture.
    """
    before = np.asarray(landmarks, np.float64)[:, :2]
    motion, light = Motion(before, moved_landmarks(before, _TRIED)), light_on(picture, before)
    opened = _warped(picture, motion, 1.0), motion.after
    return Inside(light, usual_softness((picture, before), opened, light))


def moved_landmarks(landmarks: FloatArray, opening: float, wider: float = 0.0) -> NDArray[np.float64]:
    """Return landmarks (478, 2) with another lip ``opening``, and lips ``wider`` by so much, in eye distances."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    by_opening, by_width = _motion()
    moved = (opening - lip_opening(points)) * by_opening + wider * by_width
    eyes = points[ALIGNMENT_POINTS[3]] - points[ALIGNMENT_POINTS[0]]  # the head may be tilted in the picture
    turn = np.array([[eyes[0], eyes[1]], [-eyes[1], eyes[0]]])
    return np.asarray(points + moved @ turn)


def _row_to_part_at(picture: RGB, landmarks: NDArray[np.float64], inside: Inside | None) -> float | None:
    light = light_on(picture, landmarks) if inside is None else inside.light
    return dark_row(picture, landmarks, light.brightness)


def _rendered_share(own: float, opening: float, *, parted: bool) -> float:
    """How much of a rendered inside shows: a little of the person's own inside, stretched far, would be streaks."""
    if opening <= SHUT / 3:
        return 0.0
    kept, streaked = _PARTED if parted else _STRETCHED
    return 1.0 if own <= SHUT else float(np.clip((opening / own - kept) / (streaked - kept), 0, 1))


def _closed(picture: RGB, motion: Motion, left_open: float) -> RGB:
    """The picture with lips that slide over what lies between them; a share ``left_open`` of the gap is left."""
    moving, held, box = _anchors(picture, motion)
    moving = moving[~lip_interior(motion.before)[moving]]
    anchors = Motion(*(np.concatenate([each[moving], held]) for each in motion))
    left, top, right, bottom = box
    changed = picture.copy()
    changed[top:bottom, left:right] = cover_inside(picture, closed_evenly(motion, left_open), anchors, box, left_open)
    return changed


def _warped(picture: RGB, motion: Motion, rendered: float) -> RGB:
    """The picture with its lower face moved; where the inside will be ``rendered``, lips show none of the old."""
    moving, held, box = _anchors(picture, motion)
    origins, points = (np.concatenate([each[moving], held]) for each in motion)
    _, distinct = np.unique(np.round(points, 2), axis=0, return_index=True)
    where = warp_to(points[distinct], origins[distinct], box, eye_distance(motion.before))
    off_the_edges(where, motion, box, rendered)
    left, top, right, bottom = box
    changed = picture.copy()
    changed[top:bottom, left:right] = cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return changed


def _anchors(picture: RGB, motion: Motion) -> tuple[NDArray[np.intp], NDArray[np.float64], tuple[int, int, int, int]]:
    """Which landmarks move, where points (K, 2) are held, and the box of what changes."""
    before = motion.before
    fixed = _frame_around(before, eye_distance(before))
    moving = np.flatnonzero(before[:, 1] > before[NOSE_TIP, 1])
    still = np.setdiff1d(ALIGNMENT_POINTS, moving)
    return moving, np.concatenate([before[still], fixed]), box_around(fixed, picture.shape)


def _frame_around(landmarks: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """Points (K, 2) on a frame around the face, which stay where they are."""
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    top = landmarks[list(ALIGNMENT_POINTS), 1].mean()
    x = np.linspace(left - _BESIDE * unit, right + _BESIDE * unit, _FIXED)
    y = np.linspace(top, bottom + _BESIDE * unit, _FIXED)
    rows = [np.stack(np.broadcast_arrays(x, edge), axis=1) for edge in (y[0], y[-1])]
    columns = [np.stack(np.broadcast_arrays(edge, y[1:-1]), axis=1) for edge in (x[0], x[-1])]
    return np.concatenate(rows + columns)


@lru_cache(maxsize=1)
def _motion() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far landmarks (478, 2) move, in eye distances, when the lips open and when they widen by one."""
    with np.load(_DATA / "lip_motion.npz", allow_pickle=False) as data:
        return np.asarray(data["opening"], np.float64), np.asarray(data["width"], np.float64)
