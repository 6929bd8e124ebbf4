"""A take: one person in one setting with a script, rendered frame by frame with its ground truth."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dithead.synth.corpus.ground_truth import AnnotatedFrame, FrameAnnotator
from dithead.synth.corpus.script import Script
from dithead.synth.face.expression import MouthTrack, expression_at
from dithead.synth.face.motion import Motion, rotation_matrix
from dithead.synth.head.parts import Part
from dithead.synth.person.person import Person, frame_uniforms
from dithead.synth.scene.camera import Camera
from dithead.synth.scene.camera_effects import CameraEffects
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import Setting
from dithead.synth.types import Floats
from dithead.types import RGB

_AIM = (-0.30, -0.45)  # decimetres, y and z of the point that the camera aims at, relative to the middle of the eyes


@dataclass
class Take:
    """Everything a clip consists of before it is rendered."""

    person: Person
    setting: Setting
    script: Script
    motion: Motion
    rng: np.random.Generator  # paints the skin and makes the noise of the camera
    extra: tuple[Part, ...] = ()  # objects besides the person
    quality: float = 16.0  # crf of H.264
    shadows: bool = True  # ambient occlusion and the shadows of hair, nose and brows

    def render(self, renderer: Renderer, *, labels: bool = False, rest: bool = False) -> Iterator[AnnotatedFrame]:
        """Render the clip.

        Args:
            renderer: Where it is drawn; whatever was on it is removed.
            labels: Also tell what each pixel shows.
            rest: Draw each picture once more with the mouth at rest.

        Yields:
            The frames in order.
        """
        self.person.upload_to(renderer, self.setting, self.rng)
        renderer.add_parts(self.extra)
        if not self.shadows:
            self._remove_shadows(renderer)
        frames = _FrameRenderer(self, renderer)
        for index in range(len(self.script.mouth)):
            yield frames.render(index, labels=labels, rest=rest)

    def _remove_shadows(self, renderer: Renderer) -> None:
        for part in self.person.parts:
            part.light[:, [0, 1, 3]] = 1.0  # ambient, key and fill
        renderer.upload_light()


class _FrameRenderer:
    """Renders single frames of a take whose person is on the renderer already."""

    def __init__(self, take: Take, renderer: Renderer) -> None:
        self.take, self.renderer = take, renderer
        self.effects = CameraEffects(take.setting, renderer.width, renderer.height)
        self.annotator = FrameAnnotator(take.person, renderer.width, renderer.height)

    def render(self, index: int, *, labels: bool, rest: bool) -> AnnotatedFrame:
        take, motion = self.take, self.take.motion
        head, shift = motion.head[index], motion.shift[index]
        turn = rotation_matrix(*(float(angle) for angle in head))
        self._pose(take.script.mouth, index)
        camera = aim_camera(take.person, take.setting, motion.camera[index])
        scene = frame_uniforms(take.person, take.setting, turn, shift)
        rng_at_rest = copy.deepcopy(take.rng) if rest else take.rng  # the same noise in both pictures
        pixels = self.effects.apply(self.renderer.draw(camera, scene), take.rng)
        matrix = camera.view_projection(self.renderer.width / self.renderer.height)
        label_map = self.renderer.draw_labels(camera, scene) if labels else None
        frame = self.annotator.annotate(pixels, turn, shift, matrix, label_map)
        frame = replace(frame, head=np.concatenate([head, shift]), units=take.script.mouth.units[index])
        return replace(frame, rest=self._render_rest(index, camera, turn, rng_at_rest)) if rest else frame

    def _render_rest(self, index: int, camera: Camera, turn: Floats, rng: np.random.Generator) -> RGB:
        take = self.take
        self._pose(take.script.mouth.at_rest(), index)
        scene = frame_uniforms(take.person, take.setting, turn, take.motion.shift[index])
        return self.effects.apply(self.renderer.draw(camera, scene), rng)

    def _pose(self, mouth: MouthTrack, index: int) -> None:
        take = self.take
        face = expression_at(mouth, take.motion, index, take.person.side_lead)
        yaw, pitch = (float(angle) for angle in take.motion.gaze[index])
        tip = float(mouth.tongue_tip[index])
        take.person.pose(face.weights, face.contact, tongue_tip=tip, gaze=(yaw, pitch))


def aim_camera(person: Person, setting: Setting, shake: Floats) -> Camera:
    """Place the setting's camera and aim it a little below the person's eyes.

    Args:
        person: Whose face is recorded.
        setting: Where the camera stands and how large the face is.
        shake: Shift (2,) of the target in decimetres: right, up.

    Returns:
        The camera.
    """
    eyes = np.mean([eye.centre for eye in person.eyes], axis=0)
    target = eyes + np.array([-setting.shift[0] + shake[0], _AIM[0] - setting.shift[1] + shake[1], _AIM[1]])
    c = np.cos(setting.elevation)
    direction = np.array([np.sin(setting.azimuth) * c, np.sin(setting.elevation), np.cos(setting.azimuth) * c])
    position = target + setting.distance * direction
    return Camera(tuple(float(x) for x in position), tuple(float(x) for x in target), setting.height)  # type: ignore[arg-type]
