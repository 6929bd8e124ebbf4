"""MediaPipe FaceMesh behind one small adapter: an RGB picture in, 478 landmarks a face out.

The model is the one inside the ``mediapipe`` wheel, so nothing is downloaded. Landmarks are pixels: x right,
y down, and z towards the viewer negative, in the same unit as x (so 3-D distances mean something).
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
DETECTION_CONFIDENCE = 0.5
_ZOOM_MARGIN = 0.6  # picture kept around a small face, as a fraction of its box, before FaceMesh looks again

_BLACK: RGB = np.zeros((64, 64, 3), np.uint8)
_first_face_seen = False  # the first face of a process makes the native side print a warning


class FaceLandmarker:
    """Landmarks of the faces in pictures (``detect``) or along one video (``track``).

    Use it as a context manager; the networks inside are built when first needed. ``track`` carries state from
    frame to frame: call ``reset`` before another video or after a cut.
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
        """Landmarks (478, 3) of each face in one picture, largest first; an empty list when there is none.

        A face too small for FaceMesh's own detector is looked for again with the long-range one.
        """
        if self._still is None:
            self._still = _face_mesh(static=True, faces=self.max_faces)
        faces = _run(self._still, image) or self._detect_small(image)
        return sorted(faces, key=face_area, reverse=True)

    def track(self, image: RGB) -> Landmarks | None:
        """Landmarks (478, 3) of the one face being followed, or None where it is lost.

        About 4 ms a frame: the detector only runs on the first frame and after a loss.
        """
        if self._moving is None:
            self._moving = _face_mesh(static=False, faces=1)
        faces = _run(self._moving, image)
        return faces[0] if faces else None

    def reset(self) -> None:
        """Forget the tracked face.

        By showing a black picture: the graph's own reset loads the networks anew, which costs 10 frames'
        time.
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
    """Area of the landmarks' bounding box, in square pixels."""
    width, height = np.ptp(landmarks[:, :2], axis=0)
    return float(width * height)


def face_box(landmarks: Landmarks) -> tuple[float, float, float, float]:
    """Bounding box (x0, y0, x1, y1) of one face, in pixels."""
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
            min_tracking_confidence=0.5,
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
    height, width = image.shape[:2]
    boxes = []
    for hit in finder.process(np.ascontiguousarray(image)).detections or []:
        b = hit.location_data.relative_bounding_box
        boxes.append((b.xmin * width, b.ymin * height, b.width * width, b.height * height))
    return sorted(boxes, key=lambda box: box[2] * box[3], reverse=True)


def _zoom_box(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
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
    """Send the C++ side's stderr to nowhere: TensorFlow Lite prints a banner that no setting turns off.

    Only while a graph is built, so later errors still show.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def limit_threads() -> None:
    """One OpenCV thread in this process: workers run one per core already."""
    cv2.setNumThreads(1)
