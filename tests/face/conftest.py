"""A face for the tests: frames of the synthetic presenters in the repository."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from drawn_hand import draw_hand

PRESENTERS = sorted((Path(__file__).parents[2] / "examples" / "presenters").glob("*.mp4"))


@pytest.fixture(scope="session")
def presenter() -> np.ndarray:
    """Ten frames (10, H, W, 3) of a synthetic presenter."""
    from dithead.media.video import read_frames

    if not PRESENTERS:
        pytest.skip("no presenter in examples/presenters; make them with examples/make_material.py")
    return np.stack([frame.pixels for frame in islice(read_frames(PRESENTERS[0]), 10)])


@pytest.fixture(scope="session")
def landmarker():
    from dithead.face.landmarks import FaceLandmarker

    with FaceLandmarker() as made:
        yield made


@pytest.fixture(scope="session")
def face(presenter, landmarker) -> np.ndarray:
    """Landmarks (478, 3) of the first frame."""
    found = landmarker.detect(presenter[0])
    assert found
    return found[0]


def draw_waving() -> tuple[np.ndarray, np.ndarray]:
    """Draw twelve frames (12, H, W, 3) of one hand that waves; its knuckles (12, 4, 2) are in pixels."""
    frames = np.full((12, 400, 560, 3), (90, 110, 130), np.uint8)
    knuckles = [draw_hand(frame, (200 + 12 * i, 230), 0.3 - 0.05 * i) for i, frame in enumerate(frames)]
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 1.2) for frame in frames]), np.stack(knuckles)


@pytest.fixture(scope="session")
def waving() -> tuple[np.ndarray, np.ndarray]:
    return draw_waving()
