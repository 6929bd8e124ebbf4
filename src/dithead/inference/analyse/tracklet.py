"""Collects tracklets: the frames of one face in one shot, with all that is needed to draw its mouth.

A few numbers are kept per frame, and pictures only of a thinned-out sample, so that memory hardly grows with the
length. Letters: N frames, n samples, S crop side, P polygon corners, K lip coefficients.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, smooth_transform_array, transform_points
from dithead.face.masks import box_polygon, frame_polygon, jaw_line, stable_polygon
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.face.pose import head_turn
from dithead.inference.analyse.closed_mouths import ClosedMouths
from dithead.inference.analyse.face_pictures import FacePlace
from dithead.inference.analyse.face_samples import (
    FaceSample,
    closed_samples,
    opening_span,
    sample_face,
    single_reference,
    stored_references,
    without_text,
)
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.mouth_shapes import USUAL_SLOPE, width_slope
from dithead.inference.analyse.mouth_strips import MouthStrip, MouthStrips
from dithead.inference.analyse.occlusion import OcclusionFinding
from dithead.inference.analyse.occlusion_masks import OcclusionCollector, OcclusionMasks
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.views import frame_views
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks, MaskKind

SAMPLES = 64
"""Most sampled frames of a tracklet, from which its polygon and its references come (our choice)."""
_FIRST = 16  # frames at the start of which all are sampled, so that a short tracklet has enough (our choice)
FADE = 4
"""Frames over which a drawn mouth fades in and out where no cut hides the change (our choice)."""
_ENOUGH = 0.6  # share of the openings that pictures without text must span; else text is filled instead (our choice)


LEVELS = (0.05, 0.275, 0.5, 0.725, 0.95)
"""Quantiles at which predicted and measured openings are compared (docs/log)."""


class LipCalibration(NamedTuple):
    """Mean and spread of the lips that the audio encoder predicts for one person's voice."""

    mean: NDArray[np.float32]  # (K,) mean of the predicted lip coefficients
    spread: float  # standard deviation of the predicted lip opening, in the model's units
    width_spread: (
        float  # standard deviation of predicted lip widths that the opening does not explain, in eye distances
    )
    levels: NDArray[np.float32] | None = None  # (5,) the predicted opening at ``LEVELS``, in the model's units
    share: float = 0.0  # how far these levels count; the rest is what mean and spread say
    width_slope: float = 0.0  # eye distances by which lips are predicted wider for one unit of the predicted opening


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
    width_spread: float = 0.0  # standard deviation of the source's lip width that the opening does not explain
    width_slope: float = USUAL_SLOPE  # eye distances by which the source's lips widen as they open by one
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
class TrackletBuilder:
    """A tracklet while its frames still come; samples are thinned out by doubling the stride between them.

    The first stride is 2, because a tracklet of more than ``SAMPLES`` frames needs no further ones in the end.
    """

    start: int
    face: int = 0
    mask: MaskKind = "stable-polygon"
    hide_talking: bool = False  # only samples with closed lips lend references, detail and calibration
    frames: int = 0
    transforms: array[float] = field(default_factory=lambda: array("d"))  # (N, 2, 3), NaN where no face was seen
    turns: array[float] = field(default_factory=lambda: array("f"))  # (N,) sines of the yaw, NaN where no face was seen
    jaws: bytearray = field(default_factory=bytearray)  # (N, 21, 2) float16; the last one is repeated over gaps
    frame_polygons: bytearray = field(default_factory=bytearray)  # (N, P, 2) float32, or empty
    samples: list[FaceSample] = field(default_factory=list)
    closed: ClosedMouths = field(default_factory=ClosedMouths)
    occlusion: OcclusionCollector = field(default_factory=OcclusionCollector)
    strips: MouthStrips = field(default_factory=MouthStrips)
    judged: int = 0  # frames whose finding has come, from the first on
    unclear: set[int] = field(default_factory=set)  # of those, the ones whose mouth cannot be seen
    overlaid: set[int] = field(default_factory=set)  # the ones that have burned-in text over the lower face
    stride: int = 2
    gap: int = 0  # frames since the face was last seen

    def add(self, frame: VideoFrame, landmarks: Landmarks, place: FacePlace) -> None:
        """Take the next frame, the face's landmarks (478, 3) in its pixels, and where its crop is."""
        self._keep(place)
        self.turns.append(head_turn(landmarks))
        self.strips.add(frame.quick_partial, place.transform, place.points, place.size, frame.time)
        if self.frames % self.stride == 0 or self.frames < _FIRST:
            self.samples.append(sample_face(frame, landmarks, place, self.frames))
        self.closed.add(frame, landmarks, place, self.frames)
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
        samples = closed_samples(self.samples) if self.hide_talking else self.samples
        rare = self.closed.beside(samples)
        clear = self._clear(samples + rare)
        references, middles = stored_references(clear, store or ImageStore())
        openings, widths = np.array([(s.opening, s.width) for s in samples]).T
        slope = width_slope(openings, widths)
        missed = rare and not self.hide_talking  # closures, so that all frames tell how often there are any
        levels = np.quantile(np.array(self.closed.openings, np.float64) if missed else openings, LEVELS)
        polygons = np.frombuffer(self.frame_polygons, np.float32).reshape(self.frames, -1, 2)[:count]
        return Tracklet(
            start=self.start,
            stop=self.start + count,
            transforms=_bridged(smooth_transform_array(np.frombuffer(self.transforms).reshape(-1, 2, 3)[:count])),
            polygon=box_polygon(size) if self.mask == "box" else stable_polygon(landmarks, size),
            lips=np.median(landmarks[:, list(OUTER_LIPS)], axis=0).astype(np.float32),
            reference=single_reference(clear if self.overlaid else samples),
            fades_in=fades_in,
            fades_out=fades_out,
            face=self.face,
            jaws=np.frombuffer(self.jaws, np.float16).reshape(self.frames, -1, 2)[:count],
            occlusion=self.occlusion.close(),
            opening_spread=float(openings.std()),
            opening_levels=levels,
            width_spread=float((widths - slope * openings).std()),
            width_slope=slope,
            cheeks=np.median(landmarks[:, list(CHEEKS)], axis=0).astype(np.float32),
            frame_polygons=polygons if self.frame_polygons else None,
            references=references[0],
            turned_references=references[1:],
            views=frame_views(np.frombuffer(self.turns, np.float32)[:count], middles),
            sample_times=np.array([] if self.hide_talking else [s.time for s in samples]),
            mouth_strips=self.strips.close(),
        )

    def _clear(self, samples: list[FaceSample]) -> list[FaceSample]:
        """Those of the samples whose mouth can be seen, without burned-in text: it must not be lent to other frames."""
        seen = [s for s in samples if s.offset not in self.unclear] or samples
        plain = [s for s in seen if s.offset not in self.overlaid]
        if opening_span(plain) >= _ENOUGH * opening_span(seen):
            return plain or seen
        return [without_text(s) if s.offset in self.overlaid else s for s in seen]

    def _keep(self, place: FacePlace) -> None:
        self.transforms.extend(place.transform.ravel())
        self.jaws += jaw_line(place.points).astype(np.float16).tobytes()
        if self.mask == "polygon":
            corners = transform_points(frame_polygon(place.points, place.size), invert(place.transform))
            self.frame_polygons += corners.tobytes()


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
