"""Collects tracklets: the frames of one face in one shot, with all that is needed to draw its mouth.

A few numbers are kept per frame, and pictures only of a thinned-out sample, so that memory hardly grows with the
length. Letters: N frames, n samples, S crop side, P polygon corners, K lip coefficients.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import crop_transform, invert, smooth_transform_array, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.masks import box_polygon, frame_polygon, jaw_line, stable_polygon
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.face.pose import head_turn
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.mouth_strips import MouthStrip, MouthStrips
from dithead.inference.analyse.occlusion import OcclusionCollector, OcclusionFinding, OcclusionMasks
from dithead.inference.analyse.overlays import overlay_mask, without_overlay
from dithead.inference.analyse.references import (
    GRADES,
    ChosenSamples,
    StoredReferences,
    never_moves,
    source_picture,
    with_mouth,
)
from dithead.inference.analyse.views import (
    as_seen_ahead,
    choose_view_references,
    frame_views,
    view_turns,
    widths_as_seen_ahead,
)
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks, MaskKind, Similarity

SAMPLES = 64
"""Most sampled frames of a tracklet, from which its polygon and its references come (our choice)."""
_FIRST = 16  # frames at the start of which all are sampled, so that a short tracklet has enough (our choice)
FADE = 4
"""Frames over which a drawn mouth fades in and out where no cut hides the change (our choice)."""
_REFERENCE_QUANTILE = 0.7  # of the openings: the single reference shows a mouth that is a little open
_ENOUGH = 0.6  # share of the openings that pictures without text must span; else text is filled instead (our choice)
_SPEAKING = 0.04  # eye distances: mean opening of a speaking mouth, where the source shows none (docs/log)
_LEAST_STEP = 0.005  # eye distances between the openings of pictures that are made
_TURN, _OPENING = 0.1, 0.05  # sine of the yaw and lip opening that cost one unit when that reference is chosen


LEVELS = (0.05, 0.275, 0.5, 0.725, 0.95)
"""Quantiles at which predicted and measured openings are compared (docs/log)."""


class LipCalibration(NamedTuple):
    """Mean and spread of the lips that the audio encoder predicts for one person's voice."""

    mean: NDArray[np.float32]  # (K,) mean of the predicted lip coefficients
    spread: float  # standard deviation of the predicted lip opening, in the model's units
    width_spread: float  # standard deviation of the predicted lip width, in eye distances
    levels: NDArray[np.float32] | None = None  # (5,) the predicted opening at ``LEVELS``, in the model's units
    share: float = 0.0  # how far these levels count; the rest is what mean and spread say


@dataclass(eq=False)
class Tracklet:
    """Frames ``start`` to ``stop`` (excluded) of one face in one shot."""

    start: int
    stop: int
    transforms: NDArray[np.float64]  # (N, 2, 3) from frame pixels to the crop, smoothed over time
    polygon: NDArray[np.float32]  # (P, 2) crop pixels: the mask, unless it follows each frame's own face
    lips: NDArray[np.float32]  # (20, 2) crop pixels: the median outline of the lips
    reference: RGB  # (S, S, 3): the one reference of models that take the same for all frames
    fades_in: bool
    fades_out: bool
    face: int = 0  # which of several faces
    jaws: NDArray[np.float16] | None = None  # (N, 21, 2) crop pixels: each frame's jaw line
    occlusion: OcclusionMasks = field(default_factory=OcclusionMasks)
    opening_spread: float = 0.0  # standard deviation of the source's lip opening: how widely this mouth moves
    width_spread: float = 0.0  # standard deviation of the source's lip width
    opening_levels: NDArray[np.float64] | None = None  # (5,) the source's lip opening at ``LEVELS``
    cheeks: NDArray[np.float32] | None = None  # (8, 2) crop pixels: where the skin is
    frame_polygons: NDArray[np.float32] | None = None  # (N, P, 2) frame pixels: masks that follow the face
    references: StoredReferences | None = None  # the mouth from closed to open, in the usual pose
    turned_references: tuple[StoredReferences, ...] = ()  # the same in other poses, where the head turns far
    views: NDArray[np.uint8] | None = None  # (N,) which pose each frame takes: 0, or 1 + the index of a turned one
    sample_times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # (n,) seconds
    mouth_strips: list[MouthStrip] = field(default_factory=list)  # for the offset of the source's own sound
    calibration: LipCalibration | None = None  # from the source's own sound, where it has speech

    def mask_polygon(self, index: int) -> NDArray[np.float32]:
        """Return the mask's polygon (P, 2) in the crop of frame ``index``."""
        if self.frame_polygons is None:
            return self.polygon
        return transform_points(self.frame_polygons[index - self.start], self.transforms[index - self.start])

    def view(self, index: int) -> int:
        """Return which pose's references frame ``index`` takes: 0 is the usual one."""
        return 0 if self.views is None else int(self.views[index - self.start])

    def opacity(self, index: int) -> float:
        """Return how much of the drawn mouth shows in frame ``index``: 1, but less near an end that no cut hides."""
        into = (index - self.start + 1) / (FADE + 1) if self.fades_in else 1.0
        left = (self.stop - index) / (FADE + 1) if self.fades_out else 1.0
        return min(1.0, into, left)


