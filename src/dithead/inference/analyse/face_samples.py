"""Samples of one face in one shot, and the references that are made of them.

Letters: N samples, V views, S crop side; h, w the part of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points
from dithead.face.eye_whites import eye_is_open
from dithead.face.fine_detail import laplacian_variance, mean_of_channels
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from dithead.face.opened_mouth import SHUT, inside_of
from dithead.face.pose import head_turn
from dithead.face.rendered_inside import Inside
from dithead.inference.analyse.face_pictures import FacePictures, FacePlace, UnconvertedFace
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.mouth_shapes import shifts_to_usual_place
from dithead.inference.analyse.overlays import overlay_mask, without_overlay
from dithead.inference.analyse.references import (
    GRADES,
    ROUNDED,
    SPREAD,
    ChosenSamples,
    StoredReferences,
    never_moves,
    with_mouth,
)
from dithead.inference.analyse.views import (
    as_seen_ahead,
    choose_view_references,
    in_view,
    opens_enough,
    view_turns,
    widths_as_seen_ahead,
)
from dithead.media.partial_rgb import PartialRGB
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks

_REFERENCE_QUANTILE = 0.7  # of the openings: the single reference shows a mouth that is a little open
_SPEAKING = 0.06  # eye distances: mean opening of a speaking mouth, where the source shows none (docs/log)
_LEAST_STEP = 0.005  # eye distances between the openings of pictures that are made
_CANDIDATES = 16  # samples, the best by pose and opening, of which the sharpest is that reference (our choice)
_EYES = (RIGHT_EYE, LEFT_EYE)
_TURN, _OPENING = 0.1, 0.05  # sine of the yaw and lip opening that cost one unit when that reference is chosen


@dataclass
class FaceSample:
    """A sampled frame of one face."""

    landmarks: NDArray[np.float32]  # (478, 2) crop pixels
    pictures: FacePictures | UnconvertedFace
    opening: float  # eye distances
    width: float  # eye distances
    turn: float  # sine of the yaw
    offset: int  # number of its frame, counted from the tracklet's first
    time: float  # seconds
    rare: bool = False  # kept for its closed lips and not for its moment, so that it counts in no mean

    def lip_sharpness(self) -> float:
        """Laplacian variance of the lips in the source's own pixels: a mouth in motion is blurred."""
        return laplacian_variance(self.pictures.around(self.landmarks[list(OUTER_LIPS)]))

    def shifted(self, by: NDArray[np.float32]) -> FaceSample:
        """Return the sample with its mouth ``by`` (2,) crop pixels farther to the right and below."""
        return replace(self, landmarks=self.landmarks + by, pictures=self.pictures.shifted(by))


def sample_face(frame: VideoFrame, landmarks: Landmarks, place: FacePlace, offset: int) -> FaceSample:
    """Sample a face: its ``landmarks`` (478, 3) in the ``frame``, where it is, and the ``offset`` of its frame."""
    whole = frame.partial
    pictures = UnconvertedFace(whole, place) if isinstance(whole, PartialRGB) else FacePictures.of(whole, place)
    return FaceSample(
        place.points, pictures, lip_opening(landmarks), lip_width(landmarks), head_turn(landmarks), offset, frame.time
    )


def closed_samples(samples: list[FaceSample]) -> list[FaceSample]:
    """Those of the samples that show nothing of the inside of the mouth; the least open one where all do."""
    return [s for s in samples if s.opening < SHUT] or [min(samples, key=lambda s: s.opening)]


def opening_span(samples: list[FaceSample]) -> float:
    """How far the lip openings of samples are apart."""
    openings = [s.opening for s in samples]
    return max(openings) - min(openings) if openings else -1.0


def without_text(sample: FaceSample) -> FaceSample:
    """A sample whose burned-in text is filled from around it, in the crop and in the source's own pixels."""
    crop, picture, transform = sample.pictures.crop, sample.pictures.picture, sample.pictures.transform
    text = overlay_mask(crop, sample.landmarks)
    height, width = picture.shape[:2]
    there = cv2.warpAffine(text.astype(np.uint8), invert(transform), (width, height), flags=cv2.INTER_LINEAR)
    plain = FacePictures(without_overlay(crop, text), without_overlay(picture, there > 0), transform)
    return replace(sample, pictures=plain)


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
    counted = [k for k, s in enumerate(seen) if not s.rare] or slice(None)
    means = float(openings[counted].mean()), float(widths[counted].mean())
    own = [openings[in_view(turns, middle, middles)] for middle in middles.tolist()]
    enough = [len(middles) == 1 or opens_enough(part, openings) for part in own]
    return tuple(_stored(seen, *view, means, store) for view in zip(views, enough, strict=True)), middles


