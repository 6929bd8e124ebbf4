"""How a person speaks, from the source's own sound: what the audio encoder tells of their lips, beside what they do.

Encoders err for every voice by some offset and some factor. The source shows both: what is told at moments whose
mouths are known. Where it has no speech, what was learned in training stands in. Letters: N moments, K numbers told.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dithead.errors import MediaError
from dithead.generate.hearing import Hearing, heard_by

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

STILL_MOUTH = 0.012  # spread of the aperture below which a source says nothing about how its person speaks
EXPRESSION = (0.5, 2.2)  # how much more or less widely than told a mouth may move
_FEW = 16  # moments that count as much as what was learned
_AT_ONCE = 64


class Habit(NamedTuple):
    """What is told of a person's lips on average (K,), and the spread of the opening told."""

    told: NDArray[np.float32]
    spread: float

    def expression(self, opening: float, unit: float) -> float:
        """How widely to move the lips, from the spread of the source's aperture and what 1 of the opening told means.

        It is one number for a whole run, so that the mouth opens as this person's does and yet by the new speech alone.
        """
        if self.spread * unit <= 0 or opening < STILL_MOUTH:
            return 1.0
        return float(np.clip(opening / (self.spread * unit), *EXPRESSION))


def learned(talker: TalkingHead) -> Habit:
    """Of the people the model learned from."""
    config = talker.config
    told = talker.dit.lip_centre.float().cpu().numpy() if config.dit.lip_targets else np.zeros(0, np.float32)
    return Habit(told, config.opening / config.opening_unit if config.opening_unit else 0.0)


def own_sound(talker: TalkingHead, video: Path, store: Path) -> Hearing | None:
    """What ``talker`` hears in a video's own sound, kept in ``store``; None where nothing can be heard."""
    try:
        heard = heard_by(talker, video, store)
        return heard if heard.around(np.zeros(1))[0].numel() else None
    except MediaError:
        return None


@torch.inference_mode()
def habit_of(talker: TalkingHead, sound: Hearing, moments: NDArray[np.float64]) -> Habit | None:
    """Of the person who speaks in ``sound`` at ``moments`` (N,) seconds; None where nobody does."""
    usual, unit = learned(talker), talker.config.opening_unit
    if not unit or not len(moments):
        return None
    parts = [sound.around(moments[k : k + _AT_ONCE]) for k in range(0, len(moments), _AT_ONCE)]
    lips = [talker.lips(talker.audio_window(*part)) for part in parts]
    told = torch.cat([part for part in lips if part is not None]).float().cpu().numpy()
    mean, spread = told.mean(axis=0), float(told[:, -1].std())
    if spread * unit < STILL_MOUTH:
        return None
    own = len(told) / (len(told) + _FEW)
    return Habit((own * mean + (1 - own) * usual.told).astype(np.float32), own * spread + (1 - own) * usual.spread)
