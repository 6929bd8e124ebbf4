"""Features of realism that can be left out of a corpus, one at a time, to measure what each is worth.

Everything else stays as it is for the same seed: the same people in the same places, saying the same words (except
without ``voices``, which changes what is said).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from dithead.errors import ConfigError
from dithead.synth.corpus.script import ClipTiming, Script, frame_loudness
from dithead.synth.corpus.take import Take
from dithead.synth.face.units import CONTROLS, units_of
from dithead.synth.face.visemes import OPENING
from dithead.synth.scene.setting import Light, Setting
from dithead.synth.types import Floats
from dithead.synth.voice.espeak import EspeakVoice
from dithead.synth.voice.microphone import simulate_microphone

FEATURES = {
    "people": "one face for everybody",
    "skin": "skin without relief, pores and shine",
    "shadow": "no ambient occlusion, no shadow of hair, nose and brows",
    "light": "one soft light and one exposure for everybody",
    "camera": "no blur, noise, vignette or colour cast, and light compression",
    "motion": "head and camera still, face to the front",
    "expression": "no smile, blink, brow or gaze",
    "hairline": "hair ends in a line, without strands",
    "folds": "no folds with a smile or raised brows",
    "lids": "no shadow and no wet rim of the lids on the eyes",
    "inside": "no teeth and no tongue",
    "visemes": "the jaw follows the loudness and lips do nothing else",
    "voices": "one voice in one language",
    "microphone": "the voice as it was synthesised: no room, noise or equaliser",
}
"""Every feature that can be left out, and what a clip looks or sounds like without it."""

DETAILS = {"hairline": {"hairline": 0.0, "strands": 0.0}, "folds": {"folds": 0.0}, "lids": {"lid_shadow": 0.0}}
"""Features that are left out by setting uniforms of the shaders: feature -> uniform -> value."""

ONE_PERSON = 1_000_003
"""Seed of the person whom everybody looks like without ``people``."""

ONE_VOICE = EspeakVoice("en", "m3", 165, 50, 50)
"""The voice that everybody has without ``voices``."""

_LIGHT_COMPRESSION = 12.0  # crf of H.264 without ``camera``
_PLAIN_LIGHT = Light(
    key_direction=(0.2, 0.4, 0.894), key_colour=(1.7, 1.7, 1.7), key_spread=0.4,
    fill_direction=(-0.6, 0.1, 0.79), fill_colour=(0.5, 0.5, 0.5), rim_direction=(-0.6, 0.3, -0.74),
    rim_colour=(0.0, 0.0, 0.0), ambient_up=(0.4, 0.4, 0.4), ambient_down=(0.25, 0.25, 0.25),
    white_balance=(1.0, 1.0, 1.0), exposure=0.85, contrast=0.4,
)  # fmt: skip


def check_features(features: Collection[str]) -> tuple[str, ...]:
    """Return ``features`` in a fixed order, each once; raises ConfigError for one that does not exist."""
    if unknown := sorted(set(features) - set(FEATURES)):
        raise ConfigError(f"no feature called {unknown[0]!r} can be left out; there are {', '.join(FEATURES)}")
    return tuple(sorted(set(features)))


def leave_out(take: Take, without: Collection[str]) -> Take:
    """Leave features out of a take.

    Args:
        take: Is changed in place.
        without: Names of `FEATURES`; ``people`` and ``voices`` must have been left out when the take was made.

    Returns:
        The same take.
    """
    _leave_out_of_person(take, without)
    if "motion" in without:
        still = np.zeros_like(take.motion.head)
        take.motion = replace(take.motion, head=still, shift=still, camera=np.zeros_like(take.motion.camera))
    if "expression" in without:
        zero = {name: np.zeros_like(curve) for name, curve in take.motion.weights.items()}
        take.motion = replace(take.motion, weights=zero, gaze=np.zeros_like(take.motion.gaze))
    take.setting = _leave_out_of_setting(take.setting, without)
    take.script = _leave_out_of_script(take.script, without)
    take.shadows = take.shadows and "shadow" not in without
    take.quality = _LIGHT_COMPRESSION if "camera" in without else take.quality
    return take


def _leave_out_of_person(take: Take, without: Collection[str]) -> None:
    person = take.person
    if "skin" in without:
        skin = next(part for part in person.parts if part.name == "skin")
        skin.uniforms |= {"relief": 0.0, "gloss": 0.0, "lip_gloss": 0.0}
    for name in sorted(DETAILS.keys() & set(without)):
        for part in person.parts:
            part.uniforms |= {k: v for k, v in DETAILS[name].items() if k in part.uniforms}
    if "inside" in without:
        person.parts = [part for part in person.parts if part.name not in ("teeth", "tongue")]


def _leave_out_of_setting(setting: Setting, without: Collection[str]) -> Setting:
    if "camera" in without:
        neutral = replace(setting.light, white_balance=(1.0, 1.0, 1.0))
        setting = replace(setting, noise=0.0, blur=0.0, saturation=1.0, vignette=0.0, handheld=0.0, light=neutral)
    if "motion" in without:
        setting = replace(setting, azimuth=0.0, elevation=0.0)
    if "light" in without:
        setting = replace(setting, light=_PLAIN_LIGHT)
    return setting


def _leave_out_of_script(script: Script, without: Collection[str]) -> Script:
    utterance = script.utterance
    if "microphone" in without:
        clean = simulate_microphone(utterance.wave, utterance.rate, np.random.default_rng(0), clean=True)
        script = replace(script, wave=clean)
    if "visemes" in without:
        timing = ClipTiming(len(script.mouth), len(script.mouth) / (len(utterance.wave) / utterance.rate))
        units = units_of(jaw_from_loudness(frame_loudness(script.wave, timing.frames, timing.fps)), 0.0)
        script = replace(script, mouth=replace(script.mouth.at_rest(), units=units))
    return script


def jaw_from_loudness(level: Floats) -> Floats:
    """Return controls (N, 11) of a mouth that only opens, with the ``level`` (N,) of the sound, 0 to 1."""
    controls = np.zeros((len(level), len(CONTROLS) + 1), np.float32)
    padded = np.pad(np.sqrt(level), 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    controls[:, OPENING] = np.outer(np.clip(smooth - 0.1, 0, 1), (0.27, 0.21, 0.15))
    return controls
