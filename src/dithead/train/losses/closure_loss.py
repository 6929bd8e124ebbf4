"""The loss of a closure head (``models.audio.lip_predictor``), which tells whether lips are closed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

SURELY_CLOSED, SURELY_APART = 0.015, 0.035
"""Openings up to which lips are closed, and from which they are apart; between both they are partly closed.

The reports count lips as closed below 0.02 and as open above 0.04 (our choice)."""


def closure_loss(log_odds: Tensor, openings: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean cross-entropy of the log-odds that lips are closed.

    Args:
        log_odds: Of any shape.
        openings: True openings of that shape, in distances between the outer eye corners.
        weight: How much each counts, of that shape.
    """
    closed = ((SURELY_APART - openings) / (SURELY_APART - SURELY_CLOSED)).clamp(0, 1)
    error = F.binary_cross_entropy_with_logits(log_odds, closed, weight, reduction="sum")
    return error / weight.sum().clamp_min(1.0)
