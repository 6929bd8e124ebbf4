"""The landmarks agree with MediaPipe's: with some that are stored, and with MediaPipe itself where it is installed.

``python tests/face/test_agreement.py`` stores them again (MediaPipe 0.10.21 needed: the extra ``agreement``). The
pictures are synthetic: the presenters in ``examples`` and a drawn hand.

For one region of interest both agree to the rounding of OpenCV's interpolation. Tracking feeds back: a region comes
from the landmarks before it, so that a last bit grows to a few hundredths of a pixel within ten frames, and larger
where a landmark is hidden. The arc tangent here is rounded correctly, as that of the GNU C library is since 2.41:
there, 60 tracked frames of each presenter differ from MediaPipe's by 0.00001 pixels on average (175 of the 180 are
equal). Under glibc 2.36, 16 of 100 arc tangents differ in the last bit, and so do MediaPipe's landmarks from its own
under 2.43: by 0.17, 0.06 and 0.07 pixels, which is also what they differ from these (docs/log, 2026-11-29).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import math
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dithead.face.hands import HandFinder
from dithead.face.landmarks import DETECTION_CONFIDENCE, FaceLandmarker
from dithead.face.networks import region
from dithead.face.networks.face_model import FaceModel
from dithead.face.networks.hand_model import HandModel
from dithead.media.video import read_frames

STORED = Path(__file__).parent / "data" / "mediapipe_landmarks.npz"
PRESENTERS = sorted((Path(__file__).parents[2] / "examples" / "presenters").glob("*.mp4"))
FRAMES = 8

reason = "mediapipe is not installed (the extra 'agreement'); the stored landmarks are compared instead"
with_mediapipe = pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason=reason)


def frames_of(path: Path, count: int = FRAMES) -> list[np.ndarray]:
    return [np.ascontiguousarray(frame.pixels) for frame in islice(read_frames(path), count)]


def mediapipe_faces(frames: list[np.ndarray], static: bool) -> np.ndarray:
    """MediaPipe's landmarks (N, 478, 3) in pixels, with one face in every frame."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    height, width = frames[0].shape[:2]
    options = {"min_detection_confidence": DETECTION_CONFIDENCE, "max_num_faces": 4 if static else 1}
    with FaceMesh(static_image_mode=static, refine_landmarks=True, **options) as graph:
        found = [graph.process(frame).multi_face_landmarks for frame in frames]
    points = [[(p.x, p.y, p.z) for p in faces[0].landmark] for faces in found]
    return np.array(points, np.float32) * np.array([width, height, width], np.float32)


def mediapipe_hands(frames: np.ndarray) -> np.ndarray:
    """MediaPipe's landmarks (N, 21, 2) in pixels, with one hand in every frame."""
    from mediapipe.python.solutions.hands import Hands

    height, width = frames[0].shape[:2]
    with Hands(model_complexity=0, max_num_hands=2, min_detection_confidence=0.6) as graph:
        found = [graph.process(frame).multi_hand_landmarks for frame in frames]
    points = [[(p.x, p.y) for p in hand.landmark] for (hand,) in found]
    return np.array(points, np.float32) * np.array([width, height], np.float32)


def stored(name: str) -> np.ndarray:
    with np.load(STORED) as file:
        return file[name]


def same_region_differences(model, frames, reference: np.ndarray) -> np.ndarray:
    """Distances in pixels of each landmark's coordinates where every region follows from the reference before it."""
    size = np.array([frames[0].shape[1], frames[0].shape[0], frames[0].shape[1]], np.float32)[: reference.shape[2]]
    differences = []
    for frame, before, truth in zip(frames[1:], reference, reference[1:], strict=False):
        points = model.locate(frame, model.next_region(before / size, frame))
        assert points is not None
        differences.append(np.abs(points * size - truth))
    return np.array(differences)


def tracked(frames) -> np.ndarray:
    with FaceLandmarker() as landmarker:
        return np.array([landmarker.track(frame) for frame in frames])


def report(name: str, differences: np.ndarray) -> None:
    plane = differences[..., :2]
    print(f"{name}: mean {plane.mean():.5f}, largest {plane.max():.4f} px")


