"""The tiny untrained model that the zoo is fed to."""

from __future__ import annotations

from functools import cache

import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.models.talking_head import TalkingHead


@cache
def tiny() -> TalkingHead:
    """A model of the smallest preset with random weights, the same every time."""
    torch.manual_seed(0)
    return build_model(get_preset("tiny").model)
