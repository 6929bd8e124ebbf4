"""With several faces in the picture, the one that ``generate`` redraws is measured, in every version of the video."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.evaluate.lip_landmarks import track_landmarks
from dithead.evaluate.observe_video import Observation, observe
from dithead.face.landmarks import FaceLandmarker
from dithead.face.tracking import track_faces
from dithead.media.info import VideoInfo
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
FRAMES, SIDE = 12, 512


def pictures(name: str, side: int = SIDE) -> list[np.ndarray]:
    """The first frames of a presenter, shrunk to a side and set in grey."""
    made, edge = [], (SIDE - side) // 2
    for frame in islice(read_frames(PRESENTERS / f"{name}.mp4"), FRAMES):
        canvas = np.full((SIDE, SIDE, 3), 60, np.uint8)
        canvas[edge : edge + side, edge : edge + side] = cv2.resize(frame.pixels, (side, side))
        made.append(canvas)
    return made


def beside(left: list[np.ndarray], right: list[np.ndarray]) -> list[np.ndarray]:
    return [np.concatenate(pair, axis=1) for pair in zip(left, right, strict=True)]


def written(path: Path, frames: list[np.ndarray]) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, VideoInfo(width, height, probe(PRESENTERS / "mia.mp4").fps, pix_fmt="yuv420p")) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def sides(video: Observation) -> set[str | None]:
    """On which side of the picture the measured faces lie."""
    faces = video.landmarks
    return {None if face is None else "left" if face[:, 0].mean() < SIDE else "right" for face in faces}


def test_a_single_face_is_measured_as_the_tracker_alone_measures_it(tmp_path):
    """To the last bit: what was measured before other faces were told apart stays comparable."""
    path = written(tmp_path / "source.mp4", pictures("mia"))
    small = written(tmp_path / "made.mp4", [cv2.GaussianBlur(frame, (0, 0), 2) for frame in pictures("mia")])
    source = observe(path)
    for video, file in ((source, path), (observe(small, source), small)):
        with FaceLandmarker() as landmarker:
            tracked = [landmarker.track(frame.pixels) for frame in read_frames(file)]
        np.testing.assert_array_equal(video.landmarks, tracked)


@pytest.mark.parametrize(("large", "small"), [("ruth", "ben"), ("ben", "mia"), ("mia", "ruth")])
def test_of_two_faces_the_larger_is_measured_as_generate_redraws_it(tmp_path, large, small):
    frames = beside(pictures(large), pictures(small, 340))
    source = observe(written(tmp_path / "pair.mp4", frames))
    redrawn = [seen.landmarks for seen in track_faces(frame.pixels for frame in read_frames(tmp_path / "pair.mp4"))]
    np.testing.assert_array_equal(source.landmarks, redrawn)
    assert sides(source) == {"left"}
    assert all(face is not None and face[:, 0].mean() < SIDE for face in track_landmarks(frames))


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: cv2.GaussianBlur(frame, (0, 0), 3),
        lambda frame: cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda frame: np.concatenate([frame[:, :SIDE], cv2.GaussianBlur(frame[:, SIDE:], (0, 0), 6)], axis=1),
        lambda frame: np.concatenate([cv2.GaussianBlur(frame[:, :SIDE], (0, 0), 6), frame[:, SIDE:]], axis=1),
    ],
    ids=["blurred", "half size", "right blurred", "left blurred"],
)
def test_of_two_equal_faces_every_version_is_measured_on_the_sources(
    tmp_path, changed: Callable[[np.ndarray], np.ndarray]
):
    frames = beside(pictures("mia"), pictures("ben"))
    source = observe(written(tmp_path / "source.mp4", frames))
    made = observe(written(tmp_path / "made.mp4", [changed(frame) for frame in frames]), source)
    assert len(sides(source)) == 1
    assert sides(made) == sides(source)


def test_another_face_never_stands_in_for_one_that_is_gone(tmp_path):
    frames = beside(pictures("mia"), pictures("ben", 340))
    source = observe(written(tmp_path / "source.mp4", frames))
    hidden = [np.concatenate([np.full_like(frame[:, :SIDE], 60), frame[:, SIDE:]], axis=1) for frame in frames]
    made = observe(written(tmp_path / "made.mp4", frames[:4] + hidden[4:8] + frames[8:]), source)
    assert [face is None for face in made.landmarks] == [False] * 4 + [True] * 4 + [False] * 4
    assert sides(made) == {"left", None}


def test_where_the_source_shows_no_face_the_nearest_moment_says_which_is_meant(tmp_path):
    frames = beside(pictures("mia"), pictures("ben", 340))
    hidden = [np.full_like(frame, 60) for frame in frames]
    source = observe(written(tmp_path / "source.mp4", frames[:6] + hidden[6:]))
    assert [face is None for face in source.landmarks] == [False] * 6 + [True] * 6
    only_other = [np.concatenate([np.full_like(frame[:, :SIDE], 60), frame[:, SIDE:]], axis=1) for frame in frames]
    made = observe(written(tmp_path / "made.mp4", frames[:9] + only_other[9:]), source)
    assert [face is None for face in made.landmarks] == [False] * 9 + [True] * 3
    assert sides(made) == {"left", None}
