"""Holds what ``generate`` returns: one small object, printable as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from dithead.provenance.sign import Credentials


@dataclass(frozen=True)
class FrameSpan:
    """Frames ``first`` to ``last`` (both included) that passed through unchanged, and why."""

    first: int
    last: int
    reason: str


REPLACED, MENDED = 0.5, 0.15
"""Shares of a drawing, and of its lips, from which it counts as replaced and as mended (our choice, see the log)."""


@dataclass
class Drawings:
    """How many mouths were drawn, and how many of them are not, or not wholly, what the model drew.

    Where a drawing shows another person or smeared lips, a picture of the source stands in for it. A model that draws
    nothing useful would otherwise seem to work.
    """

    mouths: int = 0  # one for each face in each frame
    replaced: int = 0  # a picture of the source stands in for the drawing
    mended: int = 0  # part of it, or of its lips, comes from a picture of the source

    def add(self, replaced: float, mended: float) -> None:
        """Count one mouth by the share of it that was replaced, and the share of its lips that was mended."""
        self.mouths += 1
        self.replaced += replaced >= REPLACED
        self.mended += replaced < REPLACED and max(replaced, mended) >= MENDED

    def __add__(self, other: Drawings) -> Drawings:
        return Drawings(self.mouths + other.mouths, self.replaced + other.replaced, self.mended + other.mended)

    @property
    def share(self) -> float:
        """Which share of the mouths was replaced or mended."""
        return (self.replaced + self.mended) / self.mouths if self.mouths else 0.0

    def shares(self) -> dict[str, float]:
        """Return the shares of replaced and of mended mouths, by the names of their metrics."""
        mouths = max(1, self.mouths)
        return {"mouths_replaced": self.replaced / mouths, "mouths_mended": self.mended / mouths}

    def summary(self) -> str:
        """Say it in a few words, such as for the label of a contact sheet."""
        return f"{self.mouths} mouths drawn, {self.replaced} of them replaced, {self.mended} mended"


@dataclass(frozen=True)
class GenerateResult:
    """The output file and how it was made. ``seconds`` is wall time of this call; the clip lasts ``frames / fps``."""

    output: Path
    frames: int
    fps: float
    seconds: float
    frames_per_second: float  # of those made in this call; of loading, only what the first pass waits for counts
    faces_missed: int  # frames that passed through unchanged
    model: str
    seed: int
    passed_through: list[FrameSpan] = field(default_factory=list)
    damaged: list[FrameSpan] = field(default_factory=list)  # frames that could not be read
    credentials: Credentials = field(default_factory=Credentials)  # where they are and who signed
    watermark: str = "off"  # whose key made the mark in the redrawn mouths: public or own; off: there is none
    drawings: Drawings = field(default_factory=Drawings)
    resumed: int = 0  # frames that an earlier call, which was interrupted, had made
    notes: list[str] = field(default_factory=list)  # what of the input the output lacks, see ``notes``

    def to_json(self) -> str:
        """Return the result as one line of JSON."""
        return json.dumps(
            asdict(self) | {"output": str(self.output), "credentials": self.credentials.record()}, ensure_ascii=False
        )

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Return the result that ``to_json`` wrote, from its JSON values."""
        credentials = dict(record["credentials"])
        if "sidecar" in credentials:
            credentials["sidecar"] = Path(credentials["sidecar"])
        spans = {name: [FrameSpan(**span) for span in record[name]] for name in ("passed_through", "damaged")}
        parts = {"credentials": Credentials(**credentials), "drawings": Drawings(**record["drawings"])}
        return cls(**record | spans | parts | {"output": Path(record["output"])})
