"""A run: the frames of one face in one shot, and what a mouth generator needs to know of them.

A few numbers are kept per frame, and pictures only of a thinned-out sample. Letters: S crop side, K polygon corners.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import crop_transform, invert, smooth_transform_array, transform_points, warp_crop
from dithead.face.lip_opening import lip_aperture
from dithead.face.masks import box_polygon, frame_polygon, jaw_line, stable_polygon
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.face.pose import head_turn
from dithead.inference.analyse.image_store import Shelf
from dithead.inference.analyse.occlusion import Covers, Look, Watch
from dithead.inference.analyse.references import Mouths, choose_mouths, own_picture
from dithead.inference.synthesise.lip_calibration import Habit
from dithead.media.video import VideoFrame
from dithead.types import RGB, Landmarks, MaskKind, Similarity

SAMPLES = 64  # sampled frames of a run from which its polygon and its reference come
RAMP = 4  # frames over which a run fades in and out where no cut hides the change


@dataclass(eq=False)
class Run:
    """Frames ``start`` to ``stop`` (excluded) of one face in one shot."""

    start: int
    stop: int
    transforms: NDArray[np.float64]  # (N, 2, 3), smoothed
    polygon: NDArray[np.float32]  # (K, 2) crop pixels: the mask, unless it follows each frame's own face
    lips: NDArray[np.float32]  # (20, 2) crop pixels: the run's median outline of the lips
    reference: RGB  # (S, S, 3)
    fades_in: bool
    fades_out: bool
    face: int = 0  # which of several faces
    jaws: NDArray[np.float16] | None = None  # (N, 21, 2) crop pixels: each frame's jaw line
    covers: Covers = field(default_factory=Covers)
    opening: float = 0.0  # standard deviation of the source's lip aperture: how widely this person's mouth moves
    cheeks: NDArray[np.float32] | None = None  # (8, 2) crop pixels: where its skin is
    outlines: NDArray[np.float32] | None = None  # (N, K, 2) frame pixels: masks that follow the face, if wanted
    mouths: Mouths | None = None  # its mouth from closed to open
    moments: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # (n,) seconds: when it was sampled
    habit: Habit | None = None  # how the person speaks, where the source's own sound says it

    def mask_polygon(self, index: int) -> NDArray[np.float32]:
        """The mask's polygon (K, 2) in the crop of frame ``index``."""
        if self.outlines is None:
            return self.polygon
        return transform_points(self.outlines[index - self.start], self.transforms[index - self.start])

    def strength(self, index: int) -> float:
        """How much of the generated mouth shows in frame ``index``: 1 but near an end that must not pop."""
        into = (index - self.start + 1) / (RAMP + 1) if self.fades_in else 1.0
        left = (self.stop - index) / (RAMP + 1) if self.fades_out else 1.0
        return min(1.0, into, left)


@dataclass
class _Sample:
    landmarks: NDArray[np.float32]  # (478, 2) crop pixels
    crop: RGB  # (S, S, 3)
    aperture: float
    turn: float
    clear: bool  # whether the mouth can be seen
    picture: RGB  # (h, w, 3): what the frame itself shows of it
    move: Similarity  # from there to the crop
    time: float

    def grain(self) -> float:
        """How sharp the frame shows the lips: a mouth in motion is blurred."""
        lips = transform_points(self.landmarks[list(OUTER_LIPS)], invert(self.move))
        x0, y0, x1, y1 = np.rint([*lips.min(axis=0), *lips.max(axis=0)]).astype(int).clip(0)
        part = self.picture[y0:y1, x0:x1].astype(np.float32).mean(axis=2)
        return float(cv2.Laplacian(part, cv2.CV_32F).var()) if part.size else 0.0


