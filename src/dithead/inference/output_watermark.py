"""Gives the outputs of generation their invisible mark, and says so where it is switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dithead.options import SamplingOptions
from dithead.provenance.watermark import Payload, Watermarker

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

OFF = (
    "no invisible watermark was put into the redrawn mouths (--no-watermark): once its metadata are gone, nothing in "
    "this video tells that it is AI-generated"
)
"""Note of a result whose watermark was switched off."""


def make_watermarker(options: SamplingOptions, talker: TalkingHead, job: str) -> Watermarker | None:
    """Return what marks the mouths of an output, or None where the mark is switched off.

    Args:
        options: Whether to mark.
        talker: The model that draws.
        job: One of ``provenance.watermark.JOBS``.
    """
    return Watermarker(Payload.of_model(talker.config.name, job)) if options.watermark else None


def watermark_notes(options: SamplingOptions) -> list[str]:
    """Return the note that belongs into the result when the mark is switched off."""
    return [] if options.watermark else [OFF]