def _stored(
    seen: list[FaceSample], found: ChosenSamples, enough: bool, means: tuple[float, float], store: ImageStore
) -> StoredReferences:
    """Keep the samples that were found; a mouth that never moves, or not enough in its pose, is opened by geometry."""
    order = sorted({*found.narrow, *found.wide}, key=lambda k: (seen[k].opening, k))
    narrow, wide = (np.array([order.index(k) for k in chain]) for chain in found)
    opened = not enough or never_moves(seen[order[0]].opening, seen[order[-1]].opening)
    if opened:
        base = _with_open_eyes(seen, seen[order[0]])
        means = _SPEAKING, base.width
        chosen, narrow, wide = _opened(base)
    else:
        chosen = _steadied(order, seen)
    pictures = [sample.pictures for sample in chosen]
    images = store.put([p.crop for p in pictures] + [p.picture for p in pictures])
    lips, transforms = np.array([(s.opening, s.width) for s in chosen], np.float32), [p.transform for p in pictures]
    centre = np.mean([_lip_centre(s) for s in chosen], axis=0).astype(np.float32)
    chains = narrow, wide
    return StoredReferences(
        store, images, lips[:, 0], lips[:, 1], *means, *chains, np.stack(transforms), opened, centre
    )


def _with_open_eyes(seen: list[FaceSample], base: FaceSample) -> FaceSample:
    """A sample with a mouth like that of ``base``, whose eyes do not blink: their whites tell of the light."""
    like = [s for s in seen if abs(s.opening - base.opening) < _LEAST_STEP and abs(s.turn - base.turn) < _TURN]
    nearest = sorted(like, key=lambda s: abs(s.opening - base.opening))
    return max(nearest, key=lambda s: sum(eye_is_open(s.landmarks[list(eye)]) for eye in _EYES))


def _steadied(chosen: list[int], seen: list[FaceSample]) -> list[FaceSample]:
    """The ``chosen`` ones of the samples that were ``seen``, each shifted to where such a mouth usually lies."""
    openings, widths, turns = np.array([(s.opening, s.width, s.turn) for s in seen]).T
    centres = np.stack([_lip_centre(s) for s in seen])
    pose = float(np.median(turns[chosen]))
    moves = shifts_to_usual_place(centres, (openings, widths, turns - pose), len(seen[0].pictures.crop))
    return [seen[k].shifted(moves[k]) for k in chosen]


def _lip_centre(sample: FaceSample) -> NDArray[np.float32]:
    """Where the lips lie (2,) in crop pixels."""
    return np.asarray(sample.landmarks[list(OUTER_LIPS)].mean(axis=0), np.float32)


def _opened(sample: FaceSample) -> tuple[list[FaceSample], NDArray[np.intp], NDArray[np.intp]]:
    """The same picture of the person with the mouth from closed to open, and which of them are narrow and wide ones."""
    points = transform_points(sample.landmarks, invert(sample.pictures.transform))
    inside = inside_of(sample.pictures.picture, points)
    with FaceLandmarker(1) as landmarker:
        chains = [_chain(sample, points, inside, wider, landmarker) for wider in (ROUNDED, SPREAD)]
    narrow = np.repeat([True, False], [len(chain) for chain in chains])
    made = [made for chain in chains for made in chain]
    order = np.argsort([each.opening for each in made], kind="stable")
    return [made[k] for k in order], np.flatnonzero(narrow[order]), np.flatnonzero(~narrow[order])


def _chain(
    sample: FaceSample, points: NDArray[np.float32], inside: Inside, wider: float, landmarker: FaceLandmarker
) -> list[FaceSample]:
    """The mouth from closed to open, ``wider`` by so much, each with the lips that are seen in it.

    Of its picture, ``points`` (478, 2) are the landmarks, and ``inside`` is for ``opened_mouth``.
    """
    made: list[FaceSample] = []
    given = sample.pictures
    for opening in GRADES:
        lips = (opening, wider)
        crop, picture = with_mouth(given.crop, given.picture, given.transform, points, lips, inside)
        landmarker.reset()
        seen = landmarker.track(crop)
        measured = opening if seen is None else lip_opening(seen)
        width = sample.width + wider if seen is None else lip_width(seen)
        least = made[-1].opening + _LEAST_STEP if made else 0.0
        pictures = FacePictures(crop, picture, given.transform)
        made.append(replace(sample, pictures=pictures, opening=max(measured, least), width=width))
    return made


def single_reference(samples: list[FaceSample]) -> RGB:
    """The sampled crop that shows the person best: the head's usual pose, the mouth a little open, sharp."""
    turns = np.array([s.turn for s in samples])
    openings = np.array([s.opening for s in samples])
    target = np.quantile(openings, _REFERENCE_QUANTILE)
    cost = np.abs(turns - np.median(turns)) / _TURN + np.abs(openings - target) / _OPENING
    best = np.argsort(cost, kind="stable")[:_CANDIDATES]
    crops = [samples[k].pictures.crop for k in best]
    sharpness = np.array([_edge_strength(crop) for crop in crops])
    cost = cost[best] - sharpness / max(float(np.median(sharpness)), 1e-6)
    return crops[int(np.argmin(cost))]


def _edge_strength(crop: RGB) -> float:
    grey = mean_of_channels(crop)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())
