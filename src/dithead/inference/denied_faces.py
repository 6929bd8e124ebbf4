"""Refuses to redraw a face that the operator's deny list names; every tracklet is compared with it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import Tracklet
from dithead.provenance.deny_list import DenyList, read_deny_list
from dithead.types import RGB

_SIDE = 160  # pixels: crops of smaller models are enlarged to it
_MOST = 3  # pictures of a tracklet that are embedded besides its reference (our choice)

Embed = Callable[[list[RGB]], NDArray[np.float32]]


def refuse_denied_faces(analysis: VideoAnalysis, deny_list: DenyList | None = None) -> None:
    """Compare every tracklet with the deny list; it costs nothing where the list is empty.

    Args:
        analysis: What the first pass found.
        deny_list: The list; the configured one by default.

    Raises:
        FaceError: A face is on the list.
        ConfigError: The list cannot be read.
    """
    deny_list = read_deny_list() if deny_list is None else deny_list
    if not deny_list.faces:
        return
    from dithead.critics.face_identity import embed_crops  # imports torch

    for tracklet in analysis.tracklets:
        found = deny_list.match(_embedding(tracklet, embed_crops))
        if found is not None:
            raise FaceError(
                f"face {max(1, tracklet.face)}, in frames {tracklet.start} to {tracklet.stop - 1}, looks like "
                f"{found.name!r}, who is on this installation's deny list ({deny_list.path}) and may not be redrawn; "
                "ask its operator"
            )


def _embedding(tracklet: Tracklet, embed: Embed) -> NDArray[np.float32]:
    """The mean embedding (128,) of several pictures of one tracklet."""
    crops = [tracklet.reference]
    if (stored := tracklet.references) is not None:
        crops += stored.store.get(stored.images)[: min(_MOST, len(stored.openings))]
    resized = [np.asarray(cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8) for crop in crops]
    return np.asarray(embed(resized).mean(axis=0), np.float32)
