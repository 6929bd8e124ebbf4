"""The options of ``prepare``, each written once: its name, type, default, range and help text.

``prepare_dataset``, the command line and the ``config.json`` of a dataset all read the two classes of this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any, Self

from dithead.errors import ConfigError
from dithead.option_fields import Engine, option
from dithead.option_values import read_value


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What decides how a clip looks; stored as ``config.json`` of a dataset and shared by all its clips.

    Fields without a help text are fixed.
    """

    version: int = 1  # of the layout on disk
    size: int = option(192, "Side of the aligned crop in pixels, an even number.", minimum=32, maximum=1024)
    fps: int = option(25, "Frame rate of the dataset.", minimum=10, maximum=60)
    sample_rate: int = 16000  # of the sound, in hertz
    min_seconds: float = option(1.0, "Shorter clips are rejected.", minimum=0)
    max_seconds: float = option(10.0, "Longer clips are cut.", minimum=1)
    min_valid: float = 0.8  # share of frames in which the face must have been found
    min_eye_distance: float = 24.0  # pixels in the source
    smooth_frames: float = 1.5  # Gaussian sigma of the crop's motion
    crf: float = 12.0  # H.264 quality of the crops
    correct_offset: bool = option(
        True, "Move late or early sound to where the lips are (clips of two seconds or more)."
    )
    offset_confidence: float = option(0.12, "Confidence of the sync expert from which a sound is moved.", minimum=0)
    min_confidence: float = option(
        0.03, "Confidence below which a clip is rejected: its picture does not speak; 0: never.", minimum=0
    )
    keep_silent: bool = option(
        False,
        "Keep clips without sound: they serve appearance only, and are marked has_speech: false.",
        flag="--keep-silent/--no-keep-silent",
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, read_value(type(self), each, getattr(self, each.name)))
        if self.size % 2:
            raise ConfigError(f"size must be an even number, not {self.size}")

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Build it from values by name; those that are missing have their defaults.

        Raises:
            ConfigError: A name is unknown, or a value has the wrong type or is out of range.
        """
        if unknown := sorted(values.keys() - {each.name for each in fields(cls)}):
            raise ConfigError(f"{unknown[0]}: there is no such setting of prepare")
        return cls(**values)

    def stored_values(self) -> dict[str, Any]:
        """Return what ``config.json`` holds; without ``keep_silent`` where it is off, as older datasets have it."""
        values = {each.name: getattr(self, each.name) for each in fields(PrepareConfig)}
        if not self.keep_silent:
            del values["keep_silent"]
        return values


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(PrepareConfig):
    """All options of one run of ``prepare``: how clips look, where they come from, and how the work is done."""

    sources: str | PathLike[str] | None = option(
        None, "JSON file: who is in which folder and under which licence; SOURCES.json in RAW_DIR when absent."
    )
    source: str | None = option(None, "Where the videos come from, if SOURCES.json is silent.")
    licence: str | None = option(None, "Their licence, if SOURCES.json is silent.")
    identity: str | None = option(
        None, "Who is in them, if SOURCES.json is silent: folder (its name), file (one person each), or a name."
    )
    val_fraction: float = option(0.1, "Share of people held out for validation.")
    val_identities: tuple[str, ...] = option((), "A person to hold out instead; repeatable.", flag="--val-identity")
    workers: int = option(2, "Processes, or tasks at once on a cluster.", minimum=1)
    engine: Engine = option("local", "Where they run: local, or ray (a cluster whose machines see the same folders).")

    @property
    def config(self) -> PrepareConfig:
        """The part that is stored with the dataset."""
        return PrepareConfig(**{each.name: getattr(self, each.name) for each in fields(PrepareConfig)})
