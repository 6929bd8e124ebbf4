"""Clips made to be difficult, each with its truth: for tests of everything that reads video.

absent: the person leaves for a while.  two: another person sits beside.  profile: seen from the side.
microphone: something before the mouth.  cut: another person in another place from the middle on.
dark, harsh: extreme light.  silence: nobody speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import ConfigError, OutputError
from dithead.synth.corpus.clip_files import write_take
from dithead.synth.corpus.ground_truth import Moment
from dithead.synth.corpus.people import LICENCE, SOURCE
from dithead.synth.corpus.take import Take
from dithead.synth.corpus.talking_clip import hush, loudness, sample_voice, script_of, write_script
from dithead.synth.face.motion import sample_motion
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.eyeball import sphere_directions, sphere_triangles
from dithead.synth.head.glasses import merge_meshes, tube_mesh
from dithead.synth.head.identity import sample_identity
from dithead.synth.head.parts import Part
from dithead.synth.person.person import Person
from dithead.synth.scene.renderer import Stage
from dithead.synth.scene.setting import sample_setting
from dithead.synth.skin.paint import luminance

FPS = 25


@dataclass(frozen=True)
class HardResult:
    """Where the cases are and what they are called."""

    output: Path
    cases: list[str]


def synth_hard_cases(
    output: str | Path, *, head_model: str | Path, seed: int = 0, size: int = 288, seconds: float = 2.0
) -> list[Path]:
    """Write every case as ``output/CASE/{clip.mp4, truth.npz, clip.json}``; returns the folders."""
    if size < 64 or size % 2 or seconds * FPS < 4:
        raise ConfigError("size must be even and at least 64, and seconds enough for four pictures")
    body = Body(load_head(head_model))
    folders = []
    with Stage(size, size) as stage:
        for number, (name, case) in enumerate(CASES.items()):
            take = cast(body, seed * 100 + number, round(seconds * FPS))
            folders.append(_write(Path(output) / name, name, case(stage, body, take), take))
    return folders


def cast(body: Body, seed: int, frames: int, *, silent: bool = False) -> Take:
    """A random person with a random speech."""
    rng = np.random.default_rng([0x4A, seed])
    who = sample_identity(seed, body.head.key_names)
    setting = sample_setting(seed, tone=luminance(who.tone))
    voice = sample_voice(rng, who.male, age=who.age)
    if silent:
        script = script_of(hush(frames / FPS, voice.language), rng, voice, frames, FPS)
    else:
        script = write_script(rng, voice, frames, FPS)
    motion = sample_motion(rng, frames, FPS, loudness(script.wave, frames, FPS))
    return Take(Person(body, who), setting, script, motion, rng)


def _absent(stage: Stage, _: Body, take: Take) -> Iterator[Moment]:
    """Gone for the middle third."""
    count = len(take.script.controls)
    for index, moment in enumerate(take.perform(stage, labels=True)):
        gone = count // 3 <= index < 2 * count // 3
        yield _empty(stage, moment) if gone else moment


def _empty(stage: Stage, moment: Moment) -> Moment:
    nothing = np.zeros(moment.pixels.shape[:2], np.uint8)
    return replace(moment, pixels=stage.empty(), labels=nothing, visible=False, aperture=0.0)


def _two(stage: Stage, body: Body, take: Take) -> Iterator[Moment]:
    """A listener to the right; the truth is the speaker's, who sits on the left."""
    listener = cast(body, take.person.identity.seed + 5000, len(take.script.controls), silent=True)
    beside = [moment.pixels for moment in listener.perform(stage, labels=True)]
    for moment, other in zip(take.perform(stage, labels=True), beside, strict=True):
        labels = np.zeros(other.shape[:2], np.uint8)
        both = np.hstack([moment.labels if moment.labels is not None else labels, labels])
        yield replace(moment, pixels=np.hstack([moment.pixels, other]), labels=both)


