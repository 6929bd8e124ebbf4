"""What the model is shown of the person: mouths from closed to open, and of these the one nearest to what is heard.

A transformer shown one reference hardly leaves it: shown an open mouth it does not close in silence, shown a closed one
it does not open. So every frame gets a reference whose opening is about the one wanted; between the source's own
pictures lie pictures moved there by optical flow, so that nothing jumps. Letters: K pictures kept of a run, R pictures
shown, S crop side, B frames; h, w the part of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points, transform_scale
from dithead.face.optical_flow import interpolate_pictures
from dithead.types import RGB, Similarity

if TYPE_CHECKING:
    from dithead.inference.analyse.image_store import ImageStore, StoredImages
    from dithead.inference.analyse.tracklet import Tracklet

KEPT = 6  # pictures of the source that are kept of a run
_STEPS = 24  # pictures from closed to open that are made of them
_LARGEST = 5.0  # times the crop's side: no more of a large face is kept
_TOP = 0.25  # of the crop: above, nothing is ever drawn
_FAITH = 0.15  # by which share of all openings another picture must be nearer than the last one to take its place
STILL_SPAN = 0.03  # openings that span less are those of a mouth that does not move
_ENDS = 0.03  # share of the samples beyond the most closed and the most open one kept: FaceMesh may have erred there
_TURN, _SHARP = 0.1, 1.5  # a turn of the head that counts as much as a whole step of the opening; weight of sharpness


class SourcePicture(NamedTuple):
    """A picture of the person, both as the model sees it and as the source shows it."""

    crop: RGB  # (S, S, 3)
    picture: RGB  # (h, w, 3): what the frame shows of it from the eyes down
    move: Similarity  # from the picture's pixels to the crop's


@dataclass(frozen=True)
class ReferenceSet:
    """One mouth from closed to open, in many small steps."""

    crops: NDArray[np.uint8]  # (R, S, S, 3)
    openings: NDArray[np.float32]  # (R,) lip apertures, growing
    mean_opening: float  # the mean aperture of the whole shot
    own: tuple[SourcePicture, ...]  # those that the source shows
    picture_openings: NDArray[np.float32]  # (K,) theirs, growing

    @property
    def still(self) -> bool:
        """Whether the mouth never moves: a portrait, or a person who is silent."""
        return float(self.openings[-1] - self.openings[0]) < STILL_SPAN

    def nearest(self, openings: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
        """For each of ``openings`` (B,) the picture that is about as open."""
        return np.asarray(np.abs(self.openings[None] - openings[:, None]).argmin(axis=1))

    def shown(self, opening: float) -> RGB:
        """What a model is shown for a mouth that is to be this open (S, S, 3)."""
        return np.asarray(self.crops[self.nearest(np.array([opening]))[0]], np.uint8)

    def lender(self, opening: float, last: int | None) -> int:
        """Which own picture lends to a mouth that is this open: the ``last`` one while it is about as near as any.

        Each is grained another way, so that skin would quiver if they took turns.
        """
        far = np.abs(self.picture_openings - opening)
        best = int(far.argmin())
        margin = _FAITH * float(self.picture_openings[-1] - self.picture_openings[0])
        return best if last is None or far[last] > far[best] + margin else last


class StoredReferences(NamedTuple):
    """What is kept of a run: its mouth from closed to open, on a shelf."""

    store: ImageStore
    images: StoredImages  # K crops (S, S, 3), then K pictures, see ``Own``
    openings: NDArray[np.float32]  # (K,) lip apertures, growing
    mean_opening: float
    moves: NDArray[np.float64]  # (K, 2, 3) from each picture to its crop

    @property
    def still(self) -> bool:
        """See ``Graded``."""
        return float(self.openings[-1] - self.openings[0]) < STILL_SPAN

    def reference_set(self) -> ReferenceSet:
        """Many small steps from the first picture to the last."""
        count, kept = len(self.openings), self.store.get(self.images)
        crops, own = kept[:count], tuple(map(SourcePicture, kept[:count], kept[count:], self.moves))
        if count < 2:
            return ReferenceSet(np.stack(crops), self.openings, self.mean_opening, own, self.openings)
        wanted = np.linspace(self.openings[0], self.openings[-1], _STEPS).astype(np.float32)
        after = np.searchsorted(self.openings, wanted).clip(1, count - 1)
        made: list[RGB] = []
        for k in range(1, count):
            low, high = self.openings[k - 1], self.openings[k]
            made += interpolate_pictures(crops[k - 1], crops[k], ((wanted[after == k] - low) / (high - low)).tolist())
        return ReferenceSet(np.stack(made), wanted, self.mean_opening, own, self.openings)


class ReferenceBank:
    """The graded mouths of the present run of each face."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[Tracklet, ReferenceSet]] = {}
        self.lenders: dict[tuple[int, int], int] = {}  # which picture lent last, by (face, first frame of its run)

    def of(self, tracklet: Tracklet) -> ReferenceSet | None:
        """Those of ``run``; None when nothing was kept of it."""
        if tracklet.mouths is None:
            return None
        if tracklet.face not in self._last or self._last[tracklet.face][0] is not tracklet:
            self._last[tracklet.face] = (tracklet, tracklet.mouths.reference_set())
        return self._last[tracklet.face][1]

    def lender(self, tracklet: Tracklet, opening: float) -> SourcePicture:
        """The picture of ``run`` that lends to its next frame; calls must follow one another in time."""
        reference_set, key = self.of(tracklet), (tracklet.face, tracklet.start)
        assert reference_set is not None
        self.lenders = {k: v for k, v in self.lenders.items() if k[0] != tracklet.face or k == key}
        self.lenders[key] = reference_set.lender(opening, self.lenders.get(key))
        return reference_set.own[self.lenders[key]]


