"""One talking clip: a plan drawn from a seed, its pictures one at a time, and the truth about each."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.synth.corpus.ground_truth import Moment, Witness
from dithead.synth.corpus.recordings import Recording
from dithead.synth.face.expression import expression_at, resting_mouth
from dithead.synth.face.motion import Motion, rotation_matrix
from dithead.synth.face.visemes import CONTROLS, CURVE_RATE, SpeakingStyle, lip_sticking, mouth_curves, sample_style
from dithead.synth.person.person import Person, frame_uniforms
from dithead.synth.scene.camera import Camera
from dithead.synth.scene.renderer import Stage
from dithead.synth.scene.setting import Setting
from dithead.synth.types import Floats, Phoneme, Speech
from dithead.synth.voice import microphone as sound
from dithead.synth.voice.delivery import effort, unhurried
from dithead.synth.voice.espeak import Voice, speak
from dithead.synth.voice.texts import SENTENCES, sample_text, wordless
from dithead.types import RGB, Wave

LANGUAGES = tuple(SENTENCES)
_OPENING = [CONTROLS.index(name) for name in ("jaw", "part")]
SILENT = 0.05  # share of clips in which nobody speaks: lips must learn to rest
WORDLESS = 0.05  # and of those in which somebody hums, laughs or hesitates


@dataclass(frozen=True)
class Script:
    """What is said, how, and the mouth that says it, cut to the clip's length."""

    wave: Wave  # 16 kHz mono, as the microphone hears it
    speech: Speech  # as it was spoken
    controls: Floats  # (N, 8) at the frame times
    change: Floats  # (N, 8) of the controls, a second
    stick: Floats  # (N,) how far the lips still hold together
    press: float
    voice: Voice | None  # None: a recording

    @property
    def phonemes(self) -> tuple[Phoneme, ...]:
        """What sounds when."""
        return self.speech.phonemes

    @property
    def text(self) -> str:
        """The words, where they are known."""
        return self.speech.text


def sample_voice(rng: np.random.Generator, male: float, language: str | None = None, age: float = 0.25) -> Voice:
    """A language, a voice of the speaker's sex, a rate and a pitch; with ``age`` 0..1 slower, and the sexes closer."""
    language = language or str(rng.choice(LANGUAGES, p=_language_odds()))
    variant = f"m{rng.integers(1, 9)}" if male > 0.5 else f"f{rng.integers(1, 6)}"
    older = age - 0.25
    pitch = rng.normal(42 + 8 * older if male > 0.5 else 58 - 20 * older, 9)
    rate = int(rng.integers(120, 205) * (1 - 0.2 * older))
    return Voice(language, variant, rate, int(np.clip(pitch, 5, 95)), int(rng.integers(25, 80)))


def _language_odds() -> NDArray[np.float64]:
    odds = np.array([6.0 if n == "en" else 3.0 if n == "en-us" else 1.0 for n in LANGUAGES])
    return odds / odds.sum()


def write_script(rng: np.random.Generator, voice: Voice, frames: int, fps: float, *,
                 style: SpeakingStyle | None = None, text: str | None = None,
                 clean: bool = False) -> Script:  # fmt: skip
    """Speak, and derive the sound and the mouth's movement for ``frames`` pictures."""
    wanted = text or _anything(rng, voice.language, frames / fps)
    silent = text is None and rng.random() < SILENT
    spoken = hush(frames / fps, voice.language) if silent else speak(wanted, voice)
    spoken = unhurried(spoken, rng) if text is None and not silent else spoken
    speech = _window(spoken, frames / fps, rng, whole=text is not None)
    return script_of(speech, rng, voice, frames, fps, style=style, clean=clean)


def _anything(rng: np.random.Generator, language: str, seconds: float) -> str:
    return wordless(rng, seconds) if rng.random() < WORDLESS else sample_text(rng, language, seconds)


