"""Names of array types that several folders share.

Letters: H, W frame height and width, S crop side, n samples.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

RGB: TypeAlias = NDArray[np.uint8]  # (H, W, 3), R first
Mask: TypeAlias = NDArray[np.float32]  # (S, S) in [0, 1]; 1 is generated, 0 is kept
Wave: TypeAlias = NDArray[np.float32]  # (n,) mono samples in [-1, 1]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
Landmarks: TypeAlias = NDArray[np.float32]  # (478, 2) or (478, 3), pixels; x right, y down
MaskKind = Literal["stable-polygon", "polygon", "box"]  # see ``face.masks``
Similarity: TypeAlias = NDArray[np.float64]  # (2, 3) affine, frame pixels -> crop pixels
