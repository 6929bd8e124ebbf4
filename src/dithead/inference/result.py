"""Holds what ``generate`` returns: one small object, printable as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dithead.provenance.sign import Credentials


@dataclass(frozen=True)
class FrameSpan:
    """Frames ``first`` to ``last`` (both included) that passed through unchanged, and why."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True)
class GenerateResult:
    """The output file and how it was made. ``seconds`` is wall time; the clip lasts ``frames / fps``."""

    output: Path
    frames: int
    fps: float
    seconds: float
    frames_per_second: float  # frames / seconds; of loading the model, only what the first pass waits for counts
    faces_missed: int  # frames that passed through unchanged
    model: str
    seed: int
    passed_through: list[FrameSpan] = field(default_factory=list)
    damaged: list[FrameSpan] = field(default_factory=list)  # frames that could not be read
    credentials: Credentials = field(default_factory=Credentials)  # where they are and who signed
    notes: list[str] = field(default_factory=list)  # what of the input the output lacks, see ``notes``

    def to_json(self) -> str:
        """Return the result as one line of JSON."""
        return json.dumps(
            asdict(self) | {"output": str(self.output), "credentials": self.credentials.record()}, ensure_ascii=False
        )
