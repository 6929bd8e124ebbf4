"""Samples of one face in one shot: its crop, its own pixels and its lips, and the references that are made of them.

Letters: N samples, V views, S crop side; h, w the part of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import OUTER_LIPS
from dithead.face.opened_mouth import SHUT
from dithead.face.pose import head_turn
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.overlays import overlay_mask, without_overlay
from dithead.inference.analyse.references import (
    GRADES,
    ROUNDED,
    SPREAD,
    ChosenSamples,
    StoredReferences,
    never_moves,
    source_picture,
    with_mouth,
)
from dithead.inference.analyse.views import as_seen_ahead, choose_view_references, view_turns, widths_as_seen_ahead
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks, Similarity

_REFERENCE_QUANTILE = 0.7  # of the openings: the single reference shows a mouth that is a little open
_SPEAKING = 0.04  # eye distances: mean opening of a speaking mouth, where the source shows none (docs/log)
_LEAST_STEP = 0.005  # eye distances between the openings of pictures that are made
_TURN, _OPENING = 0.1, 0.05  # sine of the yaw and lip opening that cost one unit when that reference is chosen


@dataclass
class FaceSample:
    """A sampled frame of one face."""

    landmarks: NDArray[np.float32]  # (478, 2) crop pixels
    crop: RGB  # (S, S, 3)
    opening: float  # eye distances
    width: float  # eye distances
    turn: float  # sine of the yaw
    offset: int  # number of its frame, counted from the tracklet's first
    picture: RGB  # (h, w, 3): the source's own pixels of the crop
    transform: Similarity  # from the picture to the crop
    time: float  # seconds

    def lip_sharpness(self) -> float:
        """Laplacian variance of the lips in the source's own pixels: a mouth in motion is blurred."""
        lips = transform_points(self.landmarks[list(OUTER_LIPS)], invert(self.transform))
        x0, y0, x1, y1 = np.rint([*lips.min(axis=0), *lips.max(axis=0)]).astype(int).clip(0)
        part = self.picture[y0:y1, x0:x1].astype(np.float32).mean(axis=2)
        return float(cv2.Laplacian(part, cv2.CV_32F).var()) if part.size else 0.0


def sample_face(
    frame: VideoFrame, landmarks: Landmarks, in_crop: NDArray[np.float32], transform: Similarity, size: int, offset: int
) -> FaceSample:
    """Sample a face: its ``landmarks`` in the ``frame`` and ``in_crop``, and the ``offset`` of its frame."""
    picture, local = source_picture(frame.partial, transform, size)
    return FaceSample(
        in_crop, warp_crop(frame.partial, transform, size), lip_opening(landmarks), lip_width(landmarks),
        head_turn(landmarks), offset, picture, local, frame.time,
    )  # fmt: skip


def closed_samples(samples: list[FaceSample]) -> list[FaceSample]:
    """Those of the samples that show nothing of the inside of the mouth; the least open one where all do."""
    return [s for s in samples if s.opening < SHUT] or [min(samples, key=lambda s: s.opening)]


def opening_span(samples: list[FaceSample]) -> float:
    """How far the lip openings of samples are apart."""
    openings = [s.opening for s in samples]
    return max(openings) - min(openings) if openings else -1.0


def without_text(sample: FaceSample) -> FaceSample:
    """A sample whose burned-in text is filled from around it, in the crop and in the source's own pixels."""
    text = overlay_mask(sample.crop, sample.landmarks)
    height, width = sample.picture.shape[:2]
    there = cv2.warpAffine(text.astype(np.uint8), invert(sample.transform), (width, height), flags=cv2.INTER_LINEAR)
    return replace(sample, crop=without_overlay(sample.crop, text), picture=without_overlay(sample.picture, there > 0))