# --- with the stored landmarks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PRESENTERS, ids=lambda path: path.stem)
def test_faces_in_the_same_region_agree(path):
    differences = same_region_differences(FaceModel(0.5, 0.5), frames_of(path), stored(f"{path.stem}/tracked"))
    report(path.stem, differences)
    assert differences.mean() < 0.002
    assert differences.max() < 0.05


@pytest.mark.parametrize("path", PRESENTERS, ids=lambda path: path.stem)
def test_detected_faces_agree(path):
    with FaceLandmarker() as landmarker:
        (face,) = landmarker.detect(frames_of(path, 1)[0])
    differences = np.abs(face - stored(f"{path.stem}/detected")[0])
    report(path.stem, differences)
    assert differences.mean() < 0.002
    assert differences.max() < 0.05


@pytest.mark.parametrize("path", PRESENTERS, ids=lambda path: path.stem)
def test_tracked_faces_agree_but_for_the_feedback(path):
    differences = np.abs(tracked(frames_of(path)) - stored(f"{path.stem}/tracked"))
    report(path.stem, differences)
    assert differences.mean() < 0.5


def test_hands_in_the_same_region_agree(waving):
    differences = same_region_differences(HandModel(0.6, 0.5), waving[0], stored("hand"))
    report("hand", differences)
    assert differences.mean() < 0.01


def test_followed_hands_agree(waving):
    with HandFinder() as finder:
        found = np.array([finder.find(frame)[0] for frame in waving[0]])
    assert np.abs(found - stored("hand")).mean() < 1


# --- with MediaPipe itself -------------------------------------------------------------------------------------------


@pytest.fixture
def c_library(monkeypatch):
    """Trigonometry of the C library, which MediaPipe uses, instead of Python's, which is rounded correctly."""
    name = ctypes.util.find_library("m")
    if not sys.platform.startswith("linux") or name is None:
        pytest.skip("the C library's trigonometry is reached on Linux only")
    library = ctypes.CDLL(name)

    def function(name: str, arguments: int):
        found = getattr(library, name)
        found.restype, found.argtypes = ctypes.c_float, [ctypes.c_float] * arguments
        return lambda *values: found(*(float(value) for value in values))

    own = {"atan2": function("atan2f", 2), "cos": function("cosf", 1), "sin": function("sinf", 1)}
    monkeypatch.setattr(region, "math", SimpleNamespace(pi=math.pi, floor=math.floor, **own))


@with_mediapipe
@pytest.mark.parametrize("path", PRESENTERS, ids=lambda path: path.stem)
def test_with_the_same_trigonometry_tracked_faces_are_mediapipes(path, c_library):
    """The feedback is chaotic, so that equality over seconds shows that every step is the same."""
    frames = frames_of(path, 60)
    differences = np.abs(tracked(frames) - mediapipe_faces(frames, static=False))
    report(path.stem, differences)
    assert differences.mean() < 0.05


@with_mediapipe
@pytest.mark.parametrize("path", PRESENTERS, ids=lambda path: path.stem)
def test_no_face_is_lost_that_mediapipe_finds(path):
    frames = frames_of(path, 60)
    reference = mediapipe_faces(frames, static=True)
    with FaceLandmarker() as landmarker:
        found = np.array([landmarker.detect(frame)[0] for frame in frames])
    report(path.stem, np.abs(found - reference))
    assert np.abs(found - reference).mean() < 0.01


@with_mediapipe
def test_the_stored_landmarks_are_mediapipes(waving):
    assert np.abs(mediapipe_hands(waving[0]) - stored("hand")).max() < 1
    for path in PRESENTERS:
        live = mediapipe_faces(frames_of(path, 1), static=True)
        assert np.abs(live - stored(f"{path.stem}/detected")).max() < 0.01


def store() -> None:
    """Write ``STORED`` with MediaPipe's landmarks."""
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest

    arrays = {"hand": mediapipe_hands(conftest.draw_waving()[0])}
    for path in PRESENTERS:
        frames = frames_of(path)
        arrays[f"{path.stem}/tracked"] = mediapipe_faces(frames, static=False)
        arrays[f"{path.stem}/detected"] = mediapipe_faces(frames[:1], static=True)
    np.savez_compressed(STORED, **arrays)


if __name__ == "__main__":
    store()
