"""One mouth in many pictures, from closed to open and from narrow to wide, and where between them given lips lie.

Between the source's own pictures lie pictures interpolated along optical flow, so that nothing jumps; they form a grid
of columns, each of one width from closed to open. Beyond its sides lie mouths that are squeezed or stretched a little,
because a source seldom shows its narrowest and widest mouth at every opening. Letters: K pictures kept of a tracklet,
R pictures of the grid, S crop side; h, w a part of a frame.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import EYE_DISTANCE
from dithead.face.optical_flow import interpolate_pictures
from dithead.inference.analyse.references import StoredReferences
from dithead.types import RGB, Similarity

SHUT = 0.008
"""Eye distances: lips that are open by less are shut, and what they measure is noise (docs/log)."""
_ROWS = 24  # openings of the grid of references (our choice; docs/log)
_BETWEEN = (1 / 3, 2 / 3)  # of the way from the narrow to the wide mouth of a row, where further ones lie (docs/log)
_ROOM = 0.035  # eye distances by which the outermost mouths are narrower and wider than those seen (docs/log)
_WIDTH_WEIGHT = 0.5  # how much a difference of the width counts beside an equal one of the opening (docs/log)
_ROUNDED_FROM = 0.05  # eye distances of opening from which the width counts in full (docs/log)
_LEAST_WEIGHT = 0.2  # how much it counts when lips are closed, relative to that (docs/log)
_PARTED = 0.022  # eye distances of opening from which no picture of shut lips lends its detail (docs/log)
_LEAST_SHARE = 0.02  # of a picture that is mixed in: less than that is not seen (our choice)
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


class _Place(NamedTuple):
    """A place between two mouths of one column."""

    row: int
    part: float  # of the way to the next row
    opening: float  # eye distances
    width: float  # eye distances


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
            if stored.centre is not None and not stored.opened:
                sides = (part.widened(by, stored.centre) for part, by in ((narrow, -_ROOM), (wide, _ROOM)))
                grid, columns = grid.between(*sides), columns + 2
        shown = pictures, stored.openings, widths, stored.opened
        return cls(np.stack(grid.crops), grid.openings, grid.widths, *shown, columns)

    def nearest(self, lips: LipTarget) -> int:
        """Return the index of the picture whose lips are most like ``lips``."""
        return int(_distances(self.openings, self.widths, lips).argmin())

    def around(self, lips: LipTarget) -> dict[int, float]:
        """Return the shares of those pictures of the grid, at most four, between which ``lips`` lie, by their indices.

        Each column reaches some opening and width. Of the line that joins these, the point nearest to ``lips`` counts,
        so that no mouth jumps. Among lips that are shut the width alone counts.
        """
        rows, places = len(self.openings) // self.columns, self._places(lips.opening)
        weight = _WIDTH_WEIGHT * max(_width_counts(lips), _LEAST_WEIGHT)
        points = np.array([(max(place.opening, SHUT), weight * place.width) for place in places])
        column, share = _nearest_on_line(points, np.array([max(lips.opening, SHUT), weight * lips.width]))
        shares: dict[int, float] = {}
        for c, of_column in ((column, 1 - share), (min(column + 1, self.columns - 1), share)):
            for k, of_row in ((places[c].row, 1 - places[c].part), (places[c].row + 1, places[c].part)):
                if of_column * of_row > _LEAST_SHARE:
                    shares[c * rows + k] = of_column * of_row
        return {k: each / sum(shares.values()) for k, each in shares.items()}

    def _places(self, opening: float) -> list[_Place]:
        """Where each column is as open as ``opening``, or as nearly as it gets."""
        columns = (numbers.reshape(self.columns, -1) for numbers in (self.openings, self.widths))
        return [_place(openings, widths, opening) for openings, widths in zip(*columns, strict=True)]

    def nearest_crop(self, lips: LipTarget) -> RGB:
        """Return the picture (S, S, 3) whose lips are most like ``lips``."""
        return np.asarray(self.crops[self.nearest(lips)], np.uint8)

    def donor(self, lips: LipTarget, last: int | None) -> int:
        """Choose the source picture whose detail is transferred to a mouth.

        The last donor is kept while no other is clearly nearer: each picture has another grain, so the skin would
        flicker if donors alternated. Pictures that were made of one have the same grain, so the nearest serves. One
        with shut lips would smear the narrow gap of lips that part.

        Args:
            lips: Opening and width of the mouth.
            last: Index of the last donor; None for the first frame.

        Returns:
            The index of the picture.
        """
        distance = np.sqrt(_distances(self.picture_openings, self.picture_widths, lips))
        parted = self.picture_openings >= SHUT
        if lips.opening > _PARTED and parted.any():
            distance[~parted] = np.inf
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

    def between(self, before: _Chain, after: _Chain) -> _Chain:
        """All mouths of ``before``, its own, and all of ``after``."""
        parts = before, self, after
        numbers = (np.concatenate([getattr(part, name) for part in parts]) for name in ("openings", "widths"))
        return _Chain([crop for part in parts for crop in part.crops], *numbers)

    def widened(self, by: float, centre: NDArray[np.float32]) -> _Chain:
        """The same mouths stretched to be wider ``by`` so many eye distances; ``centre`` (2,) is that of the lips."""
        pairs = zip(self.crops, self.widths.tolist(), strict=True)
        crops = [_stretched(crop, centre, width * EYE_DISTANCE * len(crop), 1 + by / width) for crop, width in pairs]
        return _Chain(crops, self.openings, self.widths + np.float32(by))

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

    Lips that close must close, whatever their width, so the width counts less the less they are to be open.
    """
    weight = _WIDTH_WEIGHT * _width_counts(lips)
    return (openings.astype(np.float64) - lips.opening) ** 2 + (weight * (widths - lips.width)) ** 2


