"""Follow regions of interest from frame to frame as MediaPipe's graphs for faces and hands do.

The detector runs only while fewer faces (or hands) are followed than are looked for; a region that is followed
replaces a detected one that overlaps it.
"""

from __future__ import annotations

from typing import Protocol

from dithead.face.networks.region import Points, Region, distinct
from dithead.types import RGBLike


class LandmarkModel(Protocol):
    """A detector of regions and a network of landmarks within one, which belong together."""

    def find(self, image: RGBLike) -> list[Region]:
        """Return the regions of a picture (H, W, 3) to look at, best first."""

    def locate(self, image: RGBLike, region: Region) -> Points | None:
        """Return the landmarks in a region, relative to the picture; None where there are none."""

    def next_region(self, points: Points, image: RGBLike) -> Region:
        """Return where to look in the next picture for what has these landmarks in this one."""


class RegionTracker:
    """Landmarks along one video.

    Args:
        model: What is looked for.
        count: How many are looked for.
    """

    def __init__(self, model: LandmarkModel, count: int) -> None:
        self.model, self.count = model, count
        self._regions: list[Region] = []

    def reset(self) -> None:
        """Forget what is followed: the next picture is searched anew."""
        self._regions = []

    def step(self, image: RGBLike) -> list[Points]:
        """Return the landmarks of each face or hand in the next picture (H, W, 3), relative to it."""
        detected = self.model.find(image)[: self.count] if len(self._regions) < self.count else []
        regions = distinct([*detected, *self._regions])
        located = (self.model.locate(image, region) for region in regions)
        found = [points for points in located if points is not None]
        self._regions = [self.model.next_region(points, image) for points in found]
        return found