@dataclass
class OpenRun:
    """A run while frames still come; samples are thinned by doubling the stride between them."""

    start: int
    face: int = 0
    mask: MaskKind = "stable-polygon"
    frames: int = 0
    moves: array[float] = field(default_factory=lambda: array("d"))  # (N, 2, 3), NaN where the face was not seen
    jaws: bytearray = field(default_factory=bytearray)  # (N, 21, 2) float16; the last one again where it was not seen
    outlines: bytearray = field(default_factory=bytearray)  # (N, K, 2) float32, or nothing
    samples: list[_Sample] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)
    stride: int = 1
    gap: int = 0  # frames since the face was last seen

    def add(self, frame: VideoFrame, landmarks: Landmarks, size: int, look: Look | None = None) -> None:
        transform = crop_transform(landmarks, size)
        in_crop = transform_points(landmarks, transform)
        self.watch.add(look)
        self._keep(transform, in_crop, size)
        if self.frames % self.stride == 0:
            crop = warp_crop(frame.pixels, transform, size)
            clear = look is None or not look.reason
            aperture, turn = lip_aperture(landmarks), head_turn(landmarks)
            picture, move = own_picture(frame.pixels, transform, size)
            self.samples.append(_Sample(in_crop, crop, aperture, turn, clear, picture, move, frame.time))
        self.frames, self.gap = self.frames + 1, 0
        if len(self.samples) > SAMPLES:
            self.samples, self.stride = self.samples[::2], self.stride * 2

    def skip(self) -> None:
        """A frame in which the face was not seen."""
        self.moves.extend([np.nan] * 6)
        for kept in (self.jaws, self.outlines):
            kept += kept[-(len(kept) // self.frames) :]
        self.watch.add(None)
        self.frames, self.gap = self.frames + 1, self.gap + 1

    def close(self, size: int, fades_in: bool, fades_out: bool, shelf: Shelf | None = None) -> Run:
        count = self.frames - self.gap
        landmarks = np.stack([s.landmarks for s in self.samples])
        polygon = box_polygon(size) if self.mask == "box" else stable_polygon(landmarks, size)
        lips = np.median(landmarks[:, list(OUTER_LIPS)], axis=0).astype(np.float32)
        moves = np.frombuffer(self.moves).reshape(-1, 2, 3)[:count]
        return Run(
            self.start, self.start + count, _filled(smooth_transform_array(moves)), polygon, lips,
            choose_reference(self.samples), fades_in, fades_out, self.face,
            np.frombuffer(self.jaws, np.float16).reshape(self.frames, -1, 2)[:count],
            self.watch.close(), float(np.std([s.aperture for s in self.samples])),
            np.median(landmarks[:, list(CHEEKS)], axis=0).astype(np.float32),
            np.frombuffer(self.outlines, np.float32).reshape(self.frames, -1, 2)[:count] if self.outlines else None,
            self._mouths(shelf or Shelf()), np.array([s.time for s in self.samples]),
        )  # fmt: skip

    def _mouths(self, shelf: Shelf) -> Mouths:
        seen = [s for s in self.samples if s.clear] or self.samples
        apertures, turns, sharpness = np.array([(s.aperture, s.turn, s.grain()) for s in seen]).T
        chosen = choose_mouths(apertures, turns, sharpness)
        slot = shelf.put([seen[k].crop for k in chosen] + [seen[k].picture for k in chosen])
        moves = np.stack([seen[k].move for k in chosen])
        return Mouths(shelf, slot, apertures[chosen].astype(np.float32), float(apertures.mean()), moves)

    def _keep(self, transform: Similarity, in_crop: NDArray[np.float32], size: int) -> None:
        self.moves.extend(transform.ravel())
        self.jaws += jaw_line(in_crop).astype(np.float16).tobytes()
        if self.mask == "polygon":
            self.outlines += transform_points(frame_polygon(in_crop, size), invert(transform)).tobytes()


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


def _filled(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaps of a run bridged by straight lines (in crop -> frame form, where the face moves evenly)."""
    known = np.flatnonzero(np.isfinite(moves[:, 0, 0]))
    if len(known) == len(moves):
        return moves
    back = invert(moves[known]).reshape(-1, 6)
    missing = np.flatnonzero(~np.isfinite(moves[:, 0, 0]))
    lines = np.stack([np.interp(missing, known, back[:, c]) for c in range(6)], axis=1)
    moves[missing] = invert(lines.reshape(-1, 2, 3))
    return moves
