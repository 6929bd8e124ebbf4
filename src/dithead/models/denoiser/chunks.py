"""Frames drawn together, a chunk at a time: which ones, and what they know of those before.

A model with attention over time draws F frames at once. All but the first chunk of a clip begin with ``CONTEXT`` frames
that are drawn already, so the stride from chunk to chunk is F less these. Letters: K known frames, C latent channels,
G latent side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CONTEXT = 2
"""Frames of the chunk before that a chunk is shown."""
Predictor = Callable[[Tensor, Tensor], Tensor]


def stride(frames: int) -> int:
    """New frames in a chunk of ``frames``; 1 for a model that draws every frame by itself (0 frames)."""
    return max(frames - CONTEXT, 1)


def chunks(count: int, frames: int) -> Iterator[tuple[int, int, int]]:
    """``count`` frames as (known, first, stop): ``first`` to ``stop`` - 1 are drawn, those from ``known`` on shown."""
    step = stride(frames)
    for first in range(0, count, step):
        yield max(0, first - CONTEXT), first, min(first + step, count)


def knowing(predict: Predictor, known: Tensor) -> Predictor:
    """``predict`` for samples whose first are ``known`` (K, C, G, G): the network sees those clean, at time 0."""
    count = len(known)

    def told(z: Tensor, t: Tensor) -> Tensor:
        return predict(torch.cat([known.to(z), z[count:]]), torch.cat([torch.zeros_like(t[:count]), t[count:]]))

    return told
