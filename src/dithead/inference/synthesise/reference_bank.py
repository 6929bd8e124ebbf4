"""Chooses for every frame the reference picture whose mouth is about as open as predicted.

A denoiser hardly departs from its reference: conditioned on an open mouth it does not close in silence, conditioned on
a closed one it does not open. So every frame gets a reference of about the wanted opening. Between the source's own
pictures lie pictures interpolated along optical flow, so that nothing jumps. Letters: K pictures kept of a tracklet, R
pictures interpolated from them, S crop side, B frames; h, w a part of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.face.optical_flow import interpolate_pictures
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.tracklet import Tracklet
from dithead.stages import stage
from dithead.types import RGB, Similarity

_STEPS = 24  # pictures from closed to open that are interpolated (our choice; docs/log)
_MOST = 64  # pictures of one pose, at most
_SWITCH_MARGIN = 0.15  # share of all openings by which another picture must be nearer before it replaces the donor


class SourcePicture(NamedTuple):
    """A picture of the person, both as the model sees it and as the source shows it."""

    crop: RGB  # (S, S, 3)
    picture: RGB  # (h, w, 3): the source's own pixels of the crop from the eyes down
    transform: Similarity  # (2, 3) from the picture's pixels to the crop


@dataclass(frozen=True)
class FrameReference:
    """The person's pictures for one frame."""

    pictures: tuple[SourcePicture, ...]  # all that were kept of the source
    nearest: RGB | None = None  # (S, S, 3) what the model is conditioned on, where the predicted opening is known
    donor: SourcePicture | None = None  # the picture whose detail is transferred, where that opening is known


@dataclass(frozen=True)
class ReferenceSet:
    """One mouth from closed to open, in many small steps."""

    crops: NDArray[np.uint8]  # (R, S, S, 3)
    openings: NDArray[np.float32]  # (R,) lip openings in eye distances, ascending
    mean_opening: float  # over the whole tracklet
    pictures: tuple[SourcePicture, ...]  # K that the source shows
    picture_openings: NDArray[np.float32]  # (K,) their openings, ascending

    @classmethod
    def interpolated(cls, stored: StoredReferences) -> ReferenceSet:
        """Read stored pictures and interpolate many small steps from the first to the last."""
        count, images = len(stored.openings), stored.store.get(stored.images)
        crops, pictures = images[:count], tuple(map(SourcePicture, images[:count], images[count:], stored.transforms))
        if count < 2:
            return cls(np.stack(crops), stored.openings, stored.mean_opening, pictures, stored.openings)
        targets = np.linspace(stored.openings[0], stored.openings[-1], _STEPS).astype(np.float32)
        after = np.searchsorted(stored.openings, targets).clip(1, count - 1)
        steps: list[RGB] = []
        for k in range(1, count):
            low, high = stored.openings[k - 1], stored.openings[k]
            steps += interpolate_pictures(crops[k - 1], crops[k], ((targets[after == k] - low) / (high - low)).tolist())
        return cls(np.stack(steps), targets, stored.mean_opening, pictures, stored.openings)

    def nearest(self, openings: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
        """Return for each of ``openings`` (B,) the index of the picture whose mouth is most nearly as open."""
        return np.asarray(np.abs(self.openings[None] - openings[:, None]).argmin(axis=1))

    def nearest_crop(self, opening: float) -> RGB:
        """Return the picture (S, S, 3) whose mouth is most nearly as open."""
        return np.asarray(self.crops[self.nearest(np.array([opening]))[0]], np.uint8)

    def donor(self, opening: float, last: int | None) -> int:
        """Choose the source picture whose detail is transferred to a mouth.

        The last donor is kept while no other is clearly nearer: each picture has another grain, so the skin would
        flicker if donors alternated.

        Args:
            opening: The mouth's opening, in eye distances.
            last: Index of the last donor; None for the first frame.

        Returns:
            The index of the picture.
        """
        distance = np.abs(self.picture_openings - opening)
        best = int(distance.argmin())
        margin = _SWITCH_MARGIN * float(self.picture_openings[-1] - self.picture_openings[0])
        return best if last is None or distance[last] > distance[best] + margin else last


class ReferenceBank:
    """The reference sets of the present tracklet of each face, for each pose in which its head is shown."""

    def __init__(self) -> None:
        self._present: dict[int, tuple[Tracklet, dict[int, ReferenceSet]]] = {}  # by face; sets by view
        self.donors: dict[tuple[int, int], int] = {}
        """The last donor by (face, first frame of its tracklet), as 64 times its view plus its index."""

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

    def frame_reference(self, tracklet: Tracklet, opening: float | None, view: int = 0) -> FrameReference | None:
        """Choose the pictures for the tracklet's next frame; calls must follow one another in time.

        Args:
            tracklet: The face and the shot.
            opening: The lip opening the frame is to have, in eye distances; None where no model predicts it.
            view: The pose, see ``Tracklet.view``.

        Returns:
            The pictures, or None when none was kept of this tracklet.
        """
        references = self.of(tracklet, view)
        if references is None:
            return None
        if opening is None:
            return FrameReference(references.pictures)
        donor = self._next_donor(tracklet, references, opening, view)
        return FrameReference(references.pictures, references.nearest_crop(opening), donor)

    def _next_donor(self, tracklet: Tracklet, references: ReferenceSet, opening: float, view: int) -> SourcePicture:
        key = (tracklet.face, tracklet.start)
        self.donors = {k: v for k, v in self.donors.items() if k[0] != tracklet.face or k == key}
        last_view, last = divmod(self.donors.get(key, -_MOST), _MOST)
        donor = references.donor(opening, last if last_view == view else None)
        self.donors[key] = view * _MOST + donor
        return references.pictures[donor]
