"""The options of ``dithead bench``, each written once, and the cases that it can measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dithead.errors import ConfigError
from dithead.hub import DEFAULT_MODEL
from dithead.option_fields import option
from dithead.option_values import settle


@dataclass(frozen=True)
class BenchCase:
    """One thing that is measured: a picture size, how many faces, how long, and whether and how live."""

    name: str
    width: int
    height: int
    side: int  # pixels: side of the square of the picture that shows a presenter
    faces: int = 1
    times: int = 1  # how many times ``BenchOptions.seconds`` it lasts
    live: Literal["", "fast", "paced"] = ""
    """Live use, with speech that is there at once or comes by the clock; else a whole call of ``generate``."""


CASES = (
    BenchCase("512", 512, 512, 512),
    BenchCase("1080p", 1920, 1080, 860),
    BenchCase("4k", 3840, 2160, 1720),
    BenchCase("long", 512, 512, 512, times=6),
    BenchCase("faces", 1920, 1080, 860, faces=2),
    BenchCase("live", 512, 512, 512, live="fast"),
    BenchCase("live-paced", 512, 512, 512, live="paced"),
)
"""All cases. A presenter's face is 0.47 of ``side`` wide: 240, 400 and 800 pixels."""
CASE_NAMES = tuple(case.name for case in CASES)


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What is measured, and how often.

    Raises:
        ConfigError: A case is unknown, or a number is out of range.
    """

    cases: Sequence[str] = option(
        CASE_NAMES,
        "512 (pixels square), 1080p, 4k, long (512, six times as long), faces (1080p, two of them), live or live-paced "
        "(speech at its own speed); repeatable, else all.",
        flag="--case",
    )
    seconds: float = option(10.0, "Length of the videos.", minimum=0.4)
    repeat: int = option(
        3, "Runs of each case, whose medians are reported; one more comes first, to warm up.", minimum=1
    )
    busy: int = option(0, "Processes beside it that only compute, to see what a loaded machine does.", minimum=0)
    model: str = option(DEFAULT_MODEL, "A shipped name, a model folder or a hub id (org/name@revision).")
    device: str = option("auto", "auto, cpu, cuda or mps.")
    presenters: Path | None = option(
        None, "Folder with videos of people who speak; the shipped presenters when absent."
    )

    def __post_init__(self) -> None:
        settle(self)
        unknown = sorted(set(self.cases) - set(CASE_NAMES))
        if unknown or not self.cases:
            raise ConfigError(f"unknown case '{', '.join(unknown)}'; choose from {', '.join(CASE_NAMES)}")

    def chosen(self) -> list[BenchCase]:
        """Return the cases to measure."""
        return [case for case in CASES if case.name in self.cases]
