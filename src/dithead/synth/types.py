"""Array types that several packages of `synth` share; a leaf that imports nothing of `synth`."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB or (H, W, 4) RGBA
Colour: TypeAlias = tuple[float, float, float]  # linear RGB, each channel in 0..1
RNG: TypeAlias = np.random.Generator
