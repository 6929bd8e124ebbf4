"""Names of the shape keys by which the head model changes its expression.

The names are MakeHuman's own (`mouth-protusion` is its spelling), below ``expression/ANCESTRY/``.
"""

from __future__ import annotations

EXPRESSION_KEYS = ("mouth-open", "mouth-pursing", "mouth-protusion", "mouth-compression", "mouth-retraction",
                   "mouth-part-later", "mouth-parling", "mouth-elevation", "mouth-depression", "mouth-corner-puller",
                   "mouth-depression-retraction", "mouth-upward-retraction", "mouth-eversion",
                   "eye-left-closure", "eye-right-closure", "eye-left-slit", "eye-right-slit",
                   "eye-left-opened-up", "eye-right-opened-up", "eyebrows-left-up", "eyebrows-right-up",
                   "eyebrows-left-inner-up", "eyebrows-right-inner-up", "eyebrows-left-down",
                   "eyebrows-right-down", "neck-platysma", "nose-left-elevation", "nose-right-elevation")  # fmt: skip
"""The keys that every person has."""

ONE_SIDED_KEYS = ("mouth-pursing", "mouth-retraction", "mouth-part-later", "mouth-parling", "mouth-corner-puller")
"""Keys of which one side of the mouth may run ahead of the other. The jaw is one bone, so its keys are not here."""


def side_difference(key: str) -> str:
    """Name of the derived key that strengthens ``key`` at x > 0 and weakens it at x < 0."""
    return f"{key}~"
