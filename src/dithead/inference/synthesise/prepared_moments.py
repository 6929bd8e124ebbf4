"""What is made ready for frames before they are drawn, kept by moment; frames may be drawn in other batches.

Letters: B batch, S crop side, L tokens, A their width, K lip coefficients, C, G latent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.inference.synthesise.reference_set import LipTarget

T = TypeVar("T")

_KEPT = 32  # batches that are kept, all faces counted (our choice)


class SpeechConditions(NamedTuple):
    """The conditions that the speech gives for some moments."""

    tokens: Tensor  # (B, L, A)
    lips: Tensor | None  # (B, K) lip coefficients, for models with that condition
    targets: list[LipTarget] | None  # B openings and widths, where they are known


class MaskedFrames(NamedTuple):
    """Frames without what is to be drawn."""

    pictures: Tensor  # (B, 3, S, S)
    mask: Tensor  # (B, 1, S, S)
    latents: Tensor  # (B, C, G, G)


def joined_speech(parts: Sequence[SpeechConditions]) -> SpeechConditions:
    """Join the conditions of moments of one face in order."""
    lips = [part.lips for part in parts if part.lips is not None]
    targets = [target for part in parts for target in part.targets or []]
    return SpeechConditions(
        torch.cat([part.tokens for part in parts]), torch.cat(lips) if lips else None, targets or None
    )


def joined_frames(parts: Sequence[MaskedFrames]) -> MaskedFrames:
    """Join the frames of one face in order."""
    return MaskedFrames(*map(torch.cat, zip(*parts, strict=True)))


class PreparedMoments(Generic[T]):
    """What was made ready for the latest moments, on whichever thread."""

    def __init__(self, join: Callable[[Sequence[T]], T]) -> None:
        """Keep nothing yet; ``join`` makes one of what was kept for several moments."""
        self._join = join
        self._kept: dict[tuple[int, tuple[float, ...]], T] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, face: int, times: NDArray[np.float64], what: T) -> None:
        """Keep ``what`` was made ready for a ``face`` at ``times`` (B,), and forget the oldest."""
        self._kept = dict([*self._kept.items(), ((face, tuple(times.tolist())), what)][-_KEPT:])

    def at(self, face: int, times: NDArray[np.float64]) -> T | None:
        """Return what was made ready for these moments, together or each by itself; None if for none or not for all."""
        kept, every = self._kept, tuple(times.tolist())
        if (face, every) in kept:
            return kept[face, every]
        single = [kept[face, (time,)] for time in every if (face, (time,)) in kept]
        return self._join(single) if len(single) == len(every) else None