def script_of(
    speech: Speech,
    rng: np.random.Generator,
    voice: Voice,
    frames: int,
    fps: float,
    *,
    style: SpeakingStyle | None = None,
    clean: bool = False,
) -> Script:
    """A speech of the clip's length as a microphone hears it, and the mouth that says it."""
    style = style or sample_style(rng)
    curves = mouth_curves(speech.phonemes, frames / fps, style)
    curves[:, _OPENING] *= effort(speech.wave, speech.rate, len(curves), CURVE_RATE)[:, None]
    wave = sound.record(speech.wave, speech.rate, rng, clean=clean)
    return Script(wave, speech, *_moves(curves, style, frames, fps), style.press, voice)


def _moves(curves: Floats, style: SpeakingStyle, frames: int, fps: float) -> tuple[Floats, Floats, Floats]:
    """Controls, their change and the lips' sticking at each frame, from ``curves`` (T, 8)."""
    change = np.gradient(curves, 1 / CURVE_RATE, axis=0)
    stick = lip_sticking(curves, style.stick_time)[:, None]
    return _at_frames(curves, frames, fps), _at_frames(change, frames, fps), _at_frames(stick, frames, fps)[:, 0]


def _at_frames(curves: Floats, frames: int, fps: float) -> Floats:
    """Curves (T, 8) at the middle of each picture's exposure: (N, 8)."""
    at = (np.arange(frames) + 0.5) / fps * CURVE_RATE
    rows = [np.interp(at, np.arange(len(curves)), curve) for curve in curves.T]
    return np.stack(rows, axis=1).astype(np.float32)


def recorded_script(recording: Recording, rng: np.random.Generator, frames: int, fps: float) -> Script:
    """A piece of a recording, or with 0 ``frames`` all of it, its sound unchanged, and the mouth that says it."""
    style, length = sample_style(rng), len(recording.speech.wave) / recording.speech.rate
    start = float(rng.uniform(0, max(length - frames / fps, 0))) if frames else 0.0
    frames = frames or max(round(length * fps), 1)
    speech = _cut(recording.speech, start, frames / fps)
    curves = recording.curves(start, frames / fps, style)
    return Script(speech.wave, speech, *_moves(curves, style, frames, fps), style.press, None)


def _cut(speech: Speech, start: float, duration: float) -> Speech:
    """``duration`` seconds from ``start``; silence beyond the end."""
    wave = speech.wave[round(start * speech.rate) :][: round(duration * speech.rate)]
    wave = np.pad(wave, (0, round(duration * speech.rate) - len(wave)))
    moved = [replace(p, start=p.start - start, end=p.end - start) for p in speech.phonemes]
    return replace(speech, wave=wave, phonemes=tuple(p for p in moved if p.end > -0.2 and p.start < duration + 0.2))


def _window(speech: Speech, duration: float, rng: np.random.Generator, *, whole: bool) -> Speech:
    """Exactly ``duration`` seconds: a ``whole`` text after some silence, or part of longer speech."""
    length = len(speech.wave) / speech.rate
    lead = 0.25 if whole else -float(rng.choice([0.0, rng.uniform(0, max(length - duration, 0.01))]))
    lead = min(lead, 0.3 * duration)
    count = round(duration * speech.rate)
    wave = np.zeros(count, np.float32)
    start = round(lead * speech.rate)
    source = speech.wave[max(-start, 0) :][: count - max(start, 0)]
    wave[max(start, 0) : max(start, 0) + len(source)] = source
    moved = [replace(p, start=p.start + lead, end=p.end + lead) for p in speech.phonemes]
    return replace(speech, wave=wave, phonemes=tuple(p for p in moved if p.end > -0.2 and p.start < duration + 0.2))


def hush(duration: float, language: str) -> Speech:
    """Nobody speaks: a wave of almost nothing and no phonemes."""
    return Speech(np.full(int(duration * 22050), 1e-5, np.float32), 22050, (), language, "")


