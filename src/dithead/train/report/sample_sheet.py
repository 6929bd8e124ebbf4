"""Sample sheets: ground truth, masked, reference, prediction, for a person to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from dithead.prepare.conditions import to_pixels


def write_sheet(path: Path, *rows: Tensor) -> None:
    """Image batches (B, 3, S, S) in [-1, 1], one row each, to a PNG."""
    picture = np.vstack([np.hstack(list(to_pixels(row))) for row in rows])
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write {path}")
