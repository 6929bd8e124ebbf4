"""Chooses for every frame the reference picture whose mouth is about as open and as wide as predicted.

A denoiser hardly departs from its reference: conditioned on an open mouth it does not close in silence, conditioned on
a closed one it does not open, and conditioned on a spread one it does not round. So every frame gets a reference of
about the wanted opening and width, from the grid of ``reference_set``. Letters: S crop side, B frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.reference_set import LipTarget, ReferenceSet, SourcePicture
from dithead.stages import stage
from dithead.types import RGB

_MOST = 64  # the source's own pictures of one pose, at most


@dataclass(frozen=True)
class FrameReference:
    """The person's pictures for one frame."""

    pictures: tuple[SourcePicture, ...]  # all that were kept of the source
    nearest: RGB | None = None  # (S, S, 3) what the model is conditioned on, where the predicted lips are known
    donor: SourcePicture | None = None  # the picture whose detail is transferred, where those are known


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
