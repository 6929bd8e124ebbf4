"""Writes the videos that a model is compared with: the true video, its copy, and the same with a frozen mouth.

All are written with the encoder settings of ``generate``, so that encoding makes no difference between them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dithead.errors import FaceError
from dithead.evaluate.evaluation_clips import fit_length
from dithead.evaluate.observe_video import CROP_SIDE, Observation
from dithead.face.alignment import transform_points
from dithead.face.compositing import composite
from dithead.face.masks import polygon_mask, stable_polygon
from dithead.media.audio import read_audio
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.types import Mask, Wave

TRUTH, COPY, FROZEN = "truth", "copy_input", "frozen_mouth"
AS_DRAWN = "as_drawn"
"""Row of the model's drawings as they are, without any pixel of the source in them."""
LABELS = {TRUTH: "ground truth, encoded again", COPY: "input copied", FROZEN: "input, mouth frozen"}
"""Row of the report -> its name for readers."""
FEATHER = 6.0
"""Pixels of the aligned crop over which the frozen mouth is blended into the frame (our choice)."""


def sound_of(video: Observation, seconds: float) -> Wave:
    """Return the sound (n,) of a video at 16 kHz, cut or filled to a length; silence where it has none."""
    wave = read_audio(video.path, SAMPLE_RATE) if video.info.has_audio else np.zeros(0, np.float32)
    return fit_length(wave, seconds, SAMPLE_RATE)


def write_copy(source: Observation, path: Path, audio: Wave) -> Path:
    """Encode the frames of the source once more, with ``audio`` (n,) at 16 kHz; return the path."""
    with VideoWriter(path, source.info, audio=(audio, SAMPLE_RATE)) as writer:
        for frame in read_frames(source.path):
            writer.write(frame.pixels, frame.pts, frame.time_base)
    return path


def write_frozen(source: Observation, path: Path, audio: Wave) -> Path:
    """Write the source with its most closed mouth pasted into every frame; return the path.

    Args:
        source: The video.
        path: The file to write.
        audio: (n,) at 16 kHz.

    Raises:
        FaceError: The source has no face.
    """
    closed, mask = most_closed(source), _lower_face(source)
    with VideoWriter(path, source.info, audio=(audio, SAMPLE_RATE)) as writer:
        for frame, transform in zip(read_frames(source.path), source.transforms, strict=True):
            pixels = frame.pixels
            if transform is not None:
                pixels = composite(pixels, source.crops[closed], transform, mask)
            writer.write(pixels, frame.pts, frame.time_base)
    return path


def most_closed(source: Observation) -> int:
    """Return the number of the frame with the most closed mouth. Raises FaceError where no frame has a face."""
    if source.lips.missed == source.frames:
        raise FaceError(f"{source.path}: no face in any frame; leave this clip out")
    return int(np.nanargmin(source.lips.openings))


def _lower_face(source: Observation) -> Mask:
    """The mask of the lower face in the aligned crop, the same for all frames."""
    points = [
        transform_points(face, transform)
        for face, transform in zip(source.landmarks, source.transforms, strict=True)
        if face is not None and transform is not None
    ]
    return polygon_mask(stable_polygon(np.stack(points), CROP_SIDE), CROP_SIDE, FEATHER)