def _profile(stage: Stage, _: Body, take: Take) -> Iterator[Moment]:
    return replace(take, setting=replace(take.setting, azimuth=1.35)).perform(stage, labels=True)


def _microphone(stage: Stage, _: Body, take: Take) -> Iterator[Moment]:
    return replace(take, extra=(microphone(take.person),)).perform(stage, labels=True)


def _cut(stage: Stage, body: Body, take: Take) -> Iterator[Moment]:
    """The first half of one take, the second half of another."""
    half = len(take.script.controls) // 2
    other = cast(body, take.person.identity.seed + 7000, len(take.script.controls))
    first = [moment for _, moment in zip(range(half), take.perform(stage, labels=True), strict=False)]
    yield from first
    for index, moment in enumerate(replace(other, script=replace(take.script)).perform(stage, labels=True)):
        if index >= half:
            yield moment


def _lit(**changes: float) -> Callable[[Stage, Body, Take], Iterator[Moment]]:
    def case(stage: Stage, _: Body, take: Take) -> Iterator[Moment]:
        light = take.setting.light
        scaled: dict[str, Any] = {
            name: tuple(factor * c for c in getattr(light, name)) for name, factor in changes.items()
        }
        setting = replace(take.setting, light=replace(light, **scaled), noise=6.0)
        return replace(take, setting=setting).perform(stage, labels=True)

    return case


def _silence(stage: Stage, body: Body, take: Take) -> Iterator[Moment]:
    quiet = cast(body, take.person.identity.seed, len(take.script.controls), silent=True)
    take.script = quiet.script
    return quiet.perform(stage, labels=True)


_DIM = {"key_colour": 0.06, "fill_colour": 0.06, "rim_colour": 0.06, "ambient_up": 0.06, "ambient_down": 0.06}
_HARD = {"key_colour": 2.2, "fill_colour": 0.0, "rim_colour": 0.0, "ambient_up": 0.05, "ambient_down": 0.05}
CASES: dict[str, Callable[[Stage, Body, Take], Iterator[Moment]]] = {
    "absent": _absent, "two": _two, "profile": _profile, "microphone": _microphone, "cut": _cut,
    "dark": _lit(**_DIM), "harsh": _lit(**_HARD), "silence": _silence,
}  # fmt: skip


def microphone(person: Person) -> Part:
    """A hand-held microphone that hides the lower half of the mouth; it turns with the head."""
    mouth, _ = person.mouth_state()
    centre = mouth + np.array([0.05, -0.22, 0.42], np.float32)
    ball = sphere_directions(14, 20)
    path = centre + np.linspace(0, 1, 8, dtype=np.float32)[:, None] * np.array([0.35, -1.6, 0.35], np.float32)
    handle = tube_mesh(path, closed=False, thickness=0.12)
    position, normal, triangles = merge_meshes([(centre + 0.24 * ball, ball, sphere_triangles(14, 20)), handle])
    count = len(position)
    blank = np.zeros((count, 4), np.float32)
    part = Part("occluder", "hair", triangles, position, normal, blank[:, :2] + 0.5, blank, blank + 1, position.copy())
    part.textures = {"albedo_map": "plain"}
    part.uniforms = {"tint": (0.02, 0.02, 0.022), "shine": 0.6, "flatness": 1.0, "density": 1.0}
    return part


def _write(folder: Path, name: str, moments: Iterator[Moment], take: Take) -> Path:
    script = take.script
    record = {
        "id": name, "identity": name, "case": name, "source": SOURCE, "licence": LICENCE,
        "frames": len(script.controls), "fps": FPS, "voice": script.voice and asdict(script.voice), "text": script.text,
        "phonemes": [[p.ipa, round(p.start, 4), round(p.end, 4)] for p in script.phonemes],
    }  # fmt: skip
    try:
        write_take(folder, take, moments, FPS, record)
    except OSError as error:
        raise OutputError(f"{folder}: cannot write ({error.strerror or error})") from error
    return folder