def choose_references(
    apertures: NDArray[np.float64], turns: NDArray[np.float64], sharpness: NDArray[np.float64]
) -> list[int]:
    """Which of a run's samples show its mouth from closed to open, head as it mostly is, and clearly; openings grow.

    Sharper than most is no merit: that may be teeth.
    """
    low, high = np.quantile(apertures, (_ENDS, 1 - _ENDS))
    step = max(float(high - low) / KEPT, 0.005)
    clear = np.minimum(sharpness / max(float(np.median(sharpness)), 1e-6), 1)
    other = np.abs(turns - np.median(turns)) / _TURN - _SHARP * clear
    found = {int(np.argmin(np.abs(apertures - wanted) / step + other)) for wanted in np.linspace(low, high, KEPT)}
    _, first = np.unique(np.float32(apertures[sorted(found)]), return_index=True)
    return [sorted(found)[k] for k in first]


def source_picture(frame: RGB, move: Similarity, size: int) -> tuple[RGB, Similarity]:
    """What a frame shows of a crop of side ``size`` from the eyes down (h, w, 3), and the move from there to the crop.

    Pixel for pixel, so that it is as sharp as the frame; only of very large faces it is a smaller picture.
    """
    corners = np.array([[x, y] for x in (0, size) for y in (_TOP * size, size)])
    inside = transform_points(corners, invert(move))
    limit = np.array([frame.shape[1], frame.shape[0]])
    x0, y0 = np.clip(np.floor(inside.min(axis=0)), 0, limit - 1).astype(int)
    x1, y1 = np.clip(np.ceil(inside.max(axis=0)) + 1, (x0 + 1, y0 + 1), limit).astype(int)
    local = move.copy()
    local[:, 2] += move[:, :2] @ (x0, y0)
    return _smaller(frame[y0:y1, x0:x1], local, min(1.0, _LARGEST * transform_scale(move)))


def _smaller(picture: RGB, move: Similarity, factor: float) -> tuple[RGB, Similarity]:
    if factor == 1:
        return picture.copy(), move
    size = (max(1, round(factor * picture.shape[1])), max(1, round(factor * picture.shape[0])))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, invert(enlarged(invert(move), factor))


def enlarged(move: Similarity, factor: float) -> Similarity:
    """``move`` (2, 3) to a picture that is ``factor`` times as large; pixels are squares, not points."""
    larger = move * factor
    larger[:, 2] += (factor - 1) / 2
    return larger
