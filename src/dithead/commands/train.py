"""Sub-commands that train: autoencoder, audio encoder, denoiser, sync expert; and a table of finished runs.

The options of each stage come from ``train.stages.options``, which holds their names, defaults and help texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Data, PresetName, Run, Set, WholeSentences, given, out, reports, say, takes_options
from dithead.errors import ConfigError
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions, StageOptions, SyncOptions

train = typer.Typer(
    cls=WholeSentences, help="Train a model: autoencoder, audio encoder, then denoiser.", no_args_is_help=True
)
Estimate = Annotated[bool, typer.Option("--estimate", help="Only say what the run would cost on this machine.")]


@dataclass(frozen=True)
class PresetRequest:
    """What the commands of stages with a preset get besides the stage's options."""

    data: list[str]
    output: Path
    preset: str
    changes: list[str] | None
    estimate: bool

    def run(self, stage: str, train: Callable[..., Path], options: StageOptions, *parts: Path | str) -> None:
        """Train a stage, or estimate its cost.

        Args:
            stage: Its name in the preset.
            train: Its training function, called as ``train(data, preset, output, *parts, options)``.
            options: Its options.
            parts: Earlier runs that it reads.
        """
        from dithead.config import get_preset

        preset = get_preset(self.preset, self.changes or [])
        say(f"training {self.output.name} ({stage} of preset {self.preset}) on {', '.join(self.data)}")
        if not self.estimate:
            out(str(train(self.data, preset, self.output, *parts, options)))
            return
        from dithead.train.report.cost_estimate import PresetStage, estimate_stage

        out(estimate_stage(PresetStage(stage, train, parts), self.data, preset, options).summary())


@train.command("autoencoder")
@reports
@takes_options(AutoencoderOptions)
def autoencoder(
    data: Data,
    output: Run,
    estimate: Estimate = False,
    preset: PresetName = "small",
    changes: Set = None,
    **options: Any,
) -> None:
    """Stage one: train the face autoencoder. Writes autoencoder.safetensors into the run folder."""
    from dithead.train.stages.autoencoder import train_autoencoder

    request = PresetRequest(data, output, preset, changes, estimate)
    request.run("autoencoder", train_autoencoder, AutoencoderOptions(**given(**options)))


@train.command("audio")
@reports
@takes_options(AudioOptions)
def audio(
    data: Data,
    output: Run,
    estimate: Estimate = False,
    preset: PresetName = "small",
    changes: Set = None,
    **options: Any,
) -> None:
    """Train the audio encoder, which predicts the lips from speech. Writes audio.safetensors into the run folder."""
    from dithead.train.stages.audio_encoder import train_audio

    request = PresetRequest(data, output, preset, changes, estimate)
    request.run("audio", train_audio, AudioOptions(**given(**options)))


@train.command("dit")
@reports
@takes_options(DenoiserOptions)
def dit(
    data: Data,
    output: Run,
    autoencoder: Annotated[str, typer.Option(help="Run folder of stage one; for paper a diffusers folder or id.")],
    audio: Annotated[Path, typer.Option(help="Run folder of the audio encoder.")],
    estimate: Estimate = False,
    preset: PresetName = "small",
    changes: Set = None,
    **options: Any,
) -> None:
    """Stage two: train the denoiser. Writes the model folder."""
    from dithead.train.stages.denoiser import train_dit

    request = PresetRequest(data, output, preset, changes, estimate)
    request.run("dit", train_dit, DenoiserOptions(**given(**options)), Path(autoencoder), audio)


@train.command("sync")
@reports
@takes_options(SyncOptions)
def sync(data: Data, output: Run, estimate: Estimate = False, **options: Any) -> None:
    """Train a sync expert: which speech belongs to which mouth. Writes sync.safetensors into the run folder."""
    chosen = SyncOptions(**given(**options))
    if estimate:
        from dithead.train.report.cost_estimate import estimate_sync

        out(estimate_sync(data, chosen).summary())
        return
    say(f"training {output.name} (sync expert) on {', '.join(data)}")
    from dithead.train.stages.sync_expert import train_sync

    out(str(train_sync(data, output, chosen)))


@train.command("table")
def table(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are compared with the first.")],
    people: Annotated[bool, typer.Option("--people", help="The held-out error of each person instead.")] = False,
    seeds: Annotated[bool, typer.Option("--seeds", help="Runs that differ in their seed alone as one row.")] = False,
) -> None:
    """Print finished runs side by side as Markdown: settings that differ, held-out metrics, speed."""
    from dithead.train.report.run_table import people_table, runs_table

    if people and seeds:
        raise ConfigError("--people and --seeds exclude each other; give one of them")
    out(people_table(runs) if people else runs_table(runs, seeds))
