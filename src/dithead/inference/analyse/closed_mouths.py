"""Keeps the most closed mouths of a tracklet, which evenly spaced samples may miss: a p, b or m lasts three frames.

N: frames.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace

from dithead.face.lip_opening import lip_opening
from dithead.inference.analyse.face_pictures import FacePlace
from dithead.inference.analyse.face_samples import FaceSample, sample_face
from dithead.media.video import VideoFrame
from dithead.types import Landmarks

_KEPT = 4  # mouths (our choice)
_APART = 8  # frames that at least lie between two of them, so that they are not one closure (our choice)
_LEAST_GAIN = 0.002  # eye distances by which another must be less open to replace one: less is noise (our choice)


@dataclass
class ClosedMouths:
    """The most closed mouths so far; of those that are equally closed, the first."""

    samples: list[FaceSample] = field(default_factory=list)
    openings: array[float] = field(default_factory=lambda: array("f"))  # (N,) of all frames, in eye distances

    def add(self, frame: VideoFrame, landmarks: Landmarks, place: FacePlace, offset: int) -> None:
        """Take the next frame, see ``sample_face``, and sample it when its mouth is among the most closed."""
        opening = lip_opening(landmarks)
        self.openings.append(opening)
        near = [s for s in self.samples if offset - s.offset < _APART]
        rivals = near or (self.samples if len(self.samples) == _KEPT else [])
        if rivals:
            worst = max(rivals, key=lambda s: s.opening)
            if opening > worst.opening - _LEAST_GAIN:
                return
            self.samples = [s for s in self.samples if s is not worst]
        self.samples.append(replace(sample_face(frame, landmarks, place, offset), rare=True))

    def beside(self, others: list[FaceSample]) -> list[FaceSample]:
        """Return those that are more closed than all of the samples ``others``; else these show enough already."""
        least = min(s.opening for s in others) - _LEAST_GAIN
        return [s for s in self.samples if s.opening < least]
