"""Turns a drawn mouth into the pixels of its frame; every caller composes mouths here.

All of it happens in the box around the mask, because nothing else can change. The order of the steps: fall back on the
reference where the model failed, match the colour, find where the drawing must show, leave out occluders that the model
drew again, add the person's own detail, and put the result into the frame. Generation, live use, the mask-leak test and
the experiment that pastes references instead of drawing all call ``compose``. Letters: S crop side; h, w the part of
the frame around the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.face.alignment import warp_crop
from dithead.face.compositing import Patch, apply_patch, match_colour
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.blend_mask import CropBox, MouthRegion, change_mask, mouth_region
from dithead.inference.compose.detail_transfer import transfer_detail
from dithead.inference.compose.fallback import replace_lost_identity, replace_smeared_lips
from dithead.inference.compose.patch import FrameCrop, patch_with_detail
from dithead.inference.compose.plane_changes import PlaneChange, plane_changes
from dithead.inference.synthesise.reference_bank import FrameReference
from dithead.inference.synthesise.reference_set import SourcePicture
from dithead.media.partial_rgb import PartialRGB
from dithead.media.planes import Planes
from dithead.types import RGB, Mask, RGBLike, Similarity

_LEAST = 1 / 2048  # weight below which no sample changes: half a level of 10 bits
_AROUND = 0.05  # margin around the mask, as a fraction of S, that blurs and optical flow see (our choice)


@dataclass(frozen=True)
class SourceView:
    """A source frame, of which only what is changed is converted to RGB, and its crop."""

    index: int  # number of the frame in the clip
    pixels: RGBLike  # (H, W, 3)
    transform: Similarity  # (2, 3) from the frame to the crop
    crop: RGB  # (S, S, 3)
    planes: Planes | None = None  # the frame's own samples, which are changed then

    @classmethod
    def of_planes(cls, planes: Planes, transform: Similarity, size: int, index: int) -> SourceView:
        """Cut the view of a frame out of its planes.

        Args:
            planes: The frame.
            transform: (2, 3) from frame pixels to the crop.
            size: Crop side S.
            index: Number of the frame in the clip.
        """
        pixels = PartialRGB(planes)
        own = planes if planes.encoding.tones is None else None
        return cls(index, pixels, transform, warp_crop(pixels, transform, size), own)

    @classmethod
    def of_crop(cls, crop: RGB, index: int) -> SourceView:
        """Treat a ``crop`` (S, S, 3) as the whole frame ``index``, as tests and experiments do."""
        return cls(index, crop, np.eye(2, 3), crop)


@dataclass(frozen=True)
class ComposedMouth:
    """What a drawn mouth changes in its frame, and how it came about."""

    change: Patch | list[PlaneChange]  # of RGB, or of the frame's planes
    allowed: Mask  # (S, S) how much of the aligned crop might be redrawn
    replaced: float  # share of the drawing that a picture of the source replaces as a whole
    mended: float  # share of its lips that a picture of the source replaces

    def add_to(self, planes: Planes) -> None:
        """Make the change in the planes of the frame."""
        if isinstance(self.change, Patch):
            planes.add_rgb_difference(*self.change)
        else:
            for each in self.change:
                planes.add(*each)


def compose(
    drawn: RGB, source: SourceView, reference: FrameReference | None, tracklet: Tracklet
) -> ComposedMouth | None:
    """Turn a drawn mouth into the change of its frame.

    Args:
        drawn: The mouth (S, S, 3) as the model drew it.
        source: The frame it belongs to.
        reference: The person's pictures for this frame, for fallbacks and detail; None takes the drawing as it is.
        tracklet: The face and the shot.

    Returns:
        The change, or None when nothing of the mouth lies inside the picture.
    """
    size = drawn.shape[0]
    region = mouth_region(tracklet, source.index, size)
    box = CropBox.around(region.mask, round(_AROUND * size))
    if box is None:
        return None
    part, view = region.part(box), FrameCrop(source.pixels, box.cut(source.crop), box.shifted(source.transform))
    reference = None if reference is None else _part_of(reference, box)
    mouth, replaced, mended = _with_fallbacks(box.cut(drawn), view.crop, reference, part, size)
    mouth = match_colour(mouth, view.crop, part.mask, part.band)
    allowed = region.allowed
    if tracklet.cheeks is not None and tracklet.occlusion.residual:
        whole = box.put(mouth, drawn)
        free = tracklet.occlusion.without_residual_occluder(whole, source.crop, tracklet.cheeks, region.core)
        allowed = allowed if free is None else allowed * free
    mask = box.cut(allowed) * change_mask(mouth, view.crop, part.core, size)
    mask[mask < _LEAST] = 0
    transfer = None if reference is None else transfer_detail(reference, mouth, part.core, size)
    change: Patch | list[PlaneChange] | None
    if source.planes is None:
        change = patch_with_detail(view, mouth, mask, transfer, size)
    else:
        change = plane_changes(source.planes, view, mouth, mask, transfer, size)
    return ComposedMouth(change, allowed, replaced, mended) if change else None


def _part_of(reference: FrameReference, box: CropBox) -> FrameReference:
    """The same pictures, of which the crops are cut to a box."""

    def cut(each: SourcePicture) -> SourcePicture:
        return SourcePicture(box.cut(each.crop), each.picture, box.shifted(each.transform))

    nearest = None if reference.nearest is None else box.cut(reference.nearest)
    if reference.donor is not None:
        return FrameReference((), nearest, cut(reference.donor))
    return FrameReference(tuple(map(cut, reference.pictures)), nearest)


def composed_crop(drawn: RGB, crop: RGB, reference: FrameReference | None, tracklet: Tracklet, index: int) -> RGB:
    """Compose a drawn mouth into a crop that stands for the whole frame.

    Args:
        drawn: The mouth (S, S, 3) as the model drew it.
        crop: The source's crop (S, S, 3).
        reference: See ``compose``.
        tracklet: The face and the shot.
        index: Number of the frame in the clip.

    Returns:
        The crop (S, S, 3) with its new mouth.
    """
    made = compose(drawn, SourceView.of_crop(crop, index), reference, tracklet)
    return crop if made is None or not isinstance(made.change, Patch) else apply_patch(crop, made.change)


def _with_fallbacks(
    drawn: RGB, crop: RGB, reference: FrameReference | None, region: MouthRegion, size: int
) -> tuple[RGB, float, float]:
    """The drawing, replaced where the model failed; only where the reference's opening is known to fit.

    Also returns which share of it was replaced as a whole, and which share of its lips was mended.
    """
    if reference is None or reference.nearest is None:
        return drawn, 0.0, 0.0
    around = region.allowed * (1 - region.core)
    whole = replace_lost_identity(drawn, reference.nearest, crop, around, size)
    lips = replace_smeared_lips(whole.mouth, reference.nearest, region.core, size)
    return lips.mouth, whole.share, lips.share
