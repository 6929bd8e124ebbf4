"""Makes the random generators of a step from (seed, step, stream, row), so that a run resumes to the bit."""

from __future__ import annotations

import numpy as np
import torch


def step_rng(seed: int, step: int, stream: int = 0, row: int | None = None) -> np.random.Generator:
    """Make the NumPy generator of one step, or of one row of its global batch.

    Args:
        seed: The run's seed.
        step: The training step.
        stream: A number for each independent use of randomness within a step.
        row: A row of the global batch; its numbers are the same whichever process makes the row. None: the whole step.
    """
    return np.random.default_rng([seed, step, stream] if row is None else [seed, step, stream, row])


def step_generator(seed: int, step: int) -> torch.Generator:
    """Make the torch generator (CPU) of one step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
