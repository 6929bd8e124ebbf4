"""Face tracking finds the presenters that ship, and measures their lip openings as they were rendered."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_opening
from dithead.media.video import read_frames

PRESENTERS = sorted((Path(__file__).parents[2] / "examples" / "presenters").glob("*.mp4"))


@pytest.mark.parametrize("video", PRESENTERS, ids=lambda path: path.stem)
def test_the_measured_lip_openings_agree_with_the_truth(video: Path) -> None:
    truth = np.array(json.loads(video.with_suffix(".json").read_text())["aperture"])[:75]
    with FaceLandmarker() as landmarker:
        faces = [landmarker.detect(frame.pixels) for frame in islice(read_frames(video), 75)]
    assert all(len(found) == 1 for found in faces)
    measured = np.array([lip_opening(found[0]) for found in faces])
    assert np.corrcoef(measured, truth)[0, 1] > 0.93
    closed, wide = truth < 0.01, truth > np.quantile(truth, 0.9)
    assert measured[closed].mean() < 0.25 * measured[wide].mean()


def test_there_are_presenters_to_test() -> None:
    assert {video.stem for video in PRESENTERS} == {"ben", "mia", "ruth"}
