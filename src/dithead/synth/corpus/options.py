"""Options of `dithead synth` and `dithead voices`, each written once: command line, Python and resuming read them here.

This file imports nothing heavy, because the command line reads it whenever it starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from dithead.option_fields import Engine, about, option
from dithead.option_values import settle

DEFAULT_SECONDS = 3.0
"""Length of a clip where neither a length nor recordings are given."""


NOT_IN_RECIPE = ("workers", "engine", "credentials")
"""Options on which the pictures and sounds of a corpus do not depend, so that resuming may change them."""


@dataclass(frozen=True, kw_only=True)
class CorpusRun:
    """Options that every corpus has."""

    seed: int = option(0, "Same seed, same output.", minimum=0)
    workers: int = option(1, "Processes.", minimum=1)
    engine: Engine = option("local", "Where they run: local or ray (a cluster).")

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True)
class VoicesOptions(CorpusRun):
    """Options of a corpus of voices without faces."""

    seconds: float = option(10.0, "Longest clip.", minimum=0.1, value="SECONDS")
    kokoro: Path | None = option(None, "Folder of the neural voice Kokoro, which then speaks half of the clips.")


@dataclass(frozen=True)
class SynthOptions(CorpusRun):
    """Options of a corpus of talking people. The command line has one option for each field, with its help text."""

    head_model: Path | None = field(
        default=None,
        metadata=about("Folder of a parametric head, instead of the one that ships.", envvar="DITHEAD_HEAD_MODEL"),
    )
    size: int = option(288, "Side of the picture in pixels.", minimum=32, maximum=4096, value="PIXELS")
    seconds: float | None = option(
        None, "Length of a clip in seconds; 3, or that of its recording, by default.", minimum=0, value="SECONDS"
    )
    fps: int = option(25, "Frame rate.", minimum=1, maximum=240, value="FPS")
    identity: Path | None = option(None, "JSON of one person, instead of random people.")
    language: str | None = option(None, "An espeak-ng language, instead of a mix.")
    speech: Path | None = option(None, "Folder of recordings to speak, instead of espeak-ng.")
    labels: bool = option(False, "Also write what each pixel shows.")
    rest: bool = option(False, "Also write the same pictures with the mouth at rest.")
    turn: float = option(0.0, "Yaw of the heads in degrees, to either side.", minimum=0, maximum=90, value="DEGREES")
    makeup: bool = option(False, "Paint lips and eyes heavily.")
    captions: bool = option(False, "Burn words over the chin into some frames.")
    credentials: bool = option(
        True, "Sign the clips as rendered; with --no-credentials their bytes are the same in every run."
    )
    without: tuple[str, ...] = option((), "A feature of realism to leave out; repeatable.")

    @property
    def clip_seconds(self) -> float:
        """Length of a clip: as given, else 3 s; 0 means as long as its recording."""
        if self.seconds is not None:
            return self.seconds
        return DEFAULT_SECONDS if self.speech is None else 0.0

    @property
    def frames(self) -> int:
        """Frames per clip; 0 means as many as its recording has."""
        return round(self.clip_seconds * self.fps)

    def with_absolute_paths(self) -> SynthOptions:
        """Return the same options with absolute paths, because workers of a cluster start in other folders."""
        paths = {name: getattr(self, name) for name in ("head_model", "identity", "speech")}
        return replace(self, **{name: path.absolute() for name, path in paths.items() if path is not None})
