"""Render one chosen person who says one chosen text, at presentation quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dithead.synth.corpus.clip_credentials import rendering_seal
from dithead.synth.corpus.clip_files import write_video
from dithead.synth.corpus.script import ClipTiming, frame_loudness, write_script
from dithead.synth.corpus.take import Take
from dithead.synth.face.motion import sample_motion
from dithead.synth.face.visemes import SpeakingStyle
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import Identity, sample_identity
from dithead.synth.person.person import Person
from dithead.synth.scene.renderer import Renderer
from dithead.synth.scene.setting import sample_setting
from dithead.synth.skin.paint import luminance
from dithead.synth.types import Floats
from dithead.synth.voice.espeak import EspeakVoice

_SUPERSAMPLE = 2.0  # finer than in corpora, where pictures are small and many
_SALT = 0xC1  # keeps the random numbers of a presenter apart from those of a corpus with the same seed


@dataclass(frozen=True)
class PresenterOptions:
    """Options of `present`."""

    seed: int = 0  # of the person, the setting and the motion
    identity: Identity | None = None  # the person; None draws one from the seed
    size: int = 512  # pixels, side of the picture
    seconds: float = 5.0
    fps: int = 25
    quality: float = 22.0  # crf of H.264
    credentials: bool = True  # sign the video as rendered; without, its bytes are the same in every run
    setting: Mapping[str, Any] = field(default_factory=dict)  # fields of Setting that are not drawn, such as height


@dataclass(frozen=True)
class PresentResult:
    """What `present` wrote, how long it is, and the exact lip aperture of each frame."""

    output: Path
    seconds: float
    aperture: Floats  # (N,) gap between the inner lips / distance of the outer eye corners


def present(
    output: str | Path,
    text: str,
    voice: EspeakVoice,
    *,
    head_model: str | Path | None = None,
    options: PresenterOptions | None = None,
) -> PresentResult:
    """Render a synthetic presenter.

    Args:
        output: The video file with sound that is written.
        text: What is said.
        voice: Who says it.
        head_model: Folder of a parametric head; None takes the one that ships.
        options: Person, size, length and quality; None takes the defaults.

    Returns:
        The file, its length and the exact lip apertures.

    Raises:
        DataError: The head model cannot be read.
        DitheadError: espeak-ng or an OpenGL driver is missing.
        OutputError: The file cannot be written.
    """
    options = options or PresenterOptions()
    seal = rendering_seal(enabled=options.credentials)
    take = _plan(text, voice, Body(load_head(head_model), fine=True), options)
    with Renderer(options.size, options.size, supersample=_SUPERSAMPLE) as renderer:
        rendered = take.render(renderer)
        frames = write_video(Path(output), rendered, take.script.wave, options.fps, options.quality, seal)
    aperture = np.array([frame.aperture for frame in frames], np.float32)
    return PresentResult(Path(output), len(frames) / options.fps, aperture)


def _plan(text: str, voice: EspeakVoice, body: Body, options: PresenterOptions) -> Take:
    identity = options.identity or sample_identity(options.seed, body.head.key_names)
    rng = np.random.default_rng([_SALT, options.seed])
    timing = ClipTiming(round(options.seconds * options.fps), options.fps)
    setting = sample_setting(options.seed, tone=luminance(identity.tone))
    setting = replace(setting, **{"noise": 1.0, "blur": 0.0, **options.setting})
    script = write_script(rng, voice, timing, text=text, style=SpeakingStyle(), clean=True)
    level = frame_loudness(script.wave, timing.frames, timing.fps)
    motion = sample_motion(rng, timing.frames, timing.fps, level)
    return Take(Person(body, identity), setting, script, motion, rng)
