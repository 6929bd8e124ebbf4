"""Where MediaPipe's FaceMesh landmarks lie on the parametric head.

The table ``landmarks.npz`` was fitted once: MediaPipe's landmarks on renders of 24 neutral and speaking people, each
landmark as the affine combination of the three head vertices that predicts it best.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import numpy as np

from dithead.synth.head.head_model import HeadModel
from dithead.synth.types import Floats, Ints

_TABLE = "landmarks.npz"


@lru_cache(maxsize=1)
def _table() -> tuple[Ints, Floats]:
    """Numbers of base.obj's vertices (468, 3) and their weights (468, 3)."""
    with (resources.files("dithead.synth.head") / _TABLE).open("rb") as file, np.load(file) as data:
        return data["source"].astype(np.int32), data["weight"].astype(np.float32)


def landmark_points(head: HeadModel, vertices: Floats) -> Floats:
    """Compute the positions of FaceMesh's landmarks on a head.

    Args:
        head: the head model.
        vertices: (V, 3) positions or displacements of its vertices.

    Returns:
        (468, 3) in FaceMesh's order. The irises (468 to 477) belong to the eyeballs and are left out.
    """
    source, weight = _table()
    index = np.searchsorted(head.source_index, source)
    return np.asarray((vertices[index] * weight[..., None]).sum(axis=1), np.float32)
