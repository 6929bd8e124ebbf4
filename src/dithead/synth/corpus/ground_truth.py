"""Ground truth of rendered frames: where the face's landmarks and lips are, and what each pixel shows.

Letters: H, W height and width of the picture, L points of the inner lip contour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dithead.synth.head.landmark_vertices import landmark_points
from dithead.synth.person.person import Person
from dithead.synth.scene.camera import project
from dithead.synth.types import Floats
from dithead.types import RGB

# Outer corner of the left eye on the neutral head, in decimetres; the right one mirrors it.
_EYE_CORNER = (0.475, 7.27, 1.285)


@dataclass(frozen=True)
class AnnotatedFrame:
    """A rendered frame and its ground truth; positions are in pixels, x to the right and y down."""

    pixels: RGB  # (H, W, 3)
    aperture: float  # gap between the inner lips / distance of the outer eye corners
    lips: Floats  # (L, 2) inner lip contour
    eyes: Floats  # (2, 2) outer eye corners
    landmarks: Floats  # (468, 2) in the order of MediaPipe FaceMesh
    labels: NDArray[np.uint8] | None = None  # (H, W) numbers into parts.LABELS
    visible: bool = True  # whether a face is in the picture
    rest: RGB | None = None  # (H, W, 3) the same picture with the mouth at rest
    head: Floats | None = None  # (6,) yaw, pitch and roll in radians, shift in decimetres
    units: Floats | None = None  # (52,) weights by which speech moves the face units, see face.units

    def without_pixels(self) -> AnnotatedFrame:
        """Return the ground truth alone, to save memory."""
        return replace(self, pixels=np.empty((0, 0, 3), np.uint8), rest=None)


def eye_corners(person: Person) -> list[int]:
    """Return the numbers of the vertices at the outer corners of the right and of the left eye."""
    rest, body = person.body.head.vertices, np.unique(person.body.faces)
    x, y, z = _EYE_CORNER
    distances = [np.linalg.norm(rest[body] - (side * x, y, z), axis=1) for side in (-1, 1)]
    return [int(body[np.argmin(distance)]) for distance in distances]


class FrameAnnotator:
    """Computes the ground truth of pictures of one person."""

    def __init__(self, person: Person, width: int, height: int) -> None:
        self.person, self.width, self.height = person, width, height
        self.corners = eye_corners(person)

    def annotate(
        self, pixels: RGB, turn: Floats, shift: Floats, matrix: Floats, labels: NDArray[np.uint8] | None
    ) -> AnnotatedFrame:
        """Compute the ground truth of a picture of the person as it is posed now.

        Args:
            pixels: The picture (H, W, 3).
            turn: Rotation of the head (3, 3).
            shift: Shift of the head (3,) in decimetres.
            matrix: `Camera.view_projection` (4, 4) of the camera that took it.
            labels: What each pixel shows (H, W), where that was drawn.

        Returns:
            The picture with its ground truth.
        """
        person = self.person
        anatomy, posed = person.body.anatomy, person.posed
        parts = [posed[anatomy.contact_line], posed[self.corners], landmark_points(person.body.head, posed)]
        world = (np.concatenate(parts) - person.pivot) @ turn.T + person.pivot + shift
        flat = project(world, matrix, self.width, self.height)[:, :2]
        lips, eyes, landmarks = np.split(flat, np.cumsum([len(parts[0]), 2]))
        eye_distance = float(np.linalg.norm(np.subtract(*person.base[self.corners])))
        return AnnotatedFrame(pixels, person.mouth_state()[1] / eye_distance, lips, eyes, landmarks, labels)


def stack_ground_truth(frames: Iterable[AnnotatedFrame]) -> dict[str, NDArray[np.generic]]:
    """Stack the ground truth of a clip's frames.

    Args:
        frames: At least one frame.

    Returns:
        Arrays whose first axis is the frame, by the name of the field: those of truth.npz. ``head``, ``units`` and
        ``labels`` are left out where a frame has none.
    """
    frames = list(frames)
    arrays: dict[str, NDArray[np.generic]] = {
        "aperture": np.array([frame.aperture for frame in frames], np.float32),
        "lips": np.stack([frame.lips for frame in frames]).astype(np.float32),
        "eyes": np.stack([frame.eyes for frame in frames]).astype(np.float32),
        "landmarks": np.stack([frame.landmarks for frame in frames]).astype(np.float32),
        "visible": np.array([frame.visible for frame in frames]),
    }
    for name in ("head", "units", "labels"):
        values = [getattr(frame, name) for frame in frames]
        if all(value is not None for value in values):
            arrays[name] = np.stack(values)
    return arrays
