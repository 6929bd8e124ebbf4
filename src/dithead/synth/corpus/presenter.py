"""One chosen person saying one chosen text, at presentation quality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dithead.synth.corpus.clip_files import write_video
from dithead.synth.corpus.talking_clip import loudness, perform, write_script
from dithead.synth.face.motion import sample_motion
from dithead.synth.face.visemes import SpeakingStyle
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.identity import Identity, sample_identity
from dithead.synth.person.person import Person
from dithead.synth.scene.renderer import Stage
from dithead.synth.scene.setting import sample_setting
from dithead.synth.skin.paint import luminance
from dithead.synth.types import Floats
from dithead.synth.voice.espeak import Voice


@dataclass(frozen=True)
class PresentResult:
    """What was written, how long it is, and the exact lip aperture of each frame."""

    output: Path
    seconds: float
    aperture: Floats  # (N,) gap between the inner lips / distance of the outer eye corners


def present(
    output: str | Path,
    text: str,
    *,
    head_model: str | Path,
    voice: Voice,
    seed: int = 0,
    identity: Identity | None = None,
    size: int = 512,
    seconds: float = 5.0,
    fps: int = 25,
    quality: float = 22.0,
    changes: dict[str, Any] | None = None,
) -> PresentResult:
    """Render a synthetic presenter to ``output`` (a video file with sound).

    identity: the person; drawn from ``seed`` when None.  changes: fields of the setting to fix, such as height.
    Raises DataError without a head model and DitheadError without espeak-ng or an OpenGL driver.
    """
    body = Body(load_head(head_model), fine=True)
    who = identity or sample_identity(seed, body.head.key_names)
    rng = np.random.default_rng([0xC1, seed])
    frames = round(seconds * fps)
    setting = replace(sample_setting(seed, tone=luminance(who.tone)), noise=1.0, blur=0.0, **(changes or {}))
    script = write_script(rng, voice, frames, fps, text=text, style=SpeakingStyle(), clean=True)
    motion = sample_motion(rng, frames, fps, loudness(script.wave, frames, fps))
    person = Person(body, who)
    with Stage(size, size, supersample=2.0) as stage:
        person.place_on(stage, setting, rng)
        moments = write_video(Path(output), perform(stage, person, setting, script, motion, rng), script, fps, quality)
    return PresentResult(Path(output), frames / fps, np.array([m.aperture for m in moments], np.float32))
