"""First pass over the video: where is a face, in which shot, and what a mouth generator needs to know of it.

Memory stays constant in practice: a few numbers are kept per frame, and pictures only of a thinned-out
sample of each run: a stretch of one shot in which the face is there. Letters: S crop side, K polygon corners.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.face.align import crop_transform, invert, smooth_transforms, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lips import lip_aperture
from dithead.face.masks import stable_polygon
from dithead.face.track import LONGEST_GAP, track_faces
from dithead.generate.result import Stretch
from dithead.media.files import replacing
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks, Similarity

SMALLEST_EYES = 16.0  # pixels between the outer eye corners; below, there is no mouth to draw
WIDEST_TURN = 0.72  # |yaw| from which half the mouth is hidden
SAMPLES = 64  # sampled frames of a run from which its polygon and its reference come
RAMP = 4  # frames over which a run fades in and out where no cut hides the change


@dataclass(eq=False)
class Run:
    """Frames ``start`` to ``stop`` (excluded) of one face in one shot."""

    start: int
    stop: int
    transforms: list[Similarity]  # one per frame, smoothed
    polygon: NDArray[np.float32]  # (K, 2) crop pixels
    reference: RGB  # (S, S, 3)
    fades_in: bool
    fades_out: bool
    face: int = 0  # which of several faces

    def strength(self, index: int) -> float:
        """How much of the generated mouth shows in frame ``index``: 1 but near an end that must not pop."""
        into = (index - self.start + 1) / (RAMP + 1) if self.fades_in else 1.0
        left = (self.stop - index) / (RAMP + 1) if self.fades_out else 1.0
        return min(1.0, into, left)


@dataclass
class Survey:
    """What the first pass found."""

    stamps: NDArray[np.int64]  # (N,) time stamps of all frames
    runs: list[Run]
    passed_through: list[Stretch]

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @property
    def faces_missed(self) -> int:
        return sum(s.last - s.first + 1 for s in self.passed_through)

    def runs_at(self, index: int) -> list[Run]:
        """The runs that cover a frame: one for each face."""
        return [run for run in self.runs if run.start <= index < run.stop]

    def save(self, path: Path) -> None:
        """Write an .npz; the file appears whole or not at all."""
        spans = [(r.start, r.stop, r.fades_in, r.fades_out, r.face) for r in self.runs]
        reasons = json.dumps([(s.first, s.last, s.reason) for s in self.passed_through])
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                stamps=self.stamps,
                spans=np.array(spans, np.int64),
                transforms=np.concatenate([np.stack(r.transforms) for r in self.runs]),
                polygons=np.stack([r.polygon for r in self.runs]),
                references=np.stack([r.reference for r in self.runs]),
                passed_through=np.array(reasons),
            )

    @staticmethod
    def load(path: Path) -> Survey:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as data:
            spans = data["spans"].tolist()
            cuts = np.cumsum([stop - start for start, stop, *_ in spans])[:-1]
            moves = np.split(data["transforms"], cuts)
            runs = [
                Run(start, stop, list(m), polygon, reference, bool(fades_in), bool(fades_out), face)
                for (start, stop, fades_in, fades_out, face), m, polygon, reference in zip(
                    spans, moves, data["polygons"], data["references"], strict=True
                )
            ]
            passed = [Stretch(*item) for item in json.loads(str(data["passed_through"]))]
            return Survey(data["stamps"], runs, passed)


@dataclass
class _Sample:
    landmarks: NDArray[np.float32]  # (478, 2) crop pixels
    crop: RGB  # (S, S, 3)
    aperture: float
    turn: float


@dataclass
class _OpenRun:
    """A run while frames still come; samples are thinned by doubling the stride between them."""

    start: int
    shot: int
    transforms: list[Similarity | None] = field(default_factory=list)
    samples: list[_Sample] = field(default_factory=list)
    stride: int = 1
    gap: int = 0  # frames since the face was last seen

    def add(self, frame: VideoFrame, landmarks: Landmarks, size: int) -> None:
        transform = crop_transform(landmarks, size)
        if len(self.transforms) % self.stride == 0:
            in_crop = transform_points(landmarks, transform)
            crop = warp_crop(frame.pixels, transform, size)
            self.samples.append(_Sample(in_crop, crop, lip_aperture(landmarks), head_turn(landmarks)))
        self.transforms.append(transform)
        self.gap = 0
        if len(self.samples) > SAMPLES:
            self.samples, self.stride = self.samples[::2], self.stride * 2

    def skip(self) -> None:
        self.transforms.append(None)
        self.gap += 1

    def close(self, size: int, fades_in: bool, fades_out: bool) -> Run:
        transforms = self.transforms[: len(self.transforms) - self.gap]
        polygon = stable_polygon(np.stack([s.landmarks for s in self.samples]), size)
        return Run(
            self.start, self.start + len(transforms), _filled(smooth_transforms(transforms)), polygon,
            choose_reference(self.samples), fades_in, fades_out,
        )  # fmt: skip


def survey(frames: Iterable[VideoFrame], size: int, landmarker: FaceLandmarker | None = None) -> Survey:
    """Track the main face through all frames; raise ``FaceError`` when no frame has a usable one.

    size: crop side S of the model that will draw the mouths.
    """
    surveyor = _Surveyor(size)
    current: list[VideoFrame] = []

    def pixels() -> Iterable[RGB]:
        for frame in frames:
            current[:] = [frame]
            yield frame.quick_pixels

    for seen in track_faces(pixels(), landmarker):
        surveyor.step(current[0], seen.landmarks, seen.shot)
    return surveyor.finish()


class _Surveyor:
    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self.stamps: list[int] = []
        self.shot_start = 0
        self.shot = 0
        self.open: _OpenRun | None = None
        self.runs: list[Run] = []
        self.missed: list[tuple[int, str]] = []

    def step(self, frame: VideoFrame, landmarks: Landmarks | None, shot: int) -> None:
        if shot != self.shot:
            self._close(at_cut=True)
            self.shot, self.shot_start = shot, self.count
        reason = unusable(landmarks)
        if landmarks is not None and not reason:
            self.open = self.open or _OpenRun(self.count, shot)
            self.open.add(frame, landmarks, self.size)
        else:
            self.missed.append((self.count, reason))
            self._wait()
        self.count += 1
        self.stamps.append(frame.pts)

    def finish(self) -> Survey:
        self._close(at_cut=True)
        if not self.runs:
            raise FaceError(f"no usable face in any of its {self.count} frames ({self._why()})")
        missed = [(i, why) for i, why in self.missed if not any(r.start <= i < r.stop for r in self.runs)]
        return Survey(np.array(self.stamps, np.int64), self.runs, _stretches(missed))

    def _wait(self) -> None:
        if self.open is not None:
            self.open.skip()
            if self.open.gap > LONGEST_GAP:
                self._close(at_cut=False)

    def _close(self, at_cut: bool) -> None:
        if self.open is None:
            return
        fades_out = not (at_cut and self.open.gap == 0)
        self.runs.append(self.open.close(self.size, self.open.start != self.shot_start, fades_out))
        self.open = None

    def _why(self) -> str:
        reasons = [why for _, why in self.missed] or ["no frames"]
        return max(set(reasons), key=reasons.count)


def unusable(landmarks: Landmarks | None) -> str:
    """Why no mouth should be drawn on this face, or an empty string."""
    if landmarks is None:
        return "no face"
    if np.linalg.norm(landmarks[33] - landmarks[263]) < SMALLEST_EYES:
        return "face too small"
    if abs(head_turn(landmarks)) > WIDEST_TURN:
        return "face turned away"
    return ""


def head_turn(landmarks: Landmarks) -> float:
    """Sine of the yaw from the depth of the outer eye corners: 0 is frontal, 1 full profile."""
    axis = landmarks[263] - landmarks[33]
    return float(axis[2] / max(float(np.linalg.norm(axis)), 1e-6))


def choose_reference(samples: list[_Sample]) -> RGB:
    """The sampled crop that shows the person best: head as it mostly is, mouth a little open, sharp."""
    turns = np.array([s.turn for s in samples])
    apertures = np.array([s.aperture for s in samples])
    sharpness = np.array([_sharpness(s.crop) for s in samples])
    wanted = np.quantile(apertures, 0.7)
    cost = np.abs(turns - np.median(turns)) / 0.1 + np.abs(apertures - wanted) / 0.05
    cost -= sharpness / max(float(np.median(sharpness)), 1e-6)
    return samples[int(np.argmin(cost))].crop


def _sharpness(crop: RGB) -> float:
    grey = crop.astype(np.float32).mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def _filled(transforms: list[Similarity | None]) -> list[Similarity]:
    """Gaps of a run bridged by straight lines (in crop -> frame form, where the face moves evenly)."""
    known = np.array([i for i, m in enumerate(transforms) if m is not None])
    back = np.stack([invert(m).ravel() for m in transforms if m is not None])
    times = np.arange(len(transforms))
    lines = np.stack([np.interp(times, known, back[:, c]) for c in range(6)], axis=1).reshape(-1, 2, 3)
    return [invert(lines[i]) if m is None else m for i, m in enumerate(transforms)]


def _stretches(missed: list[tuple[int, str]]) -> list[Stretch]:
    found: list[Stretch] = []
    for index, reason in missed:
        if found and found[-1].last == index - 1 and found[-1].reason == reason:
            found[-1] = Stretch(found[-1].first, index, reason)
        else:
            found.append(Stretch(index, index, reason))
    return found
