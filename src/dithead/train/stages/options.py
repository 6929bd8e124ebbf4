"""The options of the training stages: the one place that holds their names, defaults and help texts.

The command line builds its options from these classes, so this file imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def _option(text: str, default: Any = None, **limits: Any) -> Any:
    """Make a field with its help text and, for a number, the limits ``min`` and ``max``."""
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True)
class StageOptions:
    """What every training stage can be asked for besides data, preset and output folder."""

    steps: int | None = _option("Training steps, instead of the preset's.", min=1)
    seed: int | None = _option("The same seed gives the same run; 0 if it is not given.")
    device: str = _option("auto, cpu, cuda or mps.", "auto")
    init: Path | None = _option("Run folder of the same stage, whose averaged weights are the start.")


@dataclass(frozen=True)
class AudioOptions(StageOptions):
    """Options of the audio encoder's stage."""

    voices: Path | None = _option("Folder of `dithead voices`: speech without faces.")
    speech: str | None = _option("A Whisper whose first layers are the start: hub id or folder.")
    lip_predictor: str | None = _option("A Moonshine whose first layers the lip predictor starts with: hub id or folder.")
    tokens_of: str | None = _option("A model whose tokens stay as they are: only the lip predictor is trained.")

    def recorded(self) -> dict[str, str | None]:
        """Return the options that a run's configuration records, as strings."""
        sources = {"speech": self.speech, "lip_predictor": self.lip_predictor, "tokens_of": self.tokens_of}
        voices = str(self.voices) if self.voices else None
        return {"voices": voices, **{name: value for name, value in sources.items() if value}}


@dataclass(frozen=True)
class DenoiserOptions(StageOptions):
    """Options of the denoiser's stage."""

    init: Path | None = _option("Run folder of `train dit`, or a model folder, whose weights are the start.")
    cache: Path | None = _option("Folder for latents that several runs share; the run folder if it is not given.")
    sync_expert: Path | None = _option("File of `train sync --expert loss`, with --set dit.sync_weight=0.1.")


@dataclass(frozen=True)
class SyncOptions(StageOptions):
    """Options of a sync expert's stage."""

    seed: int | None = _option("The same seed gives the same run; each expert has its own if it is not given.")
    init: Path | None = _option("Run folder of the same expert, or an expert's file, whose weights are the start.")
    expert: str = _option("score (measures) or loss (others are trained against it).", "score")
