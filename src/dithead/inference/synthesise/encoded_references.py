"""Gives the model its references: mixed between the pictures of the reference bank, and encoded under the mask.

Letters: B batch, R pictures of a set, S crop side, P polygon corners, C, G latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.face.masks import polygon_mask
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.reference_bank import ReferenceBank
from dithead.inference.synthesise.reference_set import SHUT, LipTarget, ReferenceSet
from dithead.models.talking_head import REFERENCE_SHARE
from dithead.prepare.conditions import to_tensor

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

_NEIGHBOURS = 4  # references that are encoded together, in half the time that they take one by one (docs/log)
_TOO_OPEN = 0.03  # eye distances by which a reference is more open than wanted, from which it counts nothing


class MixedReferences(NamedTuple):
    """What a batch of frames is conditioned on."""

    pictures: Tensor  # (B, 3, S, S)
    latents: Tensor | None  # (B, C, G, G); None: the model encodes the pictures
    shares: Tensor  # (B,) of each latent in what is decoded


@dataclass
class _TrackletPictures:
    """The pictures of one tracklet as the model reads them."""

    polygon: NDArray[np.float32] | None = None  # (P, 2) mask of the last frames
    pictures: dict[int, Tensor] = field(default_factory=dict)  # (R, 3, S, S) by view
    latents: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    """(1, C, G, G) of those that were encoded so far under ``polygon``, by view and index."""


class EncodedReferences:
    """The references of the present tracklet of each face."""

    def __init__(self, talker: TalkingHead) -> None:
        self.talker, self.bank = talker, ReferenceBank()
        self._present: dict[tuple[int, int], _TrackletPictures] = {}  # by (face, first frame of the tracklet)

    def share(self, other: EncodedReferences) -> None:
        """Use what ``other`` has read and encoded of the same video for the same model, and will."""
        self.bank.share(other.bank)
        self._present = {key: _TrackletPictures(**vars(each)) for key, each in other._present.items()}

    def expect(self, tracklet: Tracklet, view: int) -> None:
        """Read the pictures of one pose, where there are any, so that the first frame need not wait for them."""
        if self.bank.of(tracklet, view) is not None:
            self._set_of(tracklet, view)

    def mixed(
        self, tracklet: Tracklet, views: Sequence[int], targets: Sequence[LipTarget], polygon: NDArray[np.float32]
    ) -> MixedReferences:
        """Mix references whose lips are most like ``targets`` (B,), in the poses ``views`` (B,).

        Latents depend on the mask, so they are encoded anew for another one when they are first needed, always with the
        same neighbours: so none depends on the batch. Under a mask that follows the face they are left to the model,
        because they differ in every frame.

        Args:
            tracklet: The face and the shot; pictures of it must have been kept.
            views: See ``Tracklet.view``.
            targets: What the lips should be.
            polygon: Of the mask (P, 2).
        """
        own = self._pictures_of(tracklet)
        if own.polygon is not polygon:
            own.polygon, own.latents = polygon, {}
        pictures, latents, shares = [], [], []
        for view, lips in zip(views, targets, strict=True):
            found = self._set_of(tracklet, view)
            around = found.around(lips)
            opening = sum(share * float(found.openings[k]) for k, share in around.items())
            shares.append(reference_share(max(opening, SHUT) - max(lips.opening, SHUT), found.one_grain))
            pictures.append(_mixed([(own.pictures[view][k], share) for k, share in around.items()]))
            if tracklet.frame_polygons is None:
                latents.append(_mixed([(self._latent(own, view, k), share) for k, share in around.items()]))
        return MixedReferences(torch.stack(pictures), torch.cat(latents) if latents else None, torch.tensor(shares))

    def _pictures_of(self, tracklet: Tracklet) -> _TrackletPictures:
        """Those of a tracklet; those of its face's earlier tracklets are forgotten."""
        key = (tracklet.face, tracklet.start)
        if key not in self._present:
            others = {k: v for k, v in self._present.items() if k[0] != tracklet.face}
            self._present = others | {key: _TrackletPictures()}
        return self._present[key]

    def _set_of(self, tracklet: Tracklet, view: int) -> ReferenceSet:
        found, own = self.bank.of(tracklet, view), self._pictures_of(tracklet)
        assert found is not None, "only tracklets with pictures get here"
        if view not in own.pictures:
            own.pictures[view] = to_tensor(found.crops)
        return found

    def _latent(self, own: _TrackletPictures, view: int, index: int) -> Tensor:
        if (view, index) not in own.latents:
            assert own.polygon is not None
            mask = torch.from_numpy(polygon_mask(own.polygon, self.talker.size))[None, None]
            first = index - index % _NEIGHBOURS
            pictures = own.pictures[view][first : first + _NEIGHBOURS]
            for k, latent in enumerate(self.talker.reference_latents(pictures, mask).split(1), first):
                own.latents[view, k] = latent
        return own.latents[view, index]


def reference_share(more_open: float, made: bool) -> float:
    """Compute the share of a reference's latent in what is decoded.

    A reference that is more open than wanted would hold the lips apart. Half as much counts of one that was made by
    geometry: it knows the person's skin, but nothing of how this person's mouth looks inside (docs/log).

    Args:
        more_open: Its opening less the wanted one, in eye distances.
        made: Whether the reference was made by geometry.
    """
    closed_enough = min(1.0, max(0.0, 1 - more_open / _TOO_OPEN))
    return REFERENCE_SHARE * closed_enough * (0.5 if made else 1.0)


def _mixed(parts: Sequence[tuple[Tensor, float]]) -> Tensor:
    """The weighted sum of some tensors of one shape."""
    return sum((x * share for x, share in parts[1:]), parts[0][0] * parts[0][1])
