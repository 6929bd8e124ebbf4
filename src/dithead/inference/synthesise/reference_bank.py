"""Chooses for every frame the reference picture whose mouth is about as open and as wide as predicted.

A denoiser hardly departs from its reference: conditioned on an open mouth it does not close in silence, conditioned on
a closed one it does not open, and conditioned on a spread one it does not round. So every frame gets a reference of
about the wanted opening and width. The references form a grid: between the source's own pictures lie pictures
interpolated along optical flow, from closed to open and from narrow to wide, so that nothing jumps. Letters: K pictures
kept of a tracklet, R pictures interpolated from them, S crop side, B frames; h, w a part of a frame.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.face.optical_flow import interpolate_pictures
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.tracklet import Tracklet
from dithead.stages import stage
from dithead.types import RGB, Similarity

_ROWS = 24  # openings of the grid of references (our choice; docs/log)
_BETWEEN = (1 / 3, 2 / 3)  # of the way from the narrow to the wide mouth of a row, where further ones lie (docs/log)
_WIDTH_WEIGHT = 0.5  # how much a difference of the width counts beside an equal one of the opening (docs/log)
_ROUNDED_FROM = 0.05  # eye distances of opening from which the width counts in full (docs/log)
_LEAST_SHARE = 0.02  # of a picture that is mixed in: less than that is not seen (our choice)
_MOST = 64  # the source's own pictures of one pose, at most
_SWITCH_MARGIN = 0.15  # share of all openings by which another picture must be nearer before it replaces the donor


class LipTarget(NamedTuple):
    """What the lips of one frame should be, in eye distances."""

    opening: float
    width: float
    parted: float | None = None  # the opening before lips that are nearly closed were closed; None: the opening


class SourcePicture(NamedTuple):
    """A picture of the person, both as the model sees it and as the source shows it."""

    crop: RGB  # (S, S, 3)
    picture: RGB  # (h, w, 3): the source's own pixels of the crop from the eyes down
    transform: Similarity  # (2, 3) from the picture's pixels to the crop


@dataclass(frozen=True)
class FrameReference:
    """The person's pictures for one frame."""

    pictures: tuple[SourcePicture, ...]  # all that were kept of the source
    nearest: RGB | None = None  # (S, S, 3) what the model is conditioned on, where the predicted lips are known
    donor: SourcePicture | None = None  # the picture whose detail is transferred, where those are known


