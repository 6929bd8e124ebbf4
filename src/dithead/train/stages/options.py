"""The options of the training stages: the one place that holds their names, defaults and help texts.

The command line builds its options from these classes, so this file imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dithead.device import known_device
from dithead.option_fields import MOST_SEED, option
from dithead.option_values import settle


@dataclass(frozen=True)
class StageOptions:
    """What every training stage can be asked for besides data, preset and output folder."""

    steps: int | None = option(None, "Training steps, instead of the preset's.", minimum=1)
    seed: int | None = option(None, "The same seed gives the same run; 0 if not given.", minimum=0, maximum=MOST_SEED)
    device: str = option("auto", "auto, cpu, cuda or mps.", convert=known_device, value="DEVICE")
    init: Path | None = option(None, "Run folder of the same stage, whose averaged weights are the start.")

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True)
class AutoencoderOptions(StageOptions):
    """Options of the autoencoder's stage."""

    init: Path | None = option(None, "Run folder of the same stage, or a model folder, to start from.")
    latents_of: str | None = option(
        None,
        "A model whose latents stay: only what draws from them, and the encoder of masked frames, learns.",
    )
    drawn_by: Path | None = option(
        None,
        "Run folder of `train dit` whose transformer draws a share of the latents (--set autoencoder.drawn_share=0.6), "
        "so that the decoder learns to decode them.",
    )

    def recorded(self) -> dict[str, str]:
        """Return the options that a run's configuration records, as strings."""
        return {name: str(value) for name in ("latents_of", "drawn_by") if (value := getattr(self, name))}


@dataclass(frozen=True)
class AudioOptions(StageOptions):
    """Options of the audio encoder's stage."""

    voices: Path | None = option(None, "Folder of `dithead voices`: speech without faces.")
    speech: str | None = option(None, "A Whisper whose first layers are the start: hub id or folder.")
    lip_predictor: str | None = option(
        None, "Where the lip predictor starts: that of a model, or the first layers of a Moonshine (hub id or folder)."
    )
    tokens_of: str | None = option(None, "A model whose tokens stay as they are: only the lip predictor is trained.")

    def recorded(self) -> dict[str, str | None]:
        """Return the options that a run's configuration records, as strings."""
        sources = {"speech": self.speech, "lip_predictor": self.lip_predictor, "tokens_of": self.tokens_of}
        voices = str(self.voices) if self.voices else None
        return {"voices": voices, **{name: value for name, value in sources.items() if value}}


@dataclass(frozen=True)
class DenoiserOptions(StageOptions):
    """Options of the denoiser's stage."""

    init: Path | None = option(
        None,
        "Run folder of `train dit`, or a model folder, to start from; of a deeper one evenly spaced blocks are taken.",
    )
    cache: Path | None = option(None, "Folder for latents that several runs share; else they go to the run folder.")
    sync_expert: Path | None = option(None, "File of `train sync --expert loss`, with --set dit.sync_weight=0.1.")


@dataclass(frozen=True)
class SyncOptions(StageOptions):
    """Options of a sync expert's stage."""

    seed: int | None = option(
        None, "The same seed gives the same run; each expert has its own if not given.", minimum=0, maximum=MOST_SEED
    )
    init: Path | None = option(None, "Run folder of the same expert, or an expert's file, to start from.")
    expert: str = option(
        "score", "score (measures) or loss (others are trained against it).", choices=("score", "loss")
    )
