"""One person in one setting with something to say, ready to be performed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dithead.synth.corpus.ground_truth import Moment
from dithead.synth.corpus.talking_clip import Script, perform
from dithead.synth.face.motion import Motion
from dithead.synth.head.parts import Part
from dithead.synth.person.person import Person
from dithead.synth.scene.renderer import Stage
from dithead.synth.scene.setting import Setting


@dataclass
class Take:
    """Everything a clip consists of before it is drawn; ``rng`` paints the skin and makes the camera's noise."""

    person: Person
    setting: Setting
    script: Script
    motion: Motion
    rng: np.random.Generator
    extra: tuple[Part, ...] = ()
    quality: float = 16.0  # H.264 crf
    shadows: bool = True

    def perform(self, stage: Stage, *, labels: bool = False, rest: bool = False) -> Iterator[Moment]:
        """Dress the person on ``stage`` and play. ``labels`` and ``rest``: see `clip.perform`."""
        self.person.place_on(stage, self.setting, self.rng)
        stage.add(self.extra)
        if not self.shadows:
            self._open_to_all_light(stage)
        yield from perform(
            stage, self.person, self.setting, self.script, self.motion, self.rng, labels=labels, rest=rest
        )

    def _open_to_all_light(self, stage: Stage) -> None:
        for part in self.person.parts:
            part.light[:, [0, 1, 3]] = 1.0
        stage.relight()
