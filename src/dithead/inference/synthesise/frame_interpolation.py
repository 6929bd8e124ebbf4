"""The frame-interpolation pass: every second mouth is drawn, those between are moved there along optical flow.

It works on crops, so the audio's timing is never touched: a frame between two drawn ones shows the mouth half-way
between theirs. That steadies a jittery mouth, and loses what lasts a single frame, such as a short p or b. Letters: B
frames, S crop side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.face.optical_flow import between
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.types import RGB


class FrameInterpolator:
    """Draws like a ``MouthMaker``, but only every second frame of a run, its first and its last."""

    def __init__(self, sampler: MouthSampler) -> None:
        self.sampler, self.talker, self.reference_bank = sampler, sampler.talker, sampler.reference_bank
        self._last: dict[int, tuple[float, RGB]] = {}  # time and mouth of the last frame drawn of each face

    def begin(self) -> None:
        """Forget what was drawn: the next frame of every face is drawn, not moved."""
        self._last = {}

    def room(self, batch: int, *, first: bool) -> int:
        """How many frames the next ``draw`` should get: so many that its last one is drawn in any case."""
        drawn = self.sampler.room((batch + first) // 2, first=first)
        return max(3, 2 * drawn - 1) if first else max(2, 2 * drawn)

    def target_openings(self, tracklet: Tracklet, times: NDArray[np.float64]) -> list[float] | None:
        """See ``MouthMaker.meant``."""
        return self.sampler.target_openings(tracklet, times)

    def save_state(self, path: Path) -> None:
        """As ``MouthMaker.save_state``: parts of the work begin with a drawn frame, so there is nothing to add."""
        self.sampler.save_state(path)

    def load_state(self, path: Path) -> None:
        self.sampler.load_state(path)

    def draw(
        self, tracklet: Tracklet, crops: NDArray[np.uint8], times: NDArray[np.float64], frames: Sequence[int]
    ) -> NDArray[np.uint8]:
        """(B, S, S, 3) mouths for crops (B, S, S, 3) of ``run`` heard at ``times`` (B,); the last one is always drawn.

        frames: see ``MouthMaker.draw``. Calls must follow one another in time, with as many frames as ``room`` says,
        or fewer at a run's end.
        """
        last = self._last.get(tracklet.face)
        first = 0 if last is None else 1
        keys = sorted({*range(first, len(crops), 2), len(crops) - 1})
        made = self.sampler.draw(tracklet, crops[keys], times[keys], [frames[k] for k in keys])
        drawn = dict(zip(keys, made, strict=True))
        known = {k: (float(times[k]), mouth) for k, mouth in drawn.items()}
        if last is not None:
            known[-1] = last
        self._last[tracklet.face] = known[len(crops) - 1]
        every = [
            drawn[k] if k in drawn else between(*known[k - 1], *known[k + 1], float(times[k]))
            for k in range(len(crops))
        ]
        return np.stack(every)
