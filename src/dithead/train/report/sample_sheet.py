"""Sample sheets of a training run: rows of ground truth, masked frame, reference and prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from dithead.media.contact_sheet import save_picture
from dithead.prepare.conditions import to_pixels


def write_sample_sheet(folder: Path, step: int, *rows: Tensor) -> Path:
    """Write image batches (B, 3, S, S) in [-1, 1], one below the other, as ``FOLDER/samples/STEP.png``.

    Raises:
        OutputError: The file cannot be written.
    """
    picture = np.vstack([np.hstack(list(to_pixels(row))) for row in rows])
    return save_picture(picture, folder / "samples" / f"{step:07d}.png")
