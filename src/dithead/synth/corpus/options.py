"""Options of `dithead synth`, each written once: the command line, the Python call and resuming all read them here.

This file imports nothing heavy, because the command line reads it whenever it starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dithead.engine import Engine

DEFAULT_SECONDS = 3.0
"""Length of a clip where neither a length nor recordings are given."""


def _about(help_text: str, *, in_recipe: bool = True, envvar: str | None = None) -> dict[str, Any]:
    """What is known about an option; clips depend on those that are ``in_recipe``, so resuming compares them."""
    return {"help": help_text, "in_recipe": in_recipe, "envvar": envvar}


@dataclass(frozen=True)
class SynthOptions:
    """Options of a corpus of talking people. The command line has one option for each field, with its help text."""

    head_model: Path | None = field(
        default=None,
        metadata=_about("Folder of a parametric head, instead of the one that ships.", envvar="DITHEAD_HEAD_MODEL"),
    )
    seed: int = field(default=0, metadata=_about("Same seed, same output."))
    size: int = field(default=288, metadata=_about("Side of the picture in pixels."))
    seconds: float | None = field(
        default=None, metadata=_about("Length of a clip in seconds; 3, or that of its recording, by default.")
    )
    fps: int = field(default=25, metadata=_about("Frame rate."))
    workers: int = field(default=1, metadata=_about("Processes.", in_recipe=False))
    engine: Engine = field(
        default="local", metadata=_about("Where they run: local or ray (a cluster).", in_recipe=False)
    )
    identity: Path | None = field(default=None, metadata=_about("JSON of one person, instead of random people."))
    language: str | None = field(default=None, metadata=_about("An espeak-ng language, instead of a mix."))
    speech: Path | None = field(default=None, metadata=_about("Folder of recordings to speak, instead of espeak-ng."))
    labels: bool = field(default=False, metadata=_about("Also write what each pixel shows."))
    rest: bool = field(default=False, metadata=_about("Also write the same pictures with the mouth at rest."))
    without: tuple[str, ...] = field(default=(), metadata=_about("A feature of realism to leave out; repeatable."))

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
