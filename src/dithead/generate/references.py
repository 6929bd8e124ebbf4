"""What the model is shown of the person: mouths from closed to open, and of these the one nearest to what is heard.

A transformer shown one reference hardly leaves it: shown an open mouth it does not close in silence, shown a closed one
it does not open. So every frame gets a reference whose opening is about the one wanted; between the source's own
pictures lie pictures moved there by optical flow, so that nothing jumps. Letters: K pictures kept of a run, R pictures
shown, L their side, S crop side, B frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.align import transform_scale, warp_crop
from dithead.generate.morph import morphs
from dithead.types import RGB, Similarity

if TYPE_CHECKING:
    from dithead.generate.run import Run
    from dithead.generate.shelf import Shelf, Slot

KEPT = 6  # pictures of the source that are kept of a run
_STEPS = 24  # pictures from closed to open that are made of them
_LARGEST = 2.5  # times the crop's side: no more of a large face is kept
STILL_SPAN = 0.03  # openings that span less are those of a mouth that does not move
_ENDS = 0.03  # share of the samples beyond the most closed and the most open one kept: FaceMesh may have erred there
_TURN, _SHARP = 0.1, 1.0  # a turn of the head that counts as much as a whole step of the opening; weight of sharpness


@dataclass(frozen=True)
class Graded:
    """One mouth from closed to open, in many small steps."""

    pictures: NDArray[np.uint8]  # (R, L, L, 3)
    openings: NDArray[np.float32]  # (R,) lip apertures, growing
    usual: float  # the mean aperture of the whole shot
    size: int  # S

    @property
    def still(self) -> bool:
        """Whether the mouth never moves: a portrait, or a person who is silent."""
        return float(self.openings[-1] - self.openings[0]) < STILL_SPAN

    @cached_property
    def crops(self) -> NDArray[np.uint8]:
        """The pictures as the model sees them (R, S, S, 3)."""
        if self.pictures.shape[1] == self.size:
            return self.pictures
        small = [cv2.resize(p, (self.size, self.size), interpolation=cv2.INTER_AREA) for p in self.pictures]
        return np.stack(small).astype(np.uint8)

    def nearest(self, openings: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
        """For each of ``openings`` (B,) the picture that is about as open."""
        return np.asarray(np.abs(self.openings[None] - openings[:, None]).argmin(axis=1))


class Mouths(NamedTuple):
    """What is kept of a run: its mouth from closed to open, on a shelf."""

    shelf: Shelf
    slot: Slot
    openings: NDArray[np.float32]  # (K,) lip apertures, growing
    usual: float

    @property
    def still(self) -> bool:
        """See ``Graded``."""
        return float(self.openings[-1] - self.openings[0]) < STILL_SPAN

    def graded(self, size: int) -> Graded:
        """Many small steps from the first picture to the last, for a model with crops of side ``size``."""
        kept = self.shelf.get(self.slot)
        if len(kept) < 2:
            return Graded(kept, self.openings, self.usual, size)
        wanted = np.linspace(self.openings[0], self.openings[-1], _STEPS).astype(np.float32)
        after = np.searchsorted(self.openings, wanted).clip(1, len(kept) - 1)
        made: list[RGB] = []
        for k in range(1, len(kept)):
            low, high = self.openings[k - 1], self.openings[k]
            made += morphs(kept[k - 1], kept[k], ((wanted[after == k] - low) / (high - low)).tolist())
        return Graded(np.stack(made), wanted, self.usual, size)


class Gallery:
    """The graded mouths of the present run of each face."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._last: dict[int, tuple[Run, Graded]] = {}

    def of(self, run: Run) -> Graded | None:
        """Those of ``run``; None when nothing was kept of it."""
        if run.mouths is None:
            return None
        if run.face not in self._last or self._last[run.face][0] is not run:
            self._last[run.face] = (run, run.mouths.graded(self.size))
        return self._last[run.face][1]


def choose_mouths(
    apertures: NDArray[np.float64], turns: NDArray[np.float64], sharpness: NDArray[np.float64]
) -> list[int]:
    """Which of a run's samples show its mouth from closed to open, head as it mostly is, and sharp; openings grow."""
    low, high = np.quantile(apertures, (_ENDS, 1 - _ENDS))
    step = max(float(high - low) / KEPT, 0.005)
    other = np.abs(turns - np.median(turns)) / _TURN - _SHARP * sharpness / max(float(np.median(sharpness)), 1e-6)
    found = {int(np.argmin(np.abs(apertures - wanted) / step + other)) for wanted in np.linspace(low, high, KEPT)}
    _, first = np.unique(np.float32(apertures[sorted(found)]), return_index=True)
    return [sorted(found)[k] for k in first]


def large_side(move: Similarity, size: int) -> int:
    """The side L at which a crop of side ``size`` holds all that the frame shows, within bounds."""
    return round(size * float(np.clip(1 / transform_scale(move), 1, _LARGEST)))


def large_crop(frame: RGB, move: Similarity, size: int, side: int) -> RGB:
    """The crop of ``size`` at side ``side`` (L, L, 3)."""
    return warp_crop(frame, enlarged(move, side / size), side)


def enlarged(move: Similarity, factor: float) -> Similarity:
    """``move`` (2, 3) into a crop that is ``factor`` times as large; pixels are squares, not points."""
    larger = move * factor
    larger[:, 2] += (factor - 1) / 2
    return larger
