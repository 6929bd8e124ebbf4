"""Names of array types that several folders share.

Letters: H, W frame height and width, S crop side, n samples.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

RGB: TypeAlias = NDArray[np.uint8]  # (H, W, 3), R first


class RGBLike(Protocol):
    """An array (H, W, 3) of RGB, or something that can be sliced like one, such as ``media.partial_rgb.PartialRGB``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3)."""

    def __getitem__(self, box: tuple[slice, slice], /) -> RGB:
        """Return the pixels of some rows and columns."""


@runtime_checkable
class RGBWithThumbnail(RGBLike, Protocol):
    """A picture that can be reduced without being converted as a whole."""

    def thumbnail(self, width: int, height: int, box: tuple[int, int, int, int] | None = None) -> NDArray[np.float32]:
        """Return the picture, or a box of it (top, left, bottom, right), reduced to (height, width, 3)."""


@runtime_checkable
class RGBWithMeans(RGBLike, Protocol):
    """A picture that can be averaged over squares without being converted as a whole."""

    def averaged(self, top: int, left: int, bottom: int, right: int, side: int) -> RGB:
        """Return the means of the squares of ``side`` pixels that fit into a box, from its upper left corner on."""


Mask: TypeAlias = NDArray[np.float32]  # (S, S) in [0, 1]; 1 is generated, 0 is kept
Wave: TypeAlias = NDArray[np.float32]  # (n,) mono samples in [-1, 1]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
Landmarks: TypeAlias = NDArray[np.float32]  # (478, 2) or (478, 3), pixels; x right, y down
MaskKind = Literal["stable-polygon", "polygon", "box"]  # see ``face.masks``
Similarity: TypeAlias = NDArray[np.float64]  # (2, 3) affine, frame pixels -> crop pixels
