"""Makes the change of a frame in its own samples: luma at full resolution, chroma at that of its planes.

That spares the conversion of the region to RGB and of the change back, and most of the work on chroma. The result is
that of ``patch_with_detail`` but for rounding; pictures of high dynamic range, whose samples depend on the picture in
another way, are changed through RGB. Letters: S crop side; h, w a region of a plane.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.compositing import covered_box
from dithead.inference.compose.detail_transfer import DetailTransfer
from dithead.inference.compose.patch import Change, FrameCrop, MouthParts, own_detail
from dithead.media.colour import ColourEncoding
from dithead.media.planes import Planes
from dithead.types import RGB, Mask, Similarity

_donors: deque[tuple[RGB, tuple[ColourEncoding, int, int], list[NDArray[np.uint8]]]] = deque(maxlen=8)


class PlaneChange(NamedTuple):
    """A change to a region of one plane: ``plane[top:top + h, left:left + w] += difference``."""

    plane: int  # 0 luma, 1 and 2 chroma
    difference: NDArray[np.float32]  # (h, w) in code values
    top: int
    left: int


def plane_changes(
    planes: Planes, view: FrameCrop, mouth: RGB, mask: Mask, transfer: DetailTransfer | None = None, size: int = 0
) -> list[PlaneChange]:
    """Make the change that puts a drawn mouth into the planes of its frame.

    Args:
        planes: The frame, of standard range.
        view: Its crop, or a part of that, and the transform to it.
        mouth: The drawn crop (S, S, 3).
        mask: (S, S) where it shows, 0 to 1.
        transfer: Detail of another frame for it.
        size: S, where crop, mouth and mask are parts.

    Returns:
        The changes; none where the mask lies outside the picture.
    """
    own = own_detail(view, mouth, mask, transfer, size or len(mouth))
    parts = _parts(planes, view.crop, mouth, transfer)
    down, across = planes.subsampling
    changes: list[PlaneChange] = []
    for numbers, shared in (((0,), (1, 1)), ((1, 2), (down, across))):
        transform = _subsampled(view.transform, *shared)
        if (box := covered_box(mask, transform, planes.arrays[numbers[0]].shape)) is not None:
            change = Change(box, transform, mask, transfer, own, shared)
            changes += [_of_plane(planes, number, parts[number], change, box) for number in numbers]
    return changes


def _of_plane(
    planes: Planes, number: int, parts: MouthParts, change: Change, box: tuple[int, int, int, int]
) -> PlaneChange:
    (top, left, bottom, right), unit = box, np.float32(2 ** (planes.depth - 8))
    old = planes.arrays[number][top:bottom, left:right].astype(np.float32)
    difference = change.of(parts, old / unit if unit > 1 else old)
    return PlaneChange(number, difference * unit if unit > 1 else difference, top, left)


def _parts(planes: Planes, crop: RGB, mouth: RGB, transfer: DetailTransfer | None) -> list[MouthParts]:
    """The pictures of the three planes."""
    encoding, nothing = planes.encoding, [None] * 3
    drawn, source = encoding.samples_of(mouth), encoding.samples_of(crop)
    if transfer is None:
        return list(map(MouthParts, drawn, source, nothing, nothing))
    coarse = cv2.split(cv2.transform(transfer.coarse, encoding.from_rgb()))
    donor = _donor_planes(transfer.picture, encoding, *planes.subsampling)
    return list(map(MouthParts, drawn, source, donor, coarse))


def _donor_planes(picture: RGB, encoding: ColourEncoding, down: int, across: int) -> list[NDArray[np.uint8]]:
    """The planes of a picture whose detail is transferred; they are kept, because it stays the same for many frames."""
    key = (encoding, down, across)
    for kept, how, planes in tuple(_donors):  # another thread may add one meanwhile
        if kept is picture and how == key:
            return planes
    luma, *chroma = encoding.samples_of(picture)
    size = max(1, luma.shape[1] // across), max(1, luma.shape[0] // down)
    whole = slice(0, size[1] * down), slice(0, size[0] * across)
    small = [cv2.resize(plane[whole], size, interpolation=cv2.INTER_AREA) for plane in chroma]
    _donors.append((picture, key, [luma, *small]))
    return _donors[-1][2]


def _subsampled(transform: Similarity, down: int, across: int) -> Similarity:
    """The transform (2, 3) from chroma samples, each of which lies in the middle of ``down`` by ``across`` pixels."""
    middle = np.array([(across - 1) / 2, (down - 1) / 2])
    return np.column_stack([transform[:, :2] * (across, down), transform[:, 2] + transform[:, :2] @ middle])
