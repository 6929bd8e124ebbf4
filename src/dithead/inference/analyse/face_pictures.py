"""The pictures of one face in one frame: its crop, and the source's own pixels of it.

Letters: S crop side; H, W a frame; h, w a part of it.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.alignment import (
    crop_transform,
    invert,
    shifted_transform,
    source_window,
    transform_points,
    warp_crop,
)
from dithead.inference.analyse.mouth_shapes import LARGEST_SHIFT
from dithead.inference.analyse.references import picture_scale, source_picture
from dithead.media.partial_rgb import PartialRGB
from dithead.types import RGB, Landmarks, RGBLike, Similarity


class FacePlace(NamedTuple):
    """Where a face is in a frame."""

    transform: Similarity  # (2, 3) from frame pixels to the crop
    points: NDArray[np.float32]  # (478, 2) landmarks in the crop
    size: int  # crop side S

    @classmethod
    def of(cls, landmarks: Landmarks, size: int) -> FacePlace:
        """Find the place of a face with these landmarks (478, 3), for a crop of side ``size``."""
        transform = crop_transform(landmarks, size)
        return cls(transform, transform_points(landmarks, transform), size)


class FacePictures(NamedTuple):
    """The pictures of a face in one frame."""

    crop: RGB  # (S, S, 3)
    picture: RGB  # (h, w, 3): the source's own pixels of the crop, from the eyes down
    transform: Similarity  # (2, 3) from the picture to the crop

    @classmethod
    def of(cls, frame: RGBLike, place: FacePlace) -> FacePictures:
        """Cut the pictures out of a frame (H, W, 3)."""
        return cls(warp_crop(frame, place.transform, place.size), *source_picture(frame, place.transform, place.size))

    def around(self, points: NDArray[np.float32]) -> RGB:
        """Return the picture's pixels (h, w, 3) around ``points`` (n, 2) of the crop."""
        return _around(self.picture, points, self.transform)

    def shifted(self, by: NDArray[np.float32]) -> FacePictures:
        """Return the pictures with a crop that shows all ``by`` (2,) pixels farther to the right and below."""
        move = shifted_transform(np.eye(2, 3), by)
        size = self.crop.shape[1], self.crop.shape[0]
        crop = cv2.warpAffine(self.crop, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return FacePictures(np.asarray(crop, np.uint8), self.picture, shifted_transform(self.transform, by))


class UnconvertedFace:
    """The pictures of a face as samples of a frame's planes; each is converted when it is first asked for.

    Most samples are thinned out again, and of the others only a few are chosen as references.
    """

    def __init__(self, frame: PartialRGB, place: FacePlace) -> None:
        """Copy the face's part of a ``frame``, and so much around it that it can be ``shifted``."""
        room = round(LARGEST_SHIFT * place.size) + 1
        around = shifted_transform(place.transform, np.full(2, room, np.float32))
        self._frame = frame.detached(source_window(frame, around, place.size + 2 * room)[0])
        self._place = place

    @cached_property
    def crop(self) -> RGB:
        """See ``FacePictures``."""
        return warp_crop(self._frame, self._place.transform, self._place.size)

    @property
    def picture(self) -> RGB:
        """See ``FacePictures``."""
        return self._picture[0]

    @property
    def transform(self) -> Similarity:
        """See ``FacePictures``."""
        return self._picture[1]

    def shifted(self, by: NDArray[np.float32]) -> UnconvertedFace:
        """See ``FacePictures``."""
        other = copy(self)
        for name in ("crop", "_picture"):  # what was cut out where the face was
            vars(other).pop(name, None)
        other._place = self._place._replace(transform=shifted_transform(self._place.transform, by))
        return other

    def around(self, points: NDArray[np.float32]) -> RGB:
        """See ``FacePictures``."""
        if picture_scale(self._place.transform) < 1:
            return _around(self.picture, points, self.transform)
        return _around(self._frame, points, self._place.transform)

    @cached_property
    def _picture(self) -> tuple[RGB, Similarity]:
        return source_picture(self._frame, self._place.transform, self._place.size)


def _around(picture: RGBLike, points: NDArray[np.float32], transform: Similarity) -> RGB:
    """The pixels (h, w, 3) of a picture around ``points`` (n, 2) to which ``transform`` leads."""
    there = transform_points(points, invert(transform))
    x0, y0, x1, y1 = np.rint([*there.min(axis=0), *there.max(axis=0)]).astype(int).clip(0).tolist()
    return picture[y0:y1, x0:x1]
