"""Faces for a ``RegionTracker``: the short-range detector, the attention mesh and the regions between them."""

from __future__ import annotations

from dithead.face.mesh_indices import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from dithead.face.networks.detector import SHORT_RANGE, Detector
from dithead.face.networks.face_mesh import FaceMesh
from dithead.face.networks.region import Growth, Points, Region, angle_of, region_around
from dithead.types import RGBLike

_GROWTH = Growth(1.5)  # from a face's box to its region: MediaPipe's value
_RIGHT_EYE, _LEFT_EYE = 0, 1  # key points of a detected face
_LEVEL = 0.0  # direction of the line between the eyes within a region, radians


class FaceModel:
    """Detector and mesh of faces.

    Args:
        detection: Score from which a detected face counts, 0 to 1.
        presence: Score of the mesh from which a region shows a face, 0 to 1.
    """

    def __init__(self, detection: float, presence: float) -> None:
        self._detector, self._mesh = Detector(SHORT_RANGE, detection), FaceMesh(presence)

    def find(self, image: RGBLike) -> list[Region]:
        """Return the regions of the faces in a picture (H, W, 3), best first."""
        regions = []
        for face in self._detector.detect(image):
            angle = angle_of(face.points[_RIGHT_EYE], face.points[_LEFT_EYE], _LEVEL, image)
            regions.append(region_around(face.corner, face.size, angle, _GROWTH, image))
        return regions

    def locate(self, image: RGBLike, region: Region) -> Points | None:
        """Return landmarks (478, 3) relative to the picture, or None where the region shows no face."""
        return self._mesh.locate(image, region)

    def next_region(self, points: Points, image: RGBLike) -> Region:
        """Return where to look in the next picture for the face with these landmarks."""
        angle = angle_of(points[RIGHT_EYE_OUTER], points[LEFT_EYE_OUTER], _LEVEL, image)
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        return region_around(low, high - low, angle, _GROWTH, image)
