"""Check that a clip's picture speaks its sound, and measure how late the sound is, with the sync expert.

Networks that learn from speech learn nothing from sound that is two frames late, and are harmed by sound of another
speaker. Letters: N frames, S crop side, K side of the mouth picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dithead.prepare.settings import PrepareConfig
from dithead.types import RGB, Wave

if TYPE_CHECKING:
    from dithead.critics.sync_expert import SyncExpert

SILENCE_LEVEL = 0.002
"""Root mean square of the samples (-54 dB of full scale) below which nobody speaks. Our choice."""
MIN_FRAMES = 50
"""Frames (two seconds) from which the measurement is trusted: shorter clips are neither moved nor rejected for it."""
_MIN_MEASURED = 5  # frames that one window of the sync expert takes


@dataclass(frozen=True)
class SyncMeasurement:
    """What the sync expert measured of a clip."""

    offset: int
    """Frames by which the sound was late (negative: early) in the raw video."""
    confidence: float
    """How sure that is; near 0, the picture does not speak this sound."""
    corrected: bool = False
    """The sound was moved by that offset, so that it is in step now."""


class SyncChecker:
    """Collect the mouths of a clip one crop at a time, then measure sounds against them.

    Args:
        landmarks: (N, 478, 2) of all frames, in crop pixels.
        config: Settings of the dataset. Clips of another frame rate than 25 a second are not measured.
    """

    def __init__(self, landmarks: NDArray[np.float32], config: PrepareConfig) -> None:
        from dithead.critics.sync_expert import FPS
        from dithead.critics.sync_offset import mouth_centre

        self._config, self._centre = config, mouth_centre(landmarks)
        self._mouths: list[NDArray[np.uint8]] | None = [] if config.fps == FPS else None

    def add_crop(self, crop: RGB) -> None:
        """Take the next crop (S, S, 3)."""
        from dithead.critics.sync_offset import crop_mouths

        if self._mouths is not None:
            self._mouths.append(crop_mouths(crop[None], self._centre, _expert().config.side)[0])

    def measure(self, wave: Wave) -> SyncMeasurement | None:
        """Measure samples (n,) at 16 kHz against the mouths; None for a clip that is too short or of another rate."""
        from dithead.critics.sync_expert import MAX_OFFSET
        from dithead.critics.sync_offset import find_mouths_offset

        if self._mouths is None or len(self._mouths) < _MIN_MEASURED:
            return None
        with _one_thread():
            found = find_mouths_offset(np.stack(self._mouths), wave, _expert())
        config, inside = self._config, abs(found.frames) < MAX_OFFSET  # at the edge, the truth may lie beyond it
        sure = len(self._mouths) >= MIN_FRAMES and found.confidence >= config.offset_confidence and inside
        move = config.correct_offset and sure and found.frames != 0
        return SyncMeasurement(found.frames, round(found.confidence, 3), move)

    def rejection(self, measured: SyncMeasurement | None, wave: Wave) -> str:
        """Return why a clip is rejected after its measurement, or an empty string.

        A mouth that rests while nobody speaks is right, and the clip is kept.

        Args:
            measured: What ``measure`` found in ``wave``.
            wave: Samples (n,) of the clip.
        """
        least = self._config.min_confidence
        if measured is None or self._mouths is None or len(self._mouths) < MIN_FRAMES or measured.confidence >= least:
            return ""
        if float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) < SILENCE_LEVEL:
            return ""
        return f"the picture does not speak: confidence {measured.confidence:.3f}, at least {least:g} is needed"


def _expert() -> SyncExpert:
    from dithead.critics.sync_offset import load_shipped_expert

    return load_shipped_expert()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: workers run one per core already, and it gives the same bits on all machines alike."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
