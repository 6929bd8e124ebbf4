"""Samples of a face are converted late, and show what the frame shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import OUTER_LIPS
from dithead.inference.analyse.face_pictures import FacePictures, FacePlace, UnconvertedFace
from dithead.inference.analyse.face_samples import sample_face
from dithead.media.video import read_frames
from dithead.types import Landmarks

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"


@pytest.fixture(scope="module")
def landmarks() -> Landmarks:
    with FaceLandmarker(1) as landmarker:
        return landmarker.detect(next(read_frames(PRESENTER)).pixels)[0]


@pytest.mark.parametrize("size", [24, 96, 192])  # the face is reduced to a part, reduced and enlarged
def test_a_sample_is_converted_late_to_the_pixels_of_its_frame(landmarks: Landmarks, size: int) -> None:
    frame, place = next(read_frames(PRESENTER)), FacePlace.of(landmarks, size)
    expected, lips = FacePictures.of(frame.partial, place), place.points[list(OUTER_LIPS)]
    sample = sample_face(frame, landmarks, place, 0)
    assert isinstance(sample.pictures, UnconvertedFace)
    assert np.array_equal(sample.pictures.around(lips), expected.around(lips))
    assert sample.pictures.around(lips).size
    assert np.array_equal(sample.pictures.crop, expected.crop)
    assert np.array_equal(sample.pictures.picture, expected.picture)
    assert np.array_equal(sample.pictures.transform, expected.transform)


def test_a_sample_of_a_picture_in_rgb_is_the_same_kind_of_thing(landmarks: Landmarks) -> None:
    frame, place = next(read_frames(PRESENTER)), FacePlace.of(landmarks, 96)
    frame.__dict__["partial"] = frame.pixels
    sample = sample_face(frame, landmarks, place, 0)
    assert isinstance(sample.pictures, FacePictures)
    assert sample.lip_sharpness() > 0
