"""Measures what a model makes of a person whom it never sees talking: of one picture, or with talking frames hidden.

Letters: N frames, S side of the aligned crop, E numbers of a face's embedding.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.critics.face_identity import SAME_PERSON, embed_crops
from dithead.evaluate.baselines import most_closed
from dithead.evaluate.clip_measures import audio_offset
from dithead.evaluate.lip_series import OPEN, Measures, compare_self
from dithead.evaluate.observe_video import Observation
from dithead.evaluate.picture_quality import EPSILON
from dithead.media.video import read_frames
from dithead.types import Wave

FACES = 24
"""Frames of a video, evenly spaced, whose faces are compared (our choice: each takes 30 ms of one core)."""


def write_portrait(source: Observation, path: Path) -> Path:
    """Write the frame with the most closed mouth as a picture, unless it is there; return the path."""
    if not path.exists():
        closed = most_closed(source)
        frame = next(frame.pixels for k, frame in enumerate(read_frames(source.path)) if k == closed)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        cv2.imwrite(str(temporary), frame[..., ::-1])
        temporary.replace(path)
    return path


def measure_untaught(generated: Observation, truth: Observation, audio: Wave) -> Measures:
    """Measure a video that was made without any talking frame of the person, driven by the clip's own sound.

    Its head need not be where the clip has it, so that pictures are not compared pixel by pixel.

    Args:
        generated: The video, observed by itself.
        truth: The clip.
        audio: The driving sound (n,) at 16 kHz, for the offset of the sound in the file.
    """
    theirs = _faces(truth)
    return {
        **compare_self(generated.lips, truth.lips),
        "sharpness_open": open_sharpness(generated) / max(open_sharpness(truth), EPSILON),
        "identity_kept": identity_kept(_faces(generated), theirs),
        "identity_picture": identity_kept(embed_crops([truth.crops[most_closed(truth)]]), theirs),
        "audio_offset_ms": audio_offset(generated.path, audio),
    }


def open_sharpness(video: Observation) -> float:
    """Return the mean Laplacian variance of the lips over the frames whose lips are open; NaN without such frames."""
    open_lips = video.detail[video.lips.openings > OPEN, 0]
    known = open_lips[np.isfinite(open_lips)]
    return float(known.mean()) if len(known) else float("nan")


def identity_kept(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Compare how clearly two sets of faces are one person.

    The person is the mean embedding of every second true face; the distances to it of our faces and of the other true
    ones are compared by what they leave to ``SAME_PERSON``, from which the network sees two people.

    Args:
        ours: (N, E) embeddings of the faces to judge.
        theirs: (M, E) those of the true faces.

    Returns:
        1 where ours lie as near as the true ones, 0 at the border, negative beyond it; NaN where faces are missing or
        the true ones are no single person.
    """
    if not len(ours) or len(theirs) < 2:
        return float("nan")
    person = theirs[::2].mean(axis=0)
    left, wanted = (SAME_PERSON - float(_apart(faces, person).mean()) for faces in (ours, theirs[1::2]))
    return left / wanted if wanted > EPSILON else float("nan")


def _apart(faces: NDArray[np.float32], person: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(faces - person, axis=1))


def _faces(video: Observation) -> NDArray[np.float32]:
    """The embeddings (N, E) of faces evenly spaced in time."""
    known = [k for k, place in enumerate(video.transforms) if place is not None]
    chosen = np.unique(np.linspace(0, len(known) - 1, min(FACES, len(known))).round().astype(int))
    crops = [video.crops[known[k]] for k in chosen]
    return embed_crops(crops) if crops else np.zeros((0, 0), np.float32)
