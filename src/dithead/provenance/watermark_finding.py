"""Asks the watermark detector about a file, and says what its answer means."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dithead.errors import DitheadError
from dithead.hub import SHIPPED
from dithead.progress import Progress, silent

if TYPE_CHECKING:
    from dithead.provenance.detect_watermark import WatermarkResult
    from dithead.provenance.watermark import Payload
    from dithead.provenance.watermark_keys import KeyKind

_LEAST_P = 1e-300  # below it, probabilities are not told apart


@dataclass(frozen=True)
class MarkedFace:
    """One face of a file that carries the mark: where it is, in pixels, and in which seconds the mark was seen."""

    place: tuple[int, int]  # of its middle, from the left and from the top
    seconds: tuple[tuple[float, float], ...]  # accurate to about a second


@dataclass(frozen=True)
class WatermarkFinding:
    """What the detector says of one file."""

    found: bool
    note: str  # one sentence: what was found, or why nothing can be said
    p_value: float | None = None  # bound on the probability of so strong a finding without a mark
    bit_accuracy: float | None = None  # share of the mark's 64 bits that were read right
    key: KeyKind | Literal[""] = ""  # whose key made it
    job: str = ""  # what it says the file was made from, one of ``watermark.JOBS``
    model: str = ""  # the shipped model whose number it carries; its number where that is no shipped model's
    faces: tuple[MarkedFace, ...] = field(default=())
    mirrored: bool = False
    promised: bool = False  # whether a mark, if one had been made, would have to be there

    @property
    def chance(self) -> str:
        """How rarely a file without the mark would look like this, in words; empty where nothing was searched."""
        if self.p_value is None or self.p_value >= 0.1:
            return ""
        zeros = -floor(log10(max(self.p_value, _LEAST_P))) - 1
        return f"of 10^{zeros} files without one, fewer than one would look like this"


def find_watermark(path: Path, progress: Progress = silent) -> WatermarkFinding:
    """Search a file for the invisible watermark, by this installation's own keys and the public one.

    Raises:
        ConfigError: A key that ``trust.toml`` names cannot be read.
    """
    from dithead.provenance.detect_watermark import detect  # OpenCV and face detection load here
    from dithead.provenance.watermark_keys import known_keys

    keys = known_keys()
    try:
        return _described(detect(path, keys, progress))
    except DitheadError as error:
        return WatermarkFinding(False, f"cannot be searched for ({error})")


def _described(result: WatermarkResult) -> WatermarkFinding:
    from dithead.provenance.watermark import JOBS, PUBLIC_KEY

    if result.payload is None:
        why = "there was none, or it was destroyed, or made with a key that this machine lacks"
        note = f"not found; {result.caveat or why}"
        return WatermarkFinding(False, note, result.p_value, promised=result.promised)
    faces = tuple(MarkedFace(each.place, each.seconds) for each in result.faces if each.present)
    return WatermarkFinding(
        True, "found; dithead redrew a mouth in it", result.p_value, result.bit_accuracy,
        "public" if result.key == PUBLIC_KEY else "own",
        JOBS[result.payload.job] if result.payload.job < len(JOBS) else "", _model_name(result.payload),
        faces, result.mirrored, result.promised,
    )  # fmt: skip


def _model_name(payload: Payload) -> str:
    from dithead.provenance.watermark import model_number

    names = {model_number(name): name for name in SHIPPED}
    return names.get(payload.model, f"number {payload.model}")
