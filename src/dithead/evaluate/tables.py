"""Writes numbers and Markdown tables, for reports, comparisons and experiments."""

from __future__ import annotations

import math
from collections.abc import Sequence


def format_number(value: float | None, decimals: int) -> str:
    """Return a number with so many decimals; a dash where the measurement failed."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # adding 0.0 turns -0.0 into 0.0


def markdown_table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned right."""
    alignment = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heading, alignment, *lines))