def _width_counts(lips: LipTarget) -> float:
    """How much the width of ``lips`` counts, from 0 to 1.

    Lips that close only because they were predicted to be nearly closed are rounded or spread as before.
    """
    parted = lips.opening if lips.parted is None else lips.parted
    return min(1.0, max(parted, 0.0) / _ROUNDED_FROM)


def _place(openings: NDArray[np.float32], widths: NDArray[np.float32], opening: float) -> _Place:
    """The place of an ``opening`` among the mouths of one column, whose ``openings`` ascend."""
    if len(openings) < 2:
        return _Place(0, 0.0, float(openings[0]), float(widths[0]))
    row = int(np.clip(np.searchsorted(openings, opening, side="right") - 1, 0, len(openings) - 2))
    step = float(openings[row + 1] - openings[row])
    part = float(np.clip((opening - float(openings[row])) / step, 0, 1)) if step else 0.0
    there = ((1 - part) * numbers[row] + part * numbers[row + 1] for numbers in (openings, widths))
    return _Place(row, part, *map(float, there))


def _nearest_on_line(points: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[int, float]:
    """The point nearest to ``target`` (2,) of the line through ``points`` (n, 2): after which one, and how far on."""
    if len(points) < 2:
        return 0, 0.0
    steps = np.diff(points, axis=0)
    shares = ((target - points[:-1]) * steps).sum(axis=1) / np.maximum((steps**2).sum(axis=1), 1e-12)
    shares = shares.clip(0, 1)
    nearest = int((((points[:-1] + shares[:, None] * steps) - target) ** 2).sum(axis=1).argmin())
    return nearest, float(shares[nearest])


def _stretched(crop: RGB, centre: NDArray[np.float32], width: float, factor: float) -> RGB:
    """Stretch a mouth, ``width`` pixels wide around ``centre`` (2,), sideways; nothing moves from twice as far on."""
    left, top = np.clip(np.floor(centre - width), 0, len(crop) - 1).astype(int).tolist()
    right, bottom = np.ceil(centre + width + 1).astype(int).tolist()
    stretched = crop.copy()
    part = stretched[top:bottom, left:right]  # beyond it nothing moves
    y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]].astype(np.float32)
    away = x - centre[0]
    beyond = np.hypot(away, y - centre[1]) / np.float32(width / 2) - 1
    moved = away * (1 / np.float32(factor) - 1) * (0.5 + 0.5 * np.cos(np.pi * beyond.clip(0, 1)))
    part[:] = cv2.remap(crop, x + moved, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return stretched