def stored_references(
    seen: list[FaceSample], store: ImageStore
) -> tuple[tuple[StoredReferences, ...], NDArray[np.float64]]:
    """The references of each of V views, that of the usual pose first, and the sines (V,) of the views' yaw."""
    openings, widths, turns, sharpness = np.array([(s.opening, s.width, s.turn, s.lip_sharpness()) for s in seen]).T
    middles = view_turns(turns, openings)
    if len(middles) > 1:
        openings, widths = as_seen_ahead(openings, turns), widths_as_seen_ahead(widths, turns)
    views = choose_view_references(openings, widths, turns, sharpness, middles)
    seen = [replace(s, opening=o, width=w) for s, o, w in zip(seen, openings.tolist(), widths.tolist(), strict=True)]
    means = float(openings.mean()), float(widths.mean())
    return tuple(_stored(seen, view, means, store) for view in views), middles


def _stored(
    seen: list[FaceSample], found: ChosenSamples, means: tuple[float, float], store: ImageStore
) -> StoredReferences:
    """Keep the samples that were found; a mouth that never moves is opened by geometry."""
    order = sorted({*found.narrow, *found.wide}, key=lambda k: (seen[k].opening, k))
    chosen, narrow, wide = [seen[k] for k in order], *(np.array([order.index(k) for k in chain]) for chain in found)
    opened = never_moves(chosen[0].opening, chosen[-1].opening)
    if opened:
        means = _SPEAKING, chosen[0].width
        chosen, narrow, wide = _opened(chosen[0])
    images = store.put([sample.crop for sample in chosen] + [sample.picture for sample in chosen])
    lips, transforms = np.array([(s.opening, s.width) for s in chosen], np.float32), [s.transform for s in chosen]
    return StoredReferences(store, images, lips[:, 0], lips[:, 1], *means, narrow, wide, np.stack(transforms), opened)


def _opened(sample: FaceSample) -> tuple[list[FaceSample], NDArray[np.intp], NDArray[np.intp]]:
    """The same picture of the person with the mouth from closed to open, and which of them are narrow and wide ones."""
    with FaceLandmarker(1) as landmarker:
        chains = [_chain(sample, wider, landmarker) for wider in (ROUNDED, SPREAD)]
    narrow = np.repeat([True, False], [len(chain) for chain in chains])
    made = [made for chain in chains for made in chain]
    order = np.argsort([each.opening for each in made], kind="stable")
    return [made[k] for k in order], np.flatnonzero(narrow[order]), np.flatnonzero(~narrow[order])


def _chain(sample: FaceSample, wider: float, landmarker: FaceLandmarker) -> list[FaceSample]:
    """The mouth from closed to open, ``wider`` by so much, each with the lips that are seen in it."""
    made: list[FaceSample] = []
    for opening in GRADES:
        lips = (opening, wider)
        crop, picture = with_mouth(sample.crop, sample.picture, sample.transform, sample.landmarks, lips)
        landmarker.reset()
        seen = landmarker.track(crop)
        measured = opening if seen is None else lip_opening(seen)
        width = sample.width + wider if seen is None else lip_width(seen)
        least = made[-1].opening + _LEAST_STEP if made else 0.0
        made.append(replace(sample, crop=crop, picture=picture, opening=max(measured, least), width=width))
    return made


def single_reference(samples: list[FaceSample]) -> RGB:
    """The sampled crop that shows the person best: the head's usual pose, the mouth a little open, sharp."""
    turns = np.array([s.turn for s in samples])
    openings = np.array([s.opening for s in samples])
    sharpness = np.array([_edge_strength(s.crop) for s in samples])
    target = np.quantile(openings, _REFERENCE_QUANTILE)
    cost = np.abs(turns - np.median(turns)) / _TURN + np.abs(openings - target) / _OPENING
    cost -= sharpness / max(float(np.median(sharpness)), 1e-6)
    return samples[int(np.argmin(cost))].crop


def _edge_strength(crop: RGB) -> float:
    grey = crop.astype(np.float32).mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())
