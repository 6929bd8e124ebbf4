"""Interpolates mouths along optical flow, so that only every second one is drawn.

It works on crops, so the timing of the speech is never touched: a frame between two drawn ones shows the mouth half-way
between theirs. That steadies a jittery mouth and loses what lasts a single frame, such as a short p or b. Letters: B
frames, S crop side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.face.optical_flow import picture_at
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.reference_bank import FrameReference
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.types import RGB


class FrameInterpolator:
    """Draws like a ``MouthSampler``, but only every second frame of a tracklet, its first and its last."""

    def __init__(self, sampler: MouthSampler) -> None:
        self.sampler = sampler
        self._last: dict[int, tuple[float, RGB]] = {}  # by face: time and mouth of the last frame drawn

    @property
    def size(self) -> int:
        """Crop side S."""
        return self.sampler.size

    def begin(self) -> None:
        """Forget what was drawn: the next frame of every face is drawn, not interpolated."""
        self._last = {}

    def frames_at_once(self, batch: int, *, first: bool) -> int:
        """Return how many frames the next ``draw`` should get, so that the last one is drawn and not interpolated.

        Args:
            batch: Frames that are held at once, at most.
            first: They are the first of a tracklet.
        """
        drawn = self.sampler.frames_at_once((batch + first) // 2, first=first)
        return max(3, 2 * drawn - 1) if first else max(2, 2 * drawn)

    def expect(self, tracklet: Tracklet) -> None:
        """See ``MouthSampler.expect``."""
        self.sampler.expect(tracklet)

    def see(self, tracklet: Tracklet, crops: NDArray[np.uint8], times: NDArray[np.float64]) -> None:
        """Do nothing: which of the frames are drawn is not known yet, and ``draw`` prepares those."""

    def hear(self, tracklet: Tracklet, times: NDArray[np.float64]) -> None:
        """Do nothing, see ``see``."""

    def hear_ahead(self, times: NDArray[np.float64]) -> None:
        """Do nothing, see ``see``."""

    def frame_references(
        self, tracklet: Tracklet, times: NDArray[np.float64], frames: Sequence[int] | None = None
    ) -> list[FrameReference | None]:
        """See ``MouthSampler.frame_references``."""
        return self.sampler.frame_references(tracklet, times, frames)

    def save_state(self, path: Path) -> None:
        """Write the sampler's state; every segment begins with a drawn frame, so interpolation itself has none."""
        self.sampler.save_state(path)

    def load_state(self, path: Path) -> None:
        """See ``MouthSampler.load_state``."""
        self.sampler.load_state(path)

    def draw(
        self, tracklet: Tracklet, crops: NDArray[np.uint8], times: NDArray[np.float64], frames: Sequence[int]
    ) -> NDArray[np.uint8]:
        """Draw or interpolate mouths; the last one is always drawn. See ``MouthSampler.draw`` for the arguments.

        Calls must follow one another in time, with as many frames as ``frames_at_once`` returns, or fewer at a
        tracklet's end.
        """
        last = self._last.get(tracklet.face)
        first = 0 if last is None else 1
        keys = sorted({*range(first, len(crops), 2), len(crops) - 1})
        mouths = self.sampler.draw(tracklet, crops[keys], times[keys], [frames[k] for k in keys])
        drawn = dict(zip(keys, mouths, strict=True))
        known = {k: (float(times[k]), mouth) for k, mouth in drawn.items()}
        if last is not None:
            known[-1] = last
        self._last[tracklet.face] = known[len(crops) - 1]
        every = [
            drawn[k] if k in drawn else picture_at(float(times[k]), known[k - 1], known[k + 1])
            for k in range(len(crops))
        ]
        return np.stack(every)