@dataclass(frozen=True)
class ReferenceSet:
    """One mouth from closed to open and from narrow to wide, in many small steps."""

    crops: NDArray[np.uint8]  # (R, S, S, 3)
    openings: NDArray[np.float32]  # (R,) lip openings in eye distances
    widths: NDArray[np.float32]  # (R,) widths of the lips in eye distances
    pictures: tuple[SourcePicture, ...]  # K that the source shows
    picture_openings: NDArray[np.float32]  # (K,) their openings, ascending
    picture_widths: NDArray[np.float32]  # (K,) their widths
    one_grain: bool = False  # all were made of one picture, so that they differ in nothing but the lips
    columns: int = 1  # of the grid: ``crops`` are one column after the other, each from closed to open

    @classmethod
    def interpolated(cls, stored: StoredReferences) -> ReferenceSet:
        """Read stored pictures and interpolate the grid between them."""
        count, images = len(stored.openings), stored.store.get(stored.images)
        crops, pictures = images[:count], tuple(map(SourcePicture, images[:count], images[count:], stored.transforms))
        one_width = np.array_equal(stored.narrow, stored.wide)  # nothing to choose from
        widths = np.full(count, stored.mean_width, np.float32) if one_width else stored.widths
        grid, columns = _Chain(crops, stored.openings, widths), 1
        if count > 1:
            rows = np.linspace(stored.openings[0], stored.openings[-1], _ROWS).astype(np.float32)
            narrow, wide = (grid.part(indices).at(rows) for indices in (stored.narrow, stored.wide))
            grid, columns = (narrow, 1) if one_width else (narrow.spread_to(wide), 2 + len(_BETWEEN))
        shown = pictures, stored.openings, widths, stored.opened
        return cls(np.stack(grid.crops), grid.openings, grid.widths, *shown, columns)

    def nearest(self, lips: LipTarget) -> int:
        """Return the index of the picture whose lips are most like ``lips``."""
        return int(_distances(self.openings, self.widths, lips).argmin())

    def around(self, lips: LipTarget) -> dict[int, float]:
        """Return shares of those pictures of the grid between which ``lips`` lie, so that no mouth jumps.

        They are the nearest one, the next one in opening and the next one in width, by their indices. The less the
        width counts (see ``_distances``), the less is taken of the next one in width.
        """
        best, rows = self.nearest(lips), len(self.openings) // self.columns
        column, row = divmod(best, rows)
        higher = [best + step for step in (-1, 1) if 0 <= row + step < rows]
        wider = [best + step * rows for step in (-1, 1) if 0 <= column + step < self.columns]
        alike = 1.5 * float(np.ptp(self.openings)) / max(rows - 1, 1)  # where one column ends, another opens further
        wider = [other for other in wider if abs(self.openings[other] - self.openings[best]) <= alike]
        shares = {best: 1.0}
        for numbers, wanted, others, most in (
            (self.openings, lips.opening, higher, 0.5),
            (self.widths, lips.width, wider, 0.5 * _width_counts(lips)),
        ):
            for other in others:
                apart = float(numbers[other] - numbers[best])
                share = min((wanted - float(numbers[best])) / apart, most) if apart else 0.0
                if share > _LEAST_SHARE:
                    shares[other] = share
                    shares[best] -= share
        return shares

    def nearest_crop(self, lips: LipTarget) -> RGB:
        """Return the picture (S, S, 3) whose lips are most like ``lips``."""
        return np.asarray(self.crops[self.nearest(lips)], np.uint8)

    def donor(self, lips: LipTarget, last: int | None) -> int:
        """Choose the source picture whose detail is transferred to a mouth.

        The last donor is kept while no other is clearly nearer: each picture has another grain, so the skin would
        flicker if donors alternated. Pictures that were made of one have the same grain, so the nearest serves; one
        with closed lips would smear the narrow gap of lips that part.

        Args:
            lips: Opening and width of the mouth.
            last: Index of the last donor; None for the first frame.

        Returns:
            The index of the picture.
        """
        distance = np.sqrt(_distances(self.picture_openings, self.picture_widths, lips))
        best = int(distance.argmin())
        if self.one_grain:
            return best
        margin = _SWITCH_MARGIN * float(self.picture_openings[-1] - self.picture_openings[0])
        return best if last is None or distance[last] > distance[best] + margin else last


@dataclass(frozen=True)
class _Chain:
    """Crops of one mouth, with opening and width of each."""

    crops: list[RGB]  # (S, S, 3) each
    openings: NDArray[np.float32]
    widths: NDArray[np.float32]

    def part(self, chosen: NDArray[np.intp]) -> _Chain:
        """Those at the indices ``chosen``."""
        return _Chain([self.crops[k] for k in chosen], self.openings[chosen], self.widths[chosen])

    def at(self, rows: NDArray[np.float32]) -> _Chain:
        """Mouths interpolated at the openings ``rows``, ascending like its own; beyond its ends the last ones."""
        if len(self.crops) < 2:
            return self.part(np.zeros(len(rows), np.intp))
        inside = rows.clip(self.openings[0], self.openings[-1])
        after = np.searchsorted(self.openings, inside).clip(1, len(self.crops) - 1)
        steps: list[RGB] = []
        for k in range(1, len(self.crops)):
            low, high = self.openings[k - 1], self.openings[k]
            between = ((inside[after == k] - low) / (high - low)).tolist()
            steps += interpolate_pictures(self.crops[k - 1], self.crops[k], between)
        return _Chain(steps, inside, np.interp(inside, self.openings, self.widths).astype(np.float32))

    def spread_to(self, wide: _Chain) -> _Chain:
        """All mouths of both and, of each pair of them, those between: column by column."""
        with ThreadPoolExecutor(2, "dithead-interpolate") as pool:  # optical flow leaves Python's lock
            made = pool.map(interpolate_pictures, self.crops, wide.crops, repeat(list(_BETWEEN)))
            between = list(zip(*made, strict=True))
        crops = [*self.crops, *chain.from_iterable(between), *wide.crops]
        shares = np.array([[0.0], *([share] for share in _BETWEEN), [1.0]], np.float32)
        ends = (self.openings, wide.openings), (self.widths, wide.widths)
        return _Chain(crops, *((a + (b - a) * shares).ravel() for a, b in ends))


