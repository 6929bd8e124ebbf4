"""Embeds the face of a picture or of a video's first frames, for the list of denied faces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.critics.face_identity import embed_crops
from dithead.errors import FaceError
from dithead.face.alignment import crop_transform, warp_crop
from dithead.face.landmarks import SMALLEST_EYES, FaceLandmarker
from dithead.face.mesh_indices import eye_distance
from dithead.media.files import printable
from dithead.media.video import read_frames
from dithead.types import RGB

_SIDE = 160  # pixels of the aligned crop
_EVERY, _MOST = 25, 4  # frames between two that are looked at, and faces taken from a video (our choice)


def embeddings_of(path: Path) -> list[NDArray[np.float32]]:
    """Embed the one face that a picture, or a video, shows.

    Args:
        path: A picture or a video of one person.

    Returns:
        One embedding (128,) of a picture, up to four of a video.

    Raises:
        MediaError: The file cannot be read.
        FaceError: It shows no face, or several.
    """
    crops = list(islice(_crops(path), _MOST))
    if not crops:
        raise FaceError(f"{printable(path)}: shows no face, or too small a one; give a picture of the person's face")
    return list(embed_crops(crops))


def _crops(path: Path) -> Iterator[RGB]:
    with FaceLandmarker() as landmarker:
        for frame in islice(read_frames(path), 0, None, _EVERY):
            faces = [face for face in landmarker.detect(frame.pixels) if eye_distance(face) >= SMALLEST_EYES]
            if len(faces) > 1:
                raise FaceError(f"{printable(path)}: shows {len(faces)} faces; cut out the one that is meant")
            if faces:
                yield warp_crop(frame.pixels, crop_transform(faces[0], _SIDE), _SIDE)
