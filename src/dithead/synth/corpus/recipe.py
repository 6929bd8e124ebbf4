"""The recipe of a corpus: everything its clips depend on, checked before work begins and stored in config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dithead.errors import ConfigError
from dithead.synth.corpus.options import NOT_IN_RECIPE, SynthOptions
from dithead.synth.corpus.realism import check_features
from dithead.synth.corpus.recordings import find_recordings, licence_of_folder
from dithead.synth.head.assets import load_head
from dithead.synth.head.identity import Identity
from dithead.synth.voice.texts import LANGUAGES

LICENCE = "CC0-1.0"
"""Licence of everything that is made without recordings or skins of real people."""

SOURCE = "dithead synth (MakeHuman CC0 head, espeak-ng voice)"
_SOURCE_WITH_RECORDINGS = "dithead synth (MakeHuman CC0 head, given recordings)"
_SMALLEST = 64  # pixels; below it a mouth has no shape
_RECIPE_FIELDS = [f.name for f in fields(SynthOptions) if f.name not in NOT_IN_RECIPE]


def check_options(options: SynthOptions) -> None:
    """Fail before anything is written.

    Raises:
        ConfigError: A value is out of range, unknown, or contradicts another.
        DataError: The head model, the person or the recordings cannot be read.
    """
    empty = options.frames < 1 and (options.speech is None or options.seconds is not None)
    if options.size < _SMALLEST or options.size % 2 or options.fps < 1 or empty or options.workers < 1:
        raise ConfigError(f"workers, fps and seconds must be positive, and size an even number of at least {_SMALLEST}")
    if options.speech is not None:
        if useless := {"voices", "microphone"} & set(options.without):
            raise ConfigError(f"recordings are used as they are: --without {min(useless)} does not go with --speech")
        find_recordings(options.speech)
    elif options.language is not None and options.language not in LANGUAGES:
        raise ConfigError(f"no sentences in {options.language!r}; there are some in {', '.join(LANGUAGES)}")
    load_head(options.head_model)
    if options.identity is not None:
        Identity.load(options.identity)


@dataclass(frozen=True)
class CorpusRecipe:
    """Everything the clips of a corpus depend on: the options, and whose real skins people wear."""

    options: SynthOptions
    skins: tuple[str, ...] = ()  # names of the people whose skins are worn
    skins_from: str = ""  # source and licence of the skins

    @property
    def source(self) -> dict[str, str]:
        """Source and licence of pictures and sound."""
        source, licence = SOURCE, LICENCE
        if self.options.speech is not None:
            source = _SOURCE_WITH_RECORDINGS
            licence += f"; sound: {licence_of_folder(self.options.speech)}"
        return {"source": source, "licence": licence + (f"; skin: {self.skins_from}" if self.skins else "")}

    def record(self) -> dict[str, Any]:
        """Return the recipe as JSON values, as config.json holds it; resuming compares them."""
        values = {name: getattr(self.options, name) for name in _RECIPE_FIELDS}
        values |= {name: str(value) for name, value in values.items() if isinstance(value, Path)}
        values |= {"seconds": self.options.clip_seconds, "without": list(check_features(self.options.without))}
        return values | {"skins": list(self.skins), "skins_from": self.skins_from}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> CorpusRecipe:
        """Read a recipe from a config.json; options that are newer than the corpus have their defaults.

        Raises:
            TypeError: The record is no mapping, or holds a value of another type.
        """
        values = {name: record[name] for name in _RECIPE_FIELDS if name in record}
        values |= {name: Path(values[name]) for name in ("head_model", "identity", "speech") if values.get(name)}
        if values.get("speech") and not values.get("seconds"):
            values["seconds"] = None
        values["without"] = tuple(values.get("without", ()))
        return cls(SynthOptions(**values), tuple(record.get("skins", ())), str(record.get("skins_from", "")))