def _distances(openings: NDArray[np.float32], widths: NDArray[np.float32], lips: LipTarget) -> NDArray[np.float64]:
    """Squared distances of ``lips`` from mouths: of the opening, and of the width with its weight.

    Lips that close must close, whatever their width, so the width counts less the less they are to be open. Lips that
    close only because they were predicted to be nearly closed are rounded or spread as before.
    """
    weight = _WIDTH_WEIGHT * _width_counts(lips)
    return (openings.astype(np.float64) - lips.opening) ** 2 + (weight * (widths - lips.width)) ** 2


def _width_counts(lips: LipTarget) -> float:
    """How much the width of ``lips`` counts, from 0 to 1."""
    parted = lips.opening if lips.parted is None else lips.parted
    return min(1.0, max(parted, 0.0) / _ROUNDED_FROM)


class ReferenceBank:
    """The reference sets of the present tracklet of each face, for each pose in which its head is shown."""

    def __init__(self) -> None:
        self._present: dict[int, tuple[Tracklet, dict[int, ReferenceSet]]] = {}  # by face; sets by view
        self.donors: dict[tuple[int, int], int] = {}
        """The last donor by (face, first frame of its tracklet), as 64 times its view plus its index."""

    def share(self, other: ReferenceBank) -> None:
        """Use the sets that another bank has made, and will make of the same tracklets."""
        self._present = dict(other._present)

    def of(self, tracklet: Tracklet, view: int = 0) -> ReferenceSet | None:
        """Return the references of a tracklet in one pose, or None when no picture was kept of it."""
        if tracklet.references is None:
            return None
        if tracklet.face not in self._present or self._present[tracklet.face][0] is not tracklet:
            self._present[tracklet.face] = (tracklet, {})
        sets = self._present[tracklet.face][1]
        if view not in sets:
            with stage("references"):
                sets[view] = ReferenceSet.interpolated((tracklet.references, *tracklet.turned_references)[view])
        return sets[view]

    def frame_reference(self, tracklet: Tracklet, lips: LipTarget | None, view: int = 0) -> FrameReference | None:
        """Choose the pictures for the tracklet's next frame; calls must follow one another in time.

        Args:
            tracklet: The face and the shot.
            lips: Opening and width of the lips that the frame is to have; None where no model predicts them.
            view: The pose, see ``Tracklet.view``.

        Returns:
            The pictures, or None when none was kept of this tracklet.
        """
        references = self.of(tracklet, view)
        if references is None:
            return None
        if lips is None:
            return FrameReference(references.pictures)
        donor = self._next_donor(tracklet, references, lips, view)
        return FrameReference(references.pictures, references.nearest_crop(lips), donor)

    def _next_donor(self, tracklet: Tracklet, references: ReferenceSet, lips: LipTarget, view: int) -> SourcePicture:
        key = (tracklet.face, tracklet.start)
        self.donors = {k: v for k, v in self.donors.items() if k[0] != tracklet.face or k == key}
        last_view, last = divmod(self.donors.get(key, -_MOST), _MOST)
        donor = references.donor(lips, last if last_view == view else None)
        self.donors[key] = view * _MOST + donor
        return references.pictures[donor]
