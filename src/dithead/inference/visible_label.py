"""Places the visible label of an output clear of the faces that are redrawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dithead.face.alignment import invert, transform_points
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.media.info import VideoInfo
from dithead.provenance.label import Box, Label

_LOOKS = 64  # frames of a tracklet whose face is considered, at most (our choice)
_FOREHEAD = 0.3  # of the crop's height: hair and forehead above it


def label_of(text: str | None, info: VideoInfo, analysis: VideoAnalysis, size: int) -> Label | None:
    """Make the label of an output.

    Args:
        text: A language code or the text; None for no label.
        info: Size and colours of the frames.
        analysis: Where the faces are.
        size: Crop side S.

    Raises:
        ConfigError: The text cannot be drawn.
    """
    if text is None:
        return None
    return Label(text, (info.width, info.height), list(_face_boxes(analysis, size)), info.color_trc)


def _face_boxes(analysis: VideoAnalysis, size: int) -> Iterator[Box]:
    """The whole face, forehead included, in a sample of the frames."""
    corners = np.array([[0, -_FOREHEAD * size], [size, -_FOREHEAD * size], [0, size], [size, size]])
    for tracklet in analysis.tracklets:
        step = max(1, len(tracklet.transforms) // _LOOKS)
        for transform in tracklet.transforms[::step]:
            points = transform_points(corners, invert(transform))
            yield Box(*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
