"""Looks for occluders of one mouth in every few frames, and in all frames around one that may have some.

A mouth that was free in one frame and is free some frames later was free in between, unless something came and went
meanwhile. A hand has to cross the edge of the view for that, so the edge is watched in every frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import invert, transform_points
from dithead.inference.analyse.occlusion import VIEW_SCALE, OcclusionFinding
from dithead.stages import stage
from dithead.types import RGBLike, RGBWithThumbnail, Similarity

EVERY = 4
"""Frames from one search to the next while the mouth is free (our choice)."""
_CELLS, _EDGE = 16, 3  # the view is watched in 16 x 16 cells, of which the outer three on the left, right and below
_MOVED = 20.0  # 8-bit levels by which a cell of the edge must change for a search out of turn (our choice)
_UNUSUAL = 2.0  # factor by which it must change more than it usually does, where a body moves all the time (our choice)
_RATE = 0.1  # share of the newest change in the running mean of the usual one
_TINT_CHANGED = 4.5  # distance in Lab by which the lips' colour changes: half of what means an occluder

Thumbnail = NDArray[np.float32]


class MouthView(NamedTuple):
    """What is searched for occluders of one mouth."""

    picture: RGBLike  # the frame (H, W, 3)
    points: NDArray[np.float32]  # (478, 2) landmarks in the crop
    transform: Similarity  # from frame pixels to the crop
    size: int  # crop side S

    def box(self) -> tuple[int, int, int, int]:
        """Return the top, left, bottom and right of the view in which hands are searched, within the frame."""
        margin = (1 / VIEW_SCALE - 1) / 2 * self.size
        ends = (-margin, self.size + margin)
        corners = transform_points(np.array([[x, y] for x in ends for y in ends]), invert(self.transform))
        height, width = self.picture.shape[:2]
        left, top = np.clip(corners.min(axis=0), 0, (width - _CELLS, height - _CELLS)).astype(int).tolist()
        right, bottom = (
            np.clip(corners.max(axis=0), (left + _CELLS, top + _CELLS), (width, height)).astype(int).tolist()
        )
        return top, left, bottom, right


class OcclusionSchedule:
    """Decides in which frames of one face occluders are searched; the findings of the others follow from theirs."""

    def __init__(self, search: Callable[[MouthView], OcclusionFinding], every: int = EVERY) -> None:
        """Begin with a face that was not seen before.

        Args:
            search: Finds what hides the mouth in one frame.
            every: Frames from one search to the next while the mouth is free; 1 searches in every frame.
        """
        self.search, self.every = search, every
        self._last: OcclusionFinding | None = None
        self._watched: tuple[tuple[int, int, int, int], Thumbnail] | None = None  # box and edge at the last search
        self._usual = 0.0  # change of the edge, in 8-bit levels
        self._pending: list[MouthView] = []

    def take(self, view: MouthView) -> list[OcclusionFinding]:
        """Take the next frame, and return the findings that are certain now: of the oldest frames without one."""
        due = self._last is None or not is_free(self._last) or len(self._pending) + 1 >= self.every
        if not due and not self._moved(view):
            self._pending.append(view)
            return []
        return self._searched(view)

    def close(self) -> list[OcclusionFinding]:
        """Return the findings of the frames that are left, after the last frame and before a gap."""
        if not self._pending:
            return []
        return self._searched(self._pending.pop())

    def _searched(self, view: MouthView) -> list[OcclusionFinding]:
        """Search in a frame; if the mouth is not as free as before, in all pending ones, too."""
        last, found, pending = self._last, self.search(view), self._pending
        self._last, self._pending = found, []
        self._watch(view)
        if last is not None and is_free(last) and is_free(found) and _tint_distance(last, found) < _TINT_CHANGED:
            return [*(replace(last) for _ in pending), found]
        return [*reversed([self.search(each) for each in reversed(pending)]), found]

    def _watch(self, view: MouthView) -> None:
        if isinstance(view.picture, RGBWithThumbnail) and self.every > 1:
            box = view.box()
            self._watched = box, _edge(view.picture, box)

    def _moved(self, view: MouthView) -> bool:
        """Whether the edge of the view has changed since the last search."""
        if self._watched is None or not isinstance(view.picture, RGBWithThumbnail):
            return True
        with stage("watching"):
            box, before = self._watched
            change = float(np.abs(_edge(view.picture, box) - before).max())
            moved = change > max(_MOVED, _UNUSUAL * self._usual)
            self._usual += _RATE * (change - self._usual)
            return moved


def is_free(found: OcclusionFinding) -> bool:
    """Return whether a finding speaks of nothing that hides the mouth or may hide it soon."""
    return found.cover is None and not found.reason and not found.certain and found.without_hands is None


def _tint_distance(one: OcclusionFinding, other: OcclusionFinding) -> float:
    """How far the lips' colours are apart; 0 where one is not known."""
    distance = float(np.linalg.norm(np.subtract(one.tint, other.tint)))
    return distance if np.isfinite(distance) else 0.0


def _edge(picture: RGBWithThumbnail, box: tuple[int, int, int, int]) -> Thumbnail:
    """The cells along the left, right and lower edge of a box, (cells, 3)."""
    cells = picture.thumbnail(_CELLS, _CELLS, box)
    return np.concatenate([part.reshape(-1, 3) for part in (cells[:, :_EDGE], cells[:, -_EDGE:], cells[-_EDGE:])])