@dataclass
class _Sample:
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


@dataclass
class TrackletBuilder:
    """A tracklet while its frames still come; samples are thinned out by doubling the stride between them.

    The first stride is 2, because a tracklet of more than ``SAMPLES`` frames needs no further ones in the end.
    """

    start: int
    face: int = 0
    mask: MaskKind = "stable-polygon"
    frames: int = 0
    transforms: array[float] = field(default_factory=lambda: array("d"))  # (N, 2, 3), NaN where no face was seen
    turns: array[float] = field(default_factory=lambda: array("f"))  # (N,) sines of the yaw, NaN where no face was seen
    jaws: bytearray = field(default_factory=bytearray)  # (N, 21, 2) float16; the last one is repeated over gaps
    frame_polygons: bytearray = field(default_factory=bytearray)  # (N, P, 2) float32, or empty
    samples: list[_Sample] = field(default_factory=list)
    occlusion: OcclusionCollector = field(default_factory=OcclusionCollector)
    strips: MouthStrips = field(default_factory=MouthStrips)
    judged: int = 0  # frames whose finding has come, from the first on
    unclear: set[int] = field(default_factory=set)  # of those, the ones whose mouth cannot be seen
    overlaid: set[int] = field(default_factory=set)  # the ones that have burned-in text over the lower face
    stride: int = 2
    gap: int = 0  # frames since the face was last seen

    def add(self, frame: VideoFrame, landmarks: Landmarks, size: int) -> None:
        """Take the next frame.

        Args:
            frame: The frame.
            landmarks: The face's landmarks (478, 3) in frame pixels.
            size: Crop side S.
        """
        transform = crop_transform(landmarks, size)
        in_crop = transform_points(landmarks, transform)
        self._keep(transform, in_crop, size)
        self.turns.append(head_turn(landmarks))
        self.strips.add(frame.quick_partial, transform, in_crop, size, frame.time)
        if self.frames % self.stride == 0 or self.frames < _FIRST:
            self.samples.append(_sample(frame, landmarks, in_crop, transform, size, self.frames))
        self.frames, self.gap = self.frames + 1, 0
        if len(self.samples) > SAMPLES:
            self.stride *= 2
        if len(self.samples) > SAMPLES or self.frames == SAMPLES + 1:
            self.samples = [s for s in self.samples if s.offset % self.stride == 0]

    def judge(self, finding: OcclusionFinding | None) -> int:
        """Take what hides the mouth in the oldest frame without a finding, None for nothing; return its number."""
        self.occlusion.add(finding)
        if finding is not None and finding.reason:
            self.unclear.add(self.judged)
        if finding is not None and finding.overlay is not None:
            self.overlaid.add(self.judged)
        self.judged += 1
        return self.judged - 1

    def skip(self) -> None:
        """Take a frame in which the face was not seen; all before it must have been judged, or none."""
        self.transforms.extend([np.nan] * 6)
        self.turns.append(np.nan)
        for kept in (self.jaws, self.frame_polygons):
            kept += kept[-(len(kept) // self.frames) :]
        self.judge(None)
        self.frames, self.gap = self.frames + 1, self.gap + 1

    def close(self, size: int, fades_in: bool, fades_out: bool, store: ImageStore | None = None) -> Tracklet:
        """Return the finished tracklet.

        Args:
            size: Crop side S.
            fades_in: No cut hides its beginning.
            fades_out: No cut hides its end.
            store: Where its reference pictures are kept; in memory by default.
        """
        count = self.frames - self.gap
        landmarks = np.stack([s.landmarks for s in self.samples])
        references, middles = _stored_references(self._clear_samples(), store or ImageStore())
        polygons = np.frombuffer(self.frame_polygons, np.float32).reshape(self.frames, -1, 2)[:count]
        return Tracklet(
            start=self.start,
            stop=self.start + count,
            transforms=_bridged(smooth_transform_array(np.frombuffer(self.transforms).reshape(-1, 2, 3)[:count])),
            polygon=box_polygon(size) if self.mask == "box" else stable_polygon(landmarks, size),
            lips=np.median(landmarks[:, list(OUTER_LIPS)], axis=0).astype(np.float32),
            reference=_single_reference(self._clear_samples() if self.overlaid else self.samples),
            fades_in=fades_in,
            fades_out=fades_out,
            face=self.face,
            jaws=np.frombuffer(self.jaws, np.float16).reshape(self.frames, -1, 2)[:count],
            occlusion=self.occlusion.close(),
            opening_spread=float(np.std([s.opening for s in self.samples])),
            opening_levels=np.quantile([s.opening for s in self.samples], LEVELS),
            width_spread=float(np.std([s.width for s in self.samples])),
            cheeks=np.median(landmarks[:, list(CHEEKS)], axis=0).astype(np.float32),
            frame_polygons=polygons if self.frame_polygons else None,
            references=references[0],
            turned_references=references[1:],
            views=frame_views(np.frombuffer(self.turns, np.float32)[:count], middles),
            sample_times=np.array([s.time for s in self.samples]),
            mouth_strips=self.strips.close(),
        )

    def _clear_samples(self) -> list[_Sample]:
        """The samples whose mouth can be seen, without burned-in text: it must not be lent to other frames."""
        seen = [s for s in self.samples if s.offset not in self.unclear] or self.samples
        plain = [s for s in seen if s.offset not in self.overlaid]
        if _span(plain) >= _ENOUGH * _span(seen):
            return plain or seen
        return [_without_text(s) if s.offset in self.overlaid else s for s in seen]

    def _keep(self, transform: Similarity, in_crop: NDArray[np.float32], size: int) -> None:
        self.transforms.extend(transform.ravel())
        self.jaws += jaw_line(in_crop).astype(np.float16).tobytes()
        if self.mask == "polygon":
            self.frame_polygons += transform_points(frame_polygon(in_crop, size), invert(transform)).tobytes()


def _sample(
    frame: VideoFrame, landmarks: Landmarks, in_crop: NDArray[np.float32], transform: Similarity, size: int, offset: int
) -> _Sample:
    picture, local = source_picture(frame.partial, transform, size)
    return _Sample(
        in_crop, warp_crop(frame.partial, transform, size), lip_opening(landmarks), lip_width(landmarks),
        head_turn(landmarks), offset, picture, local, frame.time,
    )  # fmt: skip


def _span(samples: list[_Sample]) -> float:
    """How far the lip openings of samples are apart."""
    openings = [s.opening for s in samples]
    return max(openings) - min(openings) if openings else -1.0


def _without_text(sample: _Sample) -> _Sample:
    """A sample whose burned-in text is filled from around it, in the crop and in the source's own pixels."""
    text = overlay_mask(sample.crop, sample.landmarks)
    height, width = sample.picture.shape[:2]
    there = cv2.warpAffine(text.astype(np.uint8), invert(sample.transform), (width, height), flags=cv2.INTER_LINEAR)
    return replace(sample, crop=without_overlay(sample.crop, text), picture=without_overlay(sample.picture, there > 0))


def _stored_references(
    seen: list[_Sample], store: ImageStore
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
    seen: list[_Sample], found: ChosenSamples, means: tuple[float, float], store: ImageStore
) -> StoredReferences:
    """Keep the samples that were found; a mouth that never moves is opened by geometry."""
    order = sorted({*found.narrow, *found.wide}, key=lambda k: (seen[k].opening, k))
    chosen, narrow, wide = [seen[k] for k in order], *(np.array([order.index(k) for k in chain]) for chain in found)
    opened = never_moves(chosen[0].opening, chosen[-1].opening)
    if opened:
        chosen, means = _opened(chosen[0]), (_SPEAKING, means[1])
        narrow = wide = np.arange(len(chosen))
    images = store.put([sample.crop for sample in chosen] + [sample.picture for sample in chosen])
    lips, transforms = np.array([(s.opening, s.width) for s in chosen], np.float32), [s.transform for s in chosen]
    return StoredReferences(store, images, lips[:, 0], lips[:, 1], *means, narrow, wide, np.stack(transforms), opened)


def _opened(sample: _Sample) -> list[_Sample]:
    """The same picture of the person with the mouth from closed to open, each with the opening that is seen in it."""
    made: list[_Sample] = []
    with FaceLandmarker(1) as landmarker:
        for opening in GRADES:
            crop, picture = with_mouth(sample.crop, sample.picture, sample.transform, sample.landmarks, opening)
            landmarker.reset()
            seen = landmarker.track(crop)
            measured = opening if seen is None else lip_opening(seen)
            least = made[-1].opening + _LEAST_STEP if made else 0.0
            made.append(replace(sample, crop=crop, picture=picture, opening=max(measured, least)))
    return made


def _single_reference(samples: list[_Sample]) -> RGB:
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


def _bridged(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transforms (N, 2, 3) with gaps bridged by straight lines, in crop-to-frame form, where a face moves evenly."""
    known = np.flatnonzero(np.isfinite(transforms[:, 0, 0]))
    if len(known) == len(transforms):
        return transforms
    back = invert(transforms[known]).reshape(-1, 6)
    missing = np.flatnonzero(~np.isfinite(transforms[:, 0, 0]))
    lines = np.stack([np.interp(missing, known, back[:, c]) for c in range(6)], axis=1)
    transforms[missing] = invert(lines.reshape(-1, 2, 3))
    return transforms
