"""Chooses the reference pictures that are kept of a tracklet: its mouth from closed to open, narrow and wide.

An "oo" and an "ee" may be equally open, and differ by the width of the lips. So a narrow and a wide mouth are kept of
each opening. The first pass sees every frame once, so it keeps a thinned-out sample and chooses from it when the
tracklet ends.
Letters: N samples, K pictures kept, S crop side; h, w the part of a frame.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points, transform_scale, warp_crop
from dithead.face.opened_mouth import opened_mouth
from dithead.face.rendered_inside import Inside
from dithead.inference.analyse.image_store import ImageStore, StoredImages
from dithead.types import RGB, RGBLike, Similarity

KEPT = 5
"""Openings of which a narrow and a wide mouth are kept of a tracklet (docs/log)."""
STILL_SPAN = 0.03
"""Span of the lip opening, in eye distances, below which a mouth counts as not moving (docs/log)."""
GRADES = (0.0, 0.012, 0.024, 0.036, 0.05, 0.07, 0.09, 0.12, 0.155, 0.19)
"""Lip openings, in eye distances, of the pictures that are made where the source shows one alone (our choice)."""
ROUNDED, SPREAD = -0.07, 0.05
"""Eye distances by which the lips of the narrow and of the wide ones are widened (our choice)."""
_LARGEST = 5.0  # picture side in crop sides from which pictures are reduced, which bounds the memory (our choice)
_TOP = 0.25  # of the crop: above this line nothing is ever drawn
_OUTLIERS = 0.03  # share of the widest and of the least openings that is left out, as landmark errors (our choice)
_TURN = 0.1  # sine of the yaw that costs as much as one step of the opening (our choice)
_OPENING_WEIGHT = 3.0  # cost of one step of the opening: closed lips must be closed, whatever their width (docs/log)
_NARROW, _WIDE = 0.1, 0.9  # quantiles of the widths of mouths that are equally open (docs/log)
_LEAST_SPREAD = 0.003  # eye distances: a width that varies less is noise of the landmarks (our choice)
_SHARPNESS_WEIGHT = 1.5  # cost of a picture without any detail, in steps of the opening (our choice)


class StoredReferences(NamedTuple):
    """The reference pictures of one tracklet, kept on disk."""

    store: ImageStore
    images: StoredImages  # K crops (S, S, 3), then K pictures (h, w, 3)
    openings: NDArray[np.float32]  # (K,) lip openings in eye distances, ascending
    widths: NDArray[np.float32]  # (K,) widths of the lips in eye distances
    mean_opening: float  # over the whole tracklet
    mean_width: float  # over the whole tracklet
    narrow: NDArray[np.intp]  # the narrow mouths among the pictures, their openings ascending
    wide: NDArray[np.intp]  # the wide ones; a picture may be among both
    transforms: NDArray[np.float64]  # (K, 2, 3) from each picture's pixels to its crop
    opened: bool = False  # the source shows one opening alone; the others were made of it by ``face.opened_mouth``
    centre: NDArray[np.float32] | None = None  # (2,) crop pixels, of the lips


def never_moves(least: float, greatest: float) -> bool:
    """Return whether the ``least`` and ``greatest`` lip openings, in eye distances, are of a mouth that never moves."""
    return greatest - least < STILL_SPAN


class ChosenSamples(NamedTuple):
    """Indices of the samples that are kept, each list in the order of growing openings; some may be in both."""

    narrow: list[int]
    wide: list[int]


def choose_references(
    openings: NDArray[np.float64],
    widths: NDArray[np.float64],
    turns: NDArray[np.float64],
    sharpness: NDArray[np.float64],
    turn: float | None = None,
) -> ChosenSamples:
    """Choose samples that show narrow and wide mouths from closed to open, with one pose of the head, and sharply.

    Sharpness above the median earns nothing, because visible teeth alone raise it.

    Args:
        openings: (N,) lip openings in eye distances.
        widths: (N,) widths of the lips in eye distances.
        turns: (N,) sines of the head's yaw.
        sharpness: (N,) Laplacian variances of the lips.
        turn: The pose, as a sine of the yaw; None takes the usual one.

    Returns:
        At most ``KEPT`` narrow and as many wide ones.
    """
    low, high = np.quantile(openings, (_OUTLIERS, 1 - _OUTLIERS))
    step = max(float(high - low) / KEPT, 0.005)
    clear = np.minimum(sharpness / max(float(np.median(sharpness)), 1e-6), 1)
    other_cost = np.abs(turns - (np.median(turns) if turn is None else turn)) / _TURN - _SHARPNESS_WEIGHT * clear
    wider = _wider_than_usual(openings, widths)
    costs = np.abs(openings - np.linspace(low, high, KEPT)[:, None]) * (_OPENING_WEIGHT / step) + other_cost
    chains = []
    for quantile in (_NARROW, _WIDE):
        found = sorted({*(costs + np.abs(wider - np.quantile(wider, quantile))).argmin(axis=1).tolist()})
        _, first = np.unique(np.float32(openings[found]), return_index=True)
        chains.append([found[k] for k in first])
    return ChosenSamples(*chains)


def _wider_than_usual(openings: NDArray[np.float64], widths: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much wider each mouth (N,) is than others as open as it is, in standard deviations of the width."""
    change = openings - openings.mean()
    slope = float(change @ widths) / max(float(change @ change), 1e-9)
    rest = widths - widths.mean() - slope * change
    return np.asarray(rest / max(float(widths.std()), _LEAST_SPREAD))


