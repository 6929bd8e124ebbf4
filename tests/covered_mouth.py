"""Covers mouths of pictures, and collects what was found in frames, for the tests of occluders."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.inference.analyse.occlusion import OcclusionFinding
from dithead.inference.analyse.occlusion_masks import OcclusionCollector, OcclusionMasks
from dithead.types import RGB


def with_ball(picture: RGB, centre: np.ndarray, radius: float, colour: tuple[int, ...] = (15, 15, 18)) -> RGB:
    """The picture with a ball painted over it."""
    return cv2.circle(picture.copy(), tuple(int(v) for v in centre), int(radius), colour, -1, cv2.LINE_AA)


def collected(findings: dict[int, OcclusionFinding], frames: int) -> OcclusionMasks:
    """The masks of so many frames; nothing was found in those that are not given."""
    collector = OcclusionCollector()
    for k in range(frames):
        collector.add(findings.get(k, OcclusionFinding()))
    return collector.close()
