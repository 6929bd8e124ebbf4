"""Does a clip's picture speak its sound, and how late is the sound? Measured by the sync expert, and put right.

Networks that learn from speech learn nothing from a sound that is two frames late, and harm from one that belongs to
somebody else. Letters: N frames, S crop side, K side of the mouth picture.
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

QUIET = 0.002  # root mean square of the samples: -54 dB of full scale; below it nothing is said
FEWEST = 50  # frames: two seconds; what is shorter is measured, but neither moved nor rejected for it


@dataclass(frozen=True)
class Speech:
    """What the scoring expert found in a clip.

    ``offset``: frames by which its sound ran late (negative: early), as it came.  ``confidence``: near 0 the picture
    does not speak this sound.  ``corrected``: the sound was moved by that offset, so that it is in step now.
    """

    offset: int
    confidence: float
    corrected: bool = False


class Listener:
    """Takes a clip's crops one at a time, keeps only the mouths, then says how late a sound is for them."""

    def __init__(self, landmarks: NDArray[np.float32], config: PrepareConfig) -> None:
        """``landmarks`` (N, 478, 2) in crop pixels. Clips of another rate than 25 a second are not listened to."""
        from dithead.critics.sync_expert import FPS
        from dithead.critics.sync_offset import lip_centre

        self._config, self._centre = config, lip_centre(landmarks)
        self._mouths: list[NDArray[np.uint8]] | None = [] if config.fps == FPS else None

    def see(self, crop: RGB) -> None:
        """The next crop (S, S, 3)."""
        from dithead.critics.sync_offset import mouth_pictures

        if self._mouths is not None:
            self._mouths.append(mouth_pictures(crop[None], self._centre, _expert().config.side)[0])

    def hear(self, wave: Wave) -> Speech | None:
        """What the clip says of ``wave``, its samples (n,) as they came; None where it was not listened to."""
        from dithead.critics.sync_expert import MAX_OFFSET
        from dithead.critics.sync_offset import offset_of_mouths

        if self._mouths is None or len(self._mouths) < 5:
            return None
        with _one_thread():
            found = offset_of_mouths(np.stack(self._mouths), wave, _expert())
        settings, inside = self._config, abs(found.frames) < MAX_OFFSET  # at the edge, the truth may lie beyond it
        sure = len(self._mouths) >= FEWEST and found.confidence >= settings.offset_confidence and inside
        move = settings.correct_offset and sure and found.frames != 0
        return Speech(found.frames, round(found.confidence, 3), move)

    def reject(self, speech: Speech | None, wave: Wave) -> str:
        """Why a clip is none because of what was heard in ``wave`` (n,), or an empty string.

        A mouth that rests while nothing is said does as it should, and is kept.
        """
        least = self._config.min_confidence
        if speech is None or self._mouths is None or len(self._mouths) < FEWEST or speech.confidence >= least:
            return ""
        if float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) < QUIET:
            return ""
        return f"the picture does not speak: confidence {speech.confidence:.3f}, at least {least:g} is needed"


def _expert() -> SyncExpert:
    from dithead.critics.sync_offset import shipped_expert

    return shipped_expert()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Workers run one per core already; and one thread gives the same bits on every machine of a kind."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
