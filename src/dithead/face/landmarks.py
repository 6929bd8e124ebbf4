"""Faces in pictures, behind one small adapter: from a picture to 478 landmarks for each face.

The networks are MediaPipe FaceMesh's and come with the package; ``networks/`` runs them, so neither MediaPipe nor a
download is needed. Landmarks are in pixels: x to the right, y down, z negative towards the viewer and in the same
unit, so that distances in three dimensions mean something.
"""

from __future__ import annotations

from types import TracebackType

import cv2
import numpy as np

from dithead.face.networks.detector import FULL_RANGE, Detector
from dithead.face.networks.face_model import FaceModel
from dithead.face.networks.region import Points
from dithead.face.networks.region_tracker import RegionTracker
from dithead.stages import stage
from dithead.types import Landmarks, RGBLike

MAX_FACES = 4
"""Faces that are looked for in one picture. Our choice."""
SMALLEST_EYES = 16.0
"""Pixels between the outer eye corners below which a face is too small to draw on or to recognise (our choice)."""
DETECTION_CONFIDENCE = 0.5
"""Score of the detector of near faces from which a face counts, 0 to 1: MediaPipe's default."""
_SMALL_FACE_CONFIDENCE = 0.6  # the same for small faces: the value of MediaPipe's graph, whatever is asked of it
_PRESENCE_CONFIDENCE = 0.5  # score of the mesh from which a region shows a face: MediaPipe's default
_ZOOM_MARGIN = 0.6  # margin around a small face for the second try, as a fraction of its box

Box = tuple[float, float, float, float]


class FaceLandmarker:
    """Finds the landmarks of faces in pictures (``detect``) or along one video (``track``).

    Use it as a context manager; the networks are loaded on first use. ``track`` keeps state from frame to frame: call
    ``reset`` before another video and after a cut. Use one object per thread.

    Args:
        max_faces: Faces that are looked for in one picture.
    """

    def __init__(self, max_faces: int = MAX_FACES) -> None:
        self.max_faces = max_faces
        self._model: FaceModel | None = None
        self._tracker: RegionTracker | None = None
        self._small_faces: Detector | None = None

    def __enter__(self) -> FaceLandmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks; the object can be used again afterwards."""
        self._model = self._tracker = self._small_faces = None

    def load(self) -> None:
        """Load the networks now, not on first use.

        Raises:
            ModelError: A network's file is damaged, or LiteRT is not installed.
        """
        self._networks()

    def detect(self, image: RGBLike) -> list[Landmarks]:
        """Return landmarks (478, 3) of each face in a picture (H, W, 3), largest first.

        Where the detector for near faces finds none, the one for small faces looks.

        Raises:
            ModelError: A network's file is damaged, or LiteRT is not installed.
        """
        with stage("landmarks"):
            faces = self._detect_all(image) or self._detect_small(image)
        return sorted(faces, key=face_area, reverse=True)

    def track(self, image: RGBLike) -> Landmarks | None:
        """Return landmarks (478, 3) of the face that is being followed, or None where it is lost.

        It is fast, because the detector runs only on the first frame and after a loss.

        Raises:
            ModelError: A network's file is damaged, or LiteRT is not installed.
        """
        if self._tracker is None:
            self._tracker = RegionTracker(self._networks(), count=1)
        with stage("landmarks"):
            faces = self._tracker.step(image)
        return _in_pixels(faces[0], image) if faces else None

    def track_all(self, image: RGBLike) -> list[Landmarks]:
        """Return landmarks (478, 3) of all faces that are being followed, up to ``max_faces``, in no certain order.

        Near faces that appear are found and followed too. Use either this or ``track`` along one video.

        Raises:
            ModelError: A network's file is damaged, or LiteRT is not installed.
        """
        if self._tracker is None:
            self._tracker = RegionTracker(self._networks(), self.max_faces)
        return [_in_pixels(face, image) for face in self._tracker.step(image)]

    def reset(self) -> None:
        """Forget the faces that are being followed."""
        if self._tracker is not None:
            self._tracker.reset()

    def _networks(self) -> FaceModel:
        if self._model is None:
            self._model = FaceModel(DETECTION_CONFIDENCE, _PRESENCE_CONFIDENCE)
        return self._model

    def _detect_all(self, image: RGBLike) -> list[Landmarks]:
        found = RegionTracker(self._networks(), self.max_faces).step(image)
        return [_in_pixels(face, image) for face in found]

    def _detect_small(self, image: RGBLike) -> list[Landmarks]:
        if self._small_faces is None:
            self._small_faces = Detector(FULL_RANGE, _SMALL_FACE_CONFIDENCE)
        found: list[Landmarks] = []
        for box in find_boxes(self._small_faces, image)[: self.max_faces]:
            x0, y0, x1, y1 = _zoom_box(box, image.shape)
            window = np.ascontiguousarray(image[y0:y1, x0:x1])
            found += [face + np.array([x0, y0, 0], np.float32) for face in self._detect_all(window)[:1]]
        return found


def face_area(landmarks: Landmarks) -> float:
    """Return the area of the bounding box of one face's landmarks, in square pixels."""
    width, height = np.ptp(landmarks[:, :2], axis=0)
    return float(width * height)


def face_box(landmarks: Landmarks) -> Box:
    """Return the bounding box (x0, y0, x1, y1) of one face's landmarks, in pixels."""
    (x0, y0), (x1, y1) = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def find_boxes(detector: Detector, image: RGBLike) -> list[Box]:
    """Return the boxes (x, y, width, height) that a detector finds in a picture (H, W, 3), in pixels, largest first."""
    height, width = image.shape[:2]
    boxes = []
    for found in detector.detect(image):
        (x, y), (w, h) = found.corner.tolist(), found.size.tolist()
        boxes.append((x * width, y * height, w * width, h * height))
    return sorted(boxes, key=lambda box: box[2] * box[3], reverse=True)


def _in_pixels(points: Points, image: RGBLike) -> Landmarks:
    height, width = image.shape[:2]
    return points * np.array([width, height, width], np.float32)


def _zoom_box(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
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


def limit_threads() -> None:
    """Let OpenCV use one thread in this process: workers run one per core already."""
    cv2.setNumThreads(1)
