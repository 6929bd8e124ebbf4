"""Predicts the lips along a whole track in overlapping blocks, so that no second of speech is encoded for every frame.

``LipPredictor.at`` encodes seconds of the past anew for each moment. A block of speech gives the lips of four seconds
at once, with at least as much speech before and after each moment as that method has. Letters: n samples at 16 kHz, B
moments, K lip coefficients, and what a closure head says of the opening where there is one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dithead.models.audio.lip_predictor import LipPredictor

STEP_FRAMES, STEP_TOKENS = 12, 6
"""Mel frames and tokens of a step: 1920 samples, which are whole in states of the network (384 samples each), too."""
_CORE = 32  # steps whose lips a block gives: 3.84 s; longer ones cost less, but delay the first frame (our choice)
_KEPT = 4  # blocks kept: requests come in the order of time, of all faces that one track drives

Samples = Callable[[int, int], Tensor]
"""Returns the samples of a track from one mel frame to another (excluded), zeros beyond its ends."""


class LipBlocks:
    """The lips along a track, computed a block at a time when they are asked for.

    Where the blocks lie does not depend on what is asked, so the numbers do not either.
    """

    def __init__(self, predictor: LipPredictor, past: int, ahead: int, samples: Samples) -> None:
        """Describe the blocks; nothing is computed yet.

        Args:
            predictor: The network.
            past: Mel frames of the past that every moment must have.
            ahead: Mel frames after it that every moment must have.
            samples: Where the speech comes from.
        """
        self.predictor, self.samples = predictor, samples
        self.past, self.ahead = (-(-frames // STEP_FRAMES) for frames in (past, ahead))  # in steps
        self._blocks: dict[int, Tensor] = {}

    @torch.inference_mode()
    def at(self, frames: Tensor) -> Tensor:
        """Return the lips (B, K) at fractional mel frames (B,), interpolated between tokens."""
        return interpolated(frames, self._token)

    def _token(self, token: int) -> Tensor:
        """The lips (K,) at one token."""
        count = _CORE * STEP_TOKENS
        return self._block(token // count)[token % count]

    def _block(self, number: int) -> Tensor:
        """The lips (tokens, K) of one block."""
        if number not in self._blocks:
            for old in list(self._blocks)[: -(_KEPT - 1)]:
                del self._blocks[old]
            first = (number * _CORE - self.past) * STEP_FRAMES
            stop = ((number + 1) * _CORE + self.ahead) * STEP_FRAMES
            weight = self.predictor.layers.norm.weight
            samples = self.samples(first, stop).to(weight)[None]
            lips = self.predictor.along(samples, self.past * STEP_TOKENS, _CORE * STEP_TOKENS)
            self._blocks[number] = lips[0].float().cpu()
        return self._blocks[number]


def interpolated(frames: Tensor, lips_of: Callable[[int], Tensor]) -> Tensor:
    """Return the lips (B, K) at fractional mel frames (B,), between those (K,) that ``lips_of`` gives at tokens."""
    place = frames.clamp_min(0).double() * (STEP_TOKENS / STEP_FRAMES)
    low = place.floor().long()
    part = (place - low).float()
    after = low + (part > 0)
    here, there = (torch.stack([lips_of(token) for token in tokens.tolist()]) for tokens in (low, after))
    return torch.lerp(here, there, part[:, None])