def source_picture(frame: RGBLike, transform: Similarity, size: int) -> tuple[RGB, Similarity]:
    """Cut the part of a frame that its crop shows from the eyes down, at the frame's own resolution.

    Args:
        frame: (H, W, 3).
        transform: (2, 3) from frame pixels to the crop.
        size: Crop side S.

    Returns:
        The picture (h, w, 3), reduced only where the face is very large, and the transform from its pixels to the
        crop.
    """
    corners = np.array([[x, y] for x in (0, size) for y in (_TOP * size, size)])
    inside = transform_points(corners, invert(transform))
    limit = np.array([frame.shape[1], frame.shape[0]])
    x0, y0 = np.clip(np.floor(inside.min(axis=0)), 0, limit - 1).astype(int)
    x1, y1 = np.clip(np.ceil(inside.max(axis=0)) + 1, (x0 + 1, y0 + 1), limit).astype(int)
    local = transform.copy()
    local[:, 2] += transform[:, :2] @ (x0, y0)
    return _reduced(frame[y0:y1, x0:x1], local, picture_scale(transform))


def picture_scale(transform: Similarity) -> float:
    """Return the scale of ``source_picture``: 1, or less where the face is very large."""
    return min(1.0, _LARGEST * transform_scale(transform))


def with_mouth(
    crop: RGB,
    picture: RGB,
    transform: Similarity,
    landmarks: NDArray[np.float32],
    lips: tuple[float, float],
    inside: Inside | None = None,
) -> tuple[RGB, RGB]:
    """Open or close, and round or spread, the mouth of a kept picture.

    Args:
        crop: (S, S, 3).
        picture: (h, w, 3) the source's own pixels of it, from ``source_picture``.
        transform: (2, 3) from the picture's pixels to the crop.
        landmarks: (478, 2) in the picture's pixels.
        lips: The lip opening that the mouth is to have, and how much wider it is to be, in eye distances.
        inside: See ``opened_mouth``.

    Returns:
        The crop and the picture with that mouth.
    """
    changed = opened_mouth(picture, landmarks, *lips, inside)
    size = len(crop)
    below = warp_crop(changed, transform, size)
    top = round(_TOP * size) + 2  # the picture begins at that line, and cubics see two pixels beyond
    return np.concatenate([crop[:top], below[top:]]), changed


def enlarged(transform: Similarity, factor: float) -> Similarity:
    """Return a transform (2, 3) to a picture that is ``factor`` times as large; pixels are squares, not points."""
    larger = transform * factor
    larger[:, 2] += (factor - 1) / 2
    return larger


def _reduced(picture: RGB, transform: Similarity, factor: float) -> tuple[RGB, Similarity]:
    if factor == 1:
        return picture.copy(), transform
    size = (max(1, round(factor * picture.shape[1])), max(1, round(factor * picture.shape[0])))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, invert(enlarged(invert(transform), factor))
