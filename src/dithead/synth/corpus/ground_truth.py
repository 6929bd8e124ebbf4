"""What is true of a picture: where the face's landmarks and lips are, and what each pixel shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dithead.synth.head.landmarks import landmark_points
from dithead.synth.person.person import Person
from dithead.synth.scene.camera import project
from dithead.synth.types import Floats
from dithead.types import RGB


@dataclass(frozen=True)
class Moment:
    """A picture and what is true of it; positions in pixels, x right, y down."""

    pixels: RGB
    aperture: float  # gap between the inner lips / distance of the outer eye corners
    lips: Floats  # (L, 2) inner lip contour
    eyes: Floats  # (2, 2) outer eye corners
    landmarks: Floats  # (468, 2) in MediaPipe FaceMesh's order
    labels: NDArray[np.uint8] | None = None  # (H, W) numbers into parts.LABELS
    visible: bool = True  # a face is in the picture
    rest: RGB | None = None  # the same picture with the mouth at rest
    head: Floats | None = None  # (6,) yaw, pitch, roll in radians, shift in decimetres
    controls: Floats | None = None  # (8,) what the mouth was told, see visemes

    def without_pixels(self) -> Moment:
        """The truth alone."""
        return replace(self, pixels=np.empty((0, 0, 3), np.uint8), rest=None)


def eye_corners(person: Person) -> list[int]:
    """The body vertices at the outer corners of the right and left eye."""
    rest, body = person.body.head.vertices, np.unique(person.body.faces)
    near = [np.linalg.norm(rest[body] - (s * 0.475, 7.27, 1.285), axis=1) for s in (-1, 1)]
    return [int(body[np.argmin(distance)]) for distance in near]


class Witness:
    """Looks at a posed person through a camera and tells where things are."""

    def __init__(self, person: Person, width: int, height: int) -> None:
        self.person, self.width, self.height = person, width, height
        self.corners = eye_corners(person)

    def look(
        self, pixels: RGB, turn: Floats, shift: Floats, matrix: Floats, labels: NDArray[np.uint8] | None
    ) -> Moment:
        """The truth of ``pixels``: the head turned by ``turn``, moved by ``shift``, seen through ``matrix``."""
        person = self.person
        anatomy, coarse = person.body.anatomy, person.posed
        parts = [coarse[anatomy.contact_line], coarse[self.corners], landmark_points(person.body.head, coarse)]
        world = (np.concatenate(parts) - person.pivot) @ turn.T + person.pivot + shift
        flat = project(world, matrix, self.width, self.height)[:, :2]
        lips, eyes, landmarks = np.split(flat, np.cumsum([len(parts[0]), 2]))
        wide = float(np.linalg.norm(np.subtract(*person.base[self.corners])))
        return Moment(pixels, person.mouth_state()[1] / wide, lips, eyes, landmarks, labels)


def stack(moments: Iterable[Moment]) -> dict[str, NDArray[np.generic]]:
    """The moments' truth as arrays whose first axis is the frame."""
    kept = list(moments)
    arrays: dict[str, NDArray[np.generic]] = {
        "aperture": np.array([m.aperture for m in kept], np.float32),
        "lips": np.stack([m.lips for m in kept]).astype(np.float32),
        "eyes": np.stack([m.eyes for m in kept]).astype(np.float32),
        "landmarks": np.stack([m.landmarks for m in kept]).astype(np.float32),
        "visible": np.array([m.visible for m in kept]),
    }
    for name in ("head", "controls", "labels"):
        values = [getattr(m, name) for m in kept]
        if all(value is not None for value in values):
            arrays[name] = np.stack(values)
    return arrays
