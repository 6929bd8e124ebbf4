"""Render clips that are hard on purpose, each with its ground truth, to test everything that reads video.

absent: the person leaves for a while.  two: another person sits beside.  profile: seen from the side.
microphone: an object before the mouth.  cut: another person in another place from the middle on.
dark, harsh: extreme light.  silence: nobody speaks.  turned: by 40 degrees, before a dark background.
turning: from 35 degrees on the one side to 35 on the other.
makeup: painted lips.  captions: words over the chin on some frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import ConfigError, OutputError
from dithead.progress import Progress, counted, silent
from dithead.synth.corpus.clip_credentials import rendering_seal
from dithead.synth.corpus.clip_files import script_record, write_take
from dithead.synth.corpus.difficulties import captioned, painted, turned, turning
from dithead.synth.corpus.ground_truth import AnnotatedFrame
from dithead.synth.corpus.recipe import LICENCE, SOURCE
from dithead.synth.corpus.script import ClipTiming, frame_loudness, script_of, silent_utterance, write_script
from dithead.synth.corpus.take import Take
from dithead.synth.face.motion import sample_motion
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.eyeball import uv_sphere_points, uv_sphere_triangles
from dithead.synth.head.glasses import merge_meshes, tube_mesh
from dithead.synth.head.identity import sample_identity
from dithead.synth.head.parts import Part
from dithead.synth.person.person import Person
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import sample_setting
from dithead.synth.skin.paint import luminance
from dithead.synth.voice.random_voice import random_voice

FPS = 25
"""Frames per second of every case."""

_SALT = 0x4A  # keeps the random numbers of the cases apart from those of a corpus with the same seed
_SECOND_PERSON, _AFTER_CUT = 5000, 7000  # added to the person's seed: the seed of the other person
_PROFILE_AZIMUTH = 1.35  # radians
_TURN, _TURNING = 40.0, 35.0  # degrees
_EXTREME_NOISE = 6.0  # grey levels, as cameras have it in extreme light


@dataclass(frozen=True)
class HardResult:
    """Where the cases are and what they are called."""

    output: Path
    cases: list[str]


def synth_hard_cases(
    output: str | Path, *, head_model: str | Path | None = None, seed: int = 0, size: int = 288, seconds: float = 2.0,
    progress: Progress = silent,
) -> list[Path]:  # fmt: skip
    """Write every case as ``output/CASE/{clip.mp4, truth.npz, identity.json, clip.json}``.

    Args:
        output: Folder of the cases; a case that is there is replaced.
        head_model: Folder of a parametric head; None takes the one that ships.
        seed: The same seed gives the same clips.
        size: Side of the picture in pixels.
        seconds: Length of each clip.
        progress: Called with the cases done.

    Returns:
        The folders.

    Raises:
        ConfigError: The size or the length is out of range.
        DataError: The head model cannot be read.
        OutputError: A clip cannot be written.
    """
    if size < 64 or size % 2 or seconds * FPS < 4:
        raise ConfigError("size must be even and at least 64, and seconds enough for four pictures")
    body = Body(load_head(head_model))
    folders = []
    with Renderer(size, size) as renderer:
        for number, (name, render) in enumerate(counted(CASES.items(), "cases", len(CASES), progress)):
            take = random_take(body, seed * 100 + number, round(seconds * FPS))
            folders.append(_write(Path(output) / name, name, render(renderer, body, take), take))
    return folders


def random_take(body: Body, seed: int, frames: int, *, silent: bool = False) -> Take:
    """Draw a person in a setting who says something.

    Args:
        body: The head model.
        seed: The same seed gives the same take.
        frames: Length of the clip.
        silent: The person says nothing.

    Returns:
        The take, ready to be rendered.
    """
    rng = np.random.default_rng([_SALT, seed])
    identity = sample_identity(seed, body.head.key_names)
    setting = sample_setting(seed, tone=luminance(identity.tone))
    voice = random_voice(rng, identity.male, age=identity.age)
    timing = ClipTiming(frames, FPS)
    if silent:
        script = script_of(silent_utterance(timing.seconds, voice.language), rng, voice, timing)
    else:
        script = write_script(rng, voice, timing)
    motion = sample_motion(rng, frames, FPS, frame_loudness(script.wave, frames, FPS))
    return Take(Person(body, identity), setting, script, motion, rng)


def _render_absent(renderer: Renderer, _: Body, take: Take) -> Iterator[AnnotatedFrame]:
    """The person is away for the middle third."""
    count = len(take.script.mouth)
    for index, frame in enumerate(take.render(renderer, labels=True)):
        is_away = count // 3 <= index < 2 * count // 3
        yield _without_person(renderer, frame) if is_away else frame


def _without_person(renderer: Renderer, frame: AnnotatedFrame) -> AnnotatedFrame:
    labels = np.zeros(frame.pixels.shape[:2], np.uint8)
    return replace(frame, pixels=renderer.draw_background(), labels=labels, visible=False, aperture=0.0)


def _render_two(renderer: Renderer, body: Body, take: Take) -> Iterator[AnnotatedFrame]:
    """A silent person sits to the right; the ground truth is that of the speaker on the left."""
    listener = random_take(body, take.person.identity.seed + _SECOND_PERSON, len(take.script.mouth), silent=True)
    pictures = [frame.pixels for frame in listener.render(renderer, labels=True)]
    for frame, picture in zip(take.render(renderer, labels=True), pictures, strict=True):
        background = np.zeros(picture.shape[:2], np.uint8)
        labels = np.hstack([frame.labels if frame.labels is not None else background, background])
        yield replace(frame, pixels=np.hstack([frame.pixels, picture]), labels=labels)


def _render_profile(renderer: Renderer, _: Body, take: Take) -> Iterator[AnnotatedFrame]:
    return replace(take, setting=replace(take.setting, azimuth=_PROFILE_AZIMUTH)).render(renderer, labels=True)


def _render_microphone(renderer: Renderer, _: Body, take: Take) -> Iterator[AnnotatedFrame]:
    return replace(take, extra=(microphone(take.person),)).render(renderer, labels=True)


def _render_cut(renderer: Renderer, body: Body, take: Take) -> Iterator[AnnotatedFrame]:
    """The first half of one take, then the second half of another."""
    half = len(take.script.mouth) // 2
    other = random_take(body, take.person.identity.seed + _AFTER_CUT, len(take.script.mouth))
    yield from [frame for _, frame in zip(range(half), take.render(renderer, labels=True), strict=False)]
    for index, frame in enumerate(replace(other, script=replace(take.script)).render(renderer, labels=True)):
        if index >= half:
            yield frame


def _with_light(**factors: float) -> Callable[[Renderer, Body, Take], Iterator[AnnotatedFrame]]:
    """A case whose lights are scaled by factors; keys are fields of Light."""

    def render(renderer: Renderer, _: Body, take: Take) -> Iterator[AnnotatedFrame]:
        light = take.setting.light
        scaled: dict[str, Any] = {
            name: tuple(factor * c for c in getattr(light, name)) for name, factor in factors.items()
        }
        setting = replace(take.setting, light=replace(light, **scaled), noise=_EXTREME_NOISE)
        return replace(take, setting=setting).render(renderer, labels=True)

    return render


def _render_silence(renderer: Renderer, body: Body, take: Take) -> Iterator[AnnotatedFrame]:
    silent = random_take(body, take.person.identity.seed, len(take.script.mouth), silent=True)
    take.script = silent.script
    return silent.render(renderer, labels=True)


def _render_turned(renderer: Renderer, _: Body, take: Take) -> Iterator[AnnotatedFrame]:
    return turned(take, _TURN, dark=True).render(renderer, labels=True)


def _render_turning(renderer: Renderer, _: Body, take: Take) -> Iterator[AnnotatedFrame]:
    return turning(take, _TURNING).render(renderer, labels=True)


def _render_makeup(renderer: Renderer, body: Body, take: Take) -> Iterator[AnnotatedFrame]:
    return painted(take, body).render(renderer, labels=True)


def _render_captions(renderer: Renderer, _: Body, take: Take) -> Iterator[AnnotatedFrame]:
    return captioned(take.render(renderer, labels=True), take.person.identity.seed)


_DIM = {"key_colour": 0.06, "fill_colour": 0.06, "rim_colour": 0.06, "ambient_up": 0.06, "ambient_down": 0.06}
_HARSH = {"key_colour": 2.2, "fill_colour": 0.0, "rim_colour": 0.0, "ambient_up": 0.05, "ambient_down": 0.05}
CASES: dict[str, Callable[[Renderer, Body, Take], Iterator[AnnotatedFrame]]] = {
    "absent": _render_absent, "two": _render_two, "profile": _render_profile, "microphone": _render_microphone,
    "cut": _render_cut, "dark": _with_light(**_DIM), "harsh": _with_light(**_HARSH), "silence": _render_silence,
    "turned": _render_turned, "makeup": _render_makeup, "captions": _render_captions,
    "turning": _render_turning,
}  # fmt: skip
"""Name of each case -> how a take is rendered for it."""


def microphone(person: Person) -> Part:
    """Make a hand-held microphone that hides the lower half of the person's mouth and turns with the head."""
    mouth, _ = person.mouth_state()
    centre = mouth + np.array([0.05, -0.22, 0.42], np.float32)
    ball = uv_sphere_points(14, 20)
    path = centre + np.linspace(0, 1, 8, dtype=np.float32)[:, None] * np.array([0.35, -1.6, 0.35], np.float32)
    handle = tube_mesh(path, closed=False, thickness=0.12)
    position, normal, triangles = merge_meshes([(centre + 0.24 * ball, ball, uv_sphere_triangles(14, 20)), handle])
    count = len(position)
    blank = np.zeros((count, 4), np.float32)
    part = Part("occluder", "hair", triangles, position, normal, blank[:, :2] + 0.5, blank, blank + 1, position.copy())
    part.textures = {"albedo_map": "plain"}
    part.uniforms = {"tint": (0.02, 0.02, 0.022), "shine": 0.6, "flatness": 1.0, "density": 1.0}
    return part


def _write(folder: Path, name: str, frames: Iterator[AnnotatedFrame], take: Take) -> Path:
    script = take.script
    record = {
        "id": name, "identity": name, "case": name, "source": SOURCE, "licence": LICENCE,
        "frames": len(script.mouth), "fps": FPS, "voice": script.voice and asdict(script.voice),
        **script_record(script),
    }  # fmt: skip
    try:
        write_take(folder, take, frames, FPS, record, rendering_seal())
    except OSError as error:
        raise OutputError(f"{folder}: cannot write ({error.strerror or error})") from error
    return folder
