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
from torch import Tensor

from dithead.errors import MediaError
from dithead.inference.synthesise.audio_features import Hearing, heard_by

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

STILL_MOUTH = 0.012  # spread of the aperture below which a source says nothing about how its person speaks
EXPRESSION = (0.5, 2.2)  # how much more or less widely than told a mouth may move
_FEW = 16  # moments that count as much as what was learned
_AT_ONCE = 16
_APART = (-0.015, 0.0, 0.015)  # seconds between the three guesses of a moment
AHEAD = _APART[-1]


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
    mean = talker.dit.lip_centre.float().cpu().numpy() if config.dit.lip_targets else np.zeros(0, np.float32)
    return Habit(mean, config.opening / config.opening_unit if config.opening_unit else 0.0)


def own_sound(talker: TalkingHead, video: Path, store: Path) -> Hearing | None:
    """What ``talker`` hears in a video's own sound, kept in ``store``; None where nothing can be heard."""
    try:
        heard = heard_by(talker, video, store)
        return heard if heard.around(np.zeros(1))[0].numel() else None
    except MediaError:
        return None


@torch.inference_mode()
def told(talker: TalkingHead, sound: Tensor | Hearing, times: NDArray[np.float64]) -> tuple[Tensor, Tensor | None]:
    """Tokens (N, L, A) of the speech at ``times`` (N,) seconds, and what is told of the lips there (N, K).

    The latter is the mean of three guesses close together, which errs less than one and quivers less; an encoder that
    hears the past has taken such a mean itself.
    """
    apart = _APART if talker.config.dit.lip_targets and not talker.audio.past else (0.0,)
    moments = np.concatenate([times + each for each in apart])
    around = (sound, torch.from_numpy(moments)) if isinstance(sound, Tensor) else sound.around(moments)
    (tokens, lips), count = talker.tokens_and_lips(*around), len(times)
    middle = count * (len(apart) // 2)
    mean = None if lips is None else lips.float().cpu().unflatten(0, (len(apart), count)).mean(0)
    return tokens[middle : middle + count], mean


@torch.inference_mode()
def habit_of(talker: TalkingHead, sound: Hearing, moments: NDArray[np.float64]) -> Habit | None:
    """Of the person who speaks in ``sound`` at ``moments`` (N,) seconds; None where nobody does."""
    usual, unit = learned(talker), talker.config.opening_unit
    if not unit or not len(moments):
        return None
    parts = [told(talker, sound, moments[k : k + _AT_ONCE])[1] for k in range(0, len(moments), _AT_ONCE)]
    lips = torch.cat([part for part in parts if part is not None]).numpy()
    mean, spread = lips.mean(axis=0), float(lips[:, -1].std())
    if spread * unit < STILL_MOUTH:
        return None
    own = len(lips) / (len(lips) + _FEW)
    return Habit((own * mean + (1 - own) * usual.told).astype(np.float32), own * spread + (1 - own) * usual.spread)
