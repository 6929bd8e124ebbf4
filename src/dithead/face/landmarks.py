"""MediaPipe FaceMesh behind one small adapter: from a picture to 478 landmarks for each face.

The model is the one inside the ``mediapipe`` wheel, so nothing is downloaded. Landmarks are in pixels: x to the right,
y down, z negative towards the viewer and in the same unit, so that distances in three dimensions mean something.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from dithead.types import RGB, Landmarks

MAX_FACES = 4
"""Faces that are looked for in one picture. Our choice."""
DETECTION_CONFIDENCE = 0.5
"""Confidence of MediaPipe's detectors from which a face counts, 0 to 1: MediaPipe's default."""
_TRACKING_CONFIDENCE = 0.5  # confidence from which a tracked face is kept: MediaPipe's default
_ZOOM_MARGIN = 0.6  # margin around a small face for the second try, as a fraction of its box

_BLACK: RGB = np.zeros((64, 64, 3), np.uint8)
_first_face_seen = False  # the first face of a process makes the native side print a warning


class FaceLandmarker:
    """Finds the landmarks of faces in pictures (``detect``) or along one video (``track``).

    Use it as a context manager; the networks are built on first use. ``track`` keeps state from frame to frame: call
    ``reset`` before another video and after a cut.

    Args:
        max_faces: Faces that are looked for in one picture.
    """

    def __init__(self, max_faces: int = MAX_FACES) -> None:
        self.max_faces = max_faces
        self._still: Any = None
        self._moving: Any = None
        self._finder: Any = None

    def __enter__(self) -> FaceLandmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks; the object can be used again afterwards."""
        for graph in (self._still, self._moving, self._finder):
            if graph is not None:
                graph.close()
        self._still = self._moving = self._finder = None

    def detect(self, image: RGB) -> list[Landmarks]:
        """Return landmarks (478, 3) of each face in a picture (H, W, 3), largest first.

        Where FaceMesh finds none, MediaPipe's long-range detector looks for small faces.
        """
        if self._still is None:
            self._still = _face_mesh(static=True, faces=self.max_faces)
        faces = _run(self._still, image) or self._detect_small(image)
        return sorted(faces, key=face_area, reverse=True)

    def track(self, image: RGB) -> Landmarks | None:
        """Return landmarks (478, 3) of the face that is being followed, or None where it is lost.

        It is fast, because the detector runs only on the first frame and after a loss.
        """
        if self._moving is None:
            self._moving = _face_mesh(static=False, faces=1)
        faces = _run(self._moving, image)
        return faces[0] if faces else None

    def reset(self) -> None:
        """Forget the face that is being followed.

        A black picture does it: MediaPipe's own reset loads the networks again, which takes as long as ten frames.
        """
        if self._moving is not None:
            _run(self._moving, _BLACK)

    def _detect_small(self, image: RGB) -> list[Landmarks]:
        if self._finder is None:
            self._finder = _face_finder()
        found: list[Landmarks] = []
        for box in _find_boxes(self._finder, image)[: self.max_faces]:
            x0, y0, x1, y1 = _zoom_box(box, image.shape)
            window = np.ascontiguousarray(image[y0:y1, x0:x1])
            found += [face + np.array([x0, y0, 0], np.float32) for face in _run(self._still, window)[:1]]
        return found


def face_area(landmarks: Landmarks) -> float:
    """Return the area of the bounding box of one face's landmarks, in square pixels."""
    width, height = np.ptp(landmarks[:, :2], axis=0)
    return float(width * height)


def face_box(landmarks: Landmarks) -> tuple[float, float, float, float]:
    """Return the bounding box (x0, y0, x1, y1) of one face's landmarks, in pixels."""
    (x0, y0), (x1, y1) = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _face_mesh(static: bool, faces: int) -> Any:
    with quiet_native_logs():
        from mediapipe.python.solutions.face_mesh import FaceMesh

        graph = FaceMesh(
            static_image_mode=static,
            max_num_faces=faces,
            refine_landmarks=True,
            min_detection_confidence=DETECTION_CONFIDENCE,
            min_tracking_confidence=_TRACKING_CONFIDENCE,
        )
        graph.process(_BLACK)  # the log noise comes with the first picture
    return graph


def _face_finder() -> Any:
    with quiet_native_logs():
        from mediapipe.python.solutions.face_detection import FaceDetection

        graph = FaceDetection(min_detection_confidence=DETECTION_CONFIDENCE, model_selection=1)
        graph.process(_BLACK)
    return graph


def _run(graph: Any, image: RGB) -> list[Landmarks]:
    global _first_face_seen
    height, width = image.shape[:2]
    with contextlib.nullcontext() if _first_face_seen else quiet_native_logs():
        result = graph.process(np.ascontiguousarray(image)).multi_face_landmarks or []
    _first_face_seen |= bool(result)
    scale = np.array([width, height, width], np.float32)
    return [np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32) * scale for face in result]


def _find_boxes(finder: Any, image: RGB) -> list[tuple[float, float, float, float]]:
    """Boxes (x, y, width, height) in pixels, largest first."""
    height, width = image.shape[:2]
    boxes = []
    for hit in finder.process(np.ascontiguousarray(image)).detections or []:
        b = hit.location_data.relative_bounding_box
        boxes.append((b.xmin * width, b.ymin * height, b.width * width, b.height * height))
    return sorted(boxes, key=lambda box: box[2] * box[3], reverse=True)


def _zoom_box(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The square (x0, y0, x1, y1) around a box with a margin, within the picture."""
    x, y, w, h = box
    side = max(w, h) * (1 + 2 * _ZOOM_MARGIN)
    x0, y0 = x + w / 2 - side / 2, y + h / 2 - side / 2
    return (
        max(0, round(x0)),
        max(0, round(y0)),
        max(1, min(shape[1], round(x0 + side))),
        max(1, min(shape[0], round(y0 + side))),
    )


@contextlib.contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Discard what native code writes to stderr: TensorFlow Lite prints a banner that no setting turns off.

    Use it only while a graph is built, so that later errors are still visible.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def limit_threads() -> None:
    """Let OpenCV use one thread in this process: workers run one per core already."""
    cv2.setNumThreads(1)