def loudness(wave: Wave, frames: int, fps: float) -> Floats:
    """Root-mean-square level of each picture's sound, 0..1 of the loudest."""
    edges = (np.arange(frames + 1) / fps * sound.RATE).astype(int)
    pieces = [wave[a:b] for a, b in pairwise(edges)]
    level = np.array([np.sqrt(np.mean(p**2) + 1e-12) if len(p) else 0.0 for p in pieces])
    return np.asarray(level / max(level.max(), 1e-6), np.float32)


def camera_of(person: Person, setting: Setting, shake: Floats) -> Camera:
    """The setting's camera, aimed a little below the eyes."""
    eyes = np.mean([e.centre for e in person.eyes], axis=0)
    target = eyes + np.array([-setting.shift[0] + shake[0], -0.30 - setting.shift[1] + shake[1], -0.45])
    c = np.cos(setting.elevation)
    way = np.array([np.sin(setting.azimuth) * c, np.sin(setting.elevation), np.cos(setting.azimuth) * c])
    eye = target + setting.distance * way
    return Camera(tuple(float(x) for x in eye), tuple(float(x) for x in target), setting.height)  # type: ignore[arg-type]


def perform(
    stage: Stage,
    person: Person,
    setting: Setting,
    script: Script,
    motion: Motion,
    rng: np.random.Generator,
    *,
    labels: bool = False,
    rest: bool = False,
) -> Iterator[Moment]:
    """The clip's pictures in order; the person must be dressed on the stage.

    ``labels``: tell also what each pixel shows.  ``rest``: draw each picture once more with the mouth at rest.
    """
    lens = Lens(setting, stage.width, stage.height)
    witness = Witness(person, stage.width, stage.height)
    for index, controls in enumerate(script.controls):
        look = expression_at(person, script, motion, index)
        yaw, pitch = (float(a) for a in motion.gaze[index])
        person.pose(look.weights, look.contact, tongue=float(controls[6]), gaze=(yaw, pitch))
        turn = rotation_matrix(*(float(a) for a in motion.head[index]))
        camera = camera_of(person, setting, motion.camera[index])
        scene = frame_uniforms(person, setting, turn, motion.shift[index])
        grain = copy.deepcopy(rng) if rest else rng
        pixels = lens.develop(stage.draw(camera, scene), rng)
        matrix = camera.view_projection(stage.width / stage.height)
        shown = stage.labels(camera, scene) if labels else None
        moment = witness.look(pixels, turn, motion.shift[index], matrix, shown)
        moment = replace(moment, head=np.concatenate([motion.head[index], motion.shift[index]]), controls=controls)
        if rest:
            still = expression_at(person, resting_mouth(script), motion, index)
            person.pose(still.weights, still.contact, gaze=(yaw, pitch))
            scene = frame_uniforms(person, setting, turn, motion.shift[index])
            moment = replace(moment, rest=lens.develop(stage.draw(camera, scene), grain))
        yield moment


class Lens:
    """What a camera does to a clean picture: blur, falloff, colour, sensor noise."""

    def __init__(self, setting: Setting, width: int, height: int) -> None:
        self.setting = setting
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]  # type: ignore[misc]
        self.falloff = (1 - setting.vignette * 0.5 * (x**2 + y**2))[..., None].astype(np.float32)

    def develop(self, pixels: RGB, rng: np.random.Generator) -> RGB:
        """The picture as this camera would have taken it."""
        setting = self.setting
        image = pixels.astype(np.float32)
        if setting.blur > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), setting.blur)
        grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
        image = grey[..., None] + (image - grey[..., None]) * setting.saturation
        fine = rng.standard_normal(image.shape[:2], dtype=np.float32)
        coarse = cv2.resize(rng.standard_normal((image.shape[0] // 2, image.shape[1] // 2, 3), dtype=np.float32),
                            (image.shape[1], image.shape[0]))  # fmt: skip
        image = image * self.falloff + setting.noise * (0.7 * fine[..., None] + 0.5 * coarse)
        return np.asarray(np.clip(image + 0.5, 0, 255), np.uint8)
