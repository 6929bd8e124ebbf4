"""The options of the training stages: the one place that holds their names, defaults and help texts.

The command line builds its options from these classes, so this file imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class StageOptions:
    """What every training stage can be asked for besides data, preset and output folder."""

    steps: int | None = field(default=None, metadata={"help": "Training steps, instead of the preset's.", "min": 1})
    seed: int | None = field(default=None, metadata={"help": "The same seed gives the same run; 0 if not given."})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or mps."})
    init: Path | None = field(
        default=None, metadata={"help": "Run folder of the same stage, whose averaged weights are the start."}
    )


@dataclass(frozen=True)
class AudioOptions(StageOptions):
    """Options of the audio encoder's stage."""

    voices: Path | None = field(default=None, metadata={"help": "Folder of `dithead voices`: speech without faces."})
    speech: str | None = field(
        default=None, metadata={"help": "A Whisper whose first layers are the start: hub id or folder."}
    )
    lip_predictor: str | None = field(
        default=None,
        metadata={"help": "A Moonshine whose first layers are the lip predictor's start: hub id or folder."},
    )
    tokens_of: str | None = field(
        default=None,
        metadata={"help": "A model whose tokens stay as they are: only the lip predictor is trained."},
    )

    def recorded(self) -> dict[str, str | None]:
        """Return the options that a run's configuration records, as strings."""
        sources = {"speech": self.speech, "lip_predictor": self.lip_predictor, "tokens_of": self.tokens_of}
        voices = str(self.voices) if self.voices else None
        return {"voices": voices, **{name: value for name, value in sources.items() if value}}


@dataclass(frozen=True)
class DenoiserOptions(StageOptions):
    """Options of the denoiser's stage."""

    init: Path | None = field(
        default=None, metadata={"help": "Run folder of `train dit`, or a model folder, whose weights are the start."}
    )
    cache: Path | None = field(
        default=None, metadata={"help": "Folder for latents that several runs share; else they go to the run folder."}
    )
    sync_expert: Path | None = field(
        default=None, metadata={"help": "File of `train sync --expert loss`, with --set dit.sync_weight=0.1."}
    )


@dataclass(frozen=True)
class SyncOptions(StageOptions):
    """Options of a sync expert's stage."""

    seed: int | None = field(
        default=None, metadata={"help": "The same seed gives the same run; each expert has its own if not given."}
    )
    init: Path | None = field(
        default=None, metadata={"help": "Run folder of the same expert, or an expert's file, to start from."}
    )
    expert: str = field(default="score", metadata={"help": "score (measures) or loss (others are trained against it)."})
