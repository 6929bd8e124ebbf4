"""Asks the watermark detector about a file, and puts its answer into one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dithead.errors import DitheadError
from dithead.progress import Progress, silent

if TYPE_CHECKING:
    from dithead.provenance.detect_watermark import WatermarkResult


@dataclass(frozen=True)
class WatermarkFinding:
    """What the detector says of one file."""

    found: bool
    note: str  # one sentence: what was found, how sure, or why nothing can be said
    p_value: float | None = None  # bound on the probability of so strong a finding without a mark
    seconds: tuple[tuple[float, float], ...] = field(default=())  # stretches that show the mark
    mirrored: bool = False


def find_watermark(path: Path, progress: Progress = silent) -> WatermarkFinding:
    """Search a file for the invisible watermark."""
    from dithead.provenance.detect_watermark import detect  # OpenCV and face detection load here

    try:
        return _described(detect(path, progress=progress))
    except DitheadError as error:
        return WatermarkFinding(False, f"cannot be searched ({error})")


def _described(result: WatermarkResult) -> WatermarkFinding:
    if not result.present:
        because = f"; but {result.caveat}" if result.caveat else ""
        return WatermarkFinding(False, f"not found{because}", result.p_value)
    seconds = tuple(sorted({span for face in result.faces for span in face.seconds}))
    where = ", ".join(f"{start:.0f} to {end:.0f} s" for start, end in seconds[:20])
    mirrored = ", in a mirrored picture" if result.mirrored else ""
    note = f"found{mirrored}, at {where or 'no certain second'}; by chance in fewer than {result.p_value:.0e} of files"
    return WatermarkFinding(True, note, result.p_value, seconds, result.mirrored)
