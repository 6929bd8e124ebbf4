"""The rows every table has beside ours: the truth, the input copied, and the input with a frozen mouth.

All are written by the codec settings that ``generate`` uses, so that a codec never makes the difference.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dithead.errors import FaceError
from dithead.evaluate.observe_video import CROP, Observation
from dithead.face.alignment import transform_points
from dithead.face.compositing import composite
from dithead.face.masks import polygon_mask, stable_polygon
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from dithead.types import Mask, Wave

TRUTH, COPY, FROZEN = "truth", "copy_input", "frozen_mouth"
LABELS = {TRUTH: "ground truth, encoded again", COPY: "input copied", FROZEN: "input, mouth frozen"}
RATE = 16000
FEATHER = 6.0  # crop pixels


def write_copy(source: Observation, path: Path, audio: Wave) -> Path:
    """The source's own frames, encoded once more, with ``audio`` (n,) at 16 kHz."""
    with VideoWriter(path, source.info, audio=(audio, RATE)) as writer:
        for frame in read_frames(source.path):
            writer.write(frame.pixels, frame.pts, frame.time_base)
    return path


def write_frozen(source: Observation, path: Path, audio: Wave) -> Path:
    """The source with its most closed mouth pasted on every frame. Raises FaceError when it has no face."""
    still, mask = _resting_mouth(source), _lower_face(source)
    with VideoWriter(path, source.info, audio=(audio, RATE)) as writer:
        for frame, transform in zip(read_frames(source.path), source.transforms, strict=True):
            pixels = frame.pixels
            if transform is not None:
                pixels = composite(pixels, source.crops[still], transform, mask)
            writer.write(pixels, frame.pts, frame.time_base)
    return path


def _resting_mouth(source: Observation) -> int:
    if source.lips.missed == source.frames:
        raise FaceError(f"{source.path}: no face in any frame; leave this clip out")
    return int(np.nanargmin(source.lips.aperture))


def _lower_face(source: Observation) -> Mask:
    points = [
        transform_points(face, transform)
        for face, transform in zip(source.landmarks, source.transforms, strict=True)
        if face is not None and transform is not None
    ]
    return polygon_mask(stable_polygon(np.stack(points), CROP), CROP, FEATHER)
