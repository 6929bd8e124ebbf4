"""Sub-commands that train: autoencoder, audio encoder, transformer, sync expert; and finished runs side by side."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from dithead.commands.shared import Data, Device, Init, PresetName, Run, Seed, Set, TrainSteps, given, out

train = typer.Typer(help="Train a model: autoencoder, audio encoder, then transformer.", no_args_is_help=True)
Estimate = Annotated[bool, typer.Option("--estimate", help="Only say what the run would cost on this machine.")]


@dataclass(frozen=True)
class Common:
    """What every stage with a preset is told on the command line."""

    data: Data
    output: Run
    preset: PresetName = "small"
    changes: Set = None
    steps: TrainSteps = None
    seed: Seed = None
    device: Device = None
    init: Init = None
    estimate: Estimate = False

    def run(self, stage: str, train: Callable[..., Path], *parts: Any, **more: Any) -> None:
        """Train, or estimate, with the settings called ``stage`` of the preset; ``parts`` are earlier runs."""
        from dithead.config import get_preset

        preset = get_preset(self.preset, self.changes or [])
        options = given(seed=self.seed, device=self.device, init=self.init, **more)
        if not self.estimate:
            out(str(train(self.data, preset, self.output, *parts, **given(steps=self.steps), **options)))
            return
        from dithead.train.report.cost_estimate import estimate_stage

        out(estimate_stage(stage, train, self.data, preset, *parts, steps=self.steps, **options).told())


def _command(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register ``function(common, ...)`` as a command that takes the common options and its own."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function).parameters.values())[1:]
        hints = get_type_hints(Common, include_extras=True) | get_type_hints(function, include_extras=True)
        shared = list(inspect.signature(Common).parameters.values())
        both = sorted([*shared, *own], key=lambda p: p.default is not inspect.Parameter.empty)

        def command(**options: Any) -> None:
            common = Common(**{field.name: options.pop(field.name) for field in fields(Common)})
            function(common, **options)

        parameters = [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in both]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        train.command(name, help=inspect.getdoc(function))(command)
        return function

    return register


@_command("autoencoder")
def autoencoder(common: Common) -> None:
    """Stage one: the face autoencoder. Writes autoencoder.safetensors into the run folder."""
    from dithead.train.stages.autoencoder import train_autoencoder

    common.run("autoencoder", train_autoencoder)


@_command("audio")
def audio(
    common: Common,
    voices: Annotated[Path | None, typer.Option(help="Folder of `dithead voices`: speech without faces.")] = None,
    speech: Annotated[str | None, typer.Option(help="A Whisper to start from: hub id or folder.")] = None,
    lip_predictor: Annotated[
        str | None, typer.Option(help="A Moonshine for the lip predictor to start from: hub id or folder.")
    ] = None,
    tokens_of: Annotated[
        str | None, typer.Option(help="A model whose tokens stay: only the lip predictor learns.")
    ] = None,
) -> None:
    """The audio encoder: hears what the lips do. Writes audio.safetensors into the run folder."""
    from dithead.train.stages.audio_encoder import train_audio

    common.run(
        "audio", train_audio, voices=voices, **given(speech=speech, lip_predictor=lip_predictor, tokens_of=tokens_of)
    )


@_command("dit")
def dit(
    common: Common,
    autoencoder: Annotated[str, typer.Option(help="Run folder of stage one; for paper a diffusers folder or id.")],
    audio: Annotated[Path, typer.Option(help="Run folder of the audio encoder.")],
    cache: Annotated[Path | None, typer.Option(help="Folder for latents that several runs share.")] = None,
    sync_expert: Annotated[
        Path | None, typer.Option(help="File of `train sync --expert loss`, with --set dit.sync_weight=0.1.")
    ] = None,
) -> None:
    """Stage two: the transformer. Writes the model folder."""
    from dithead.train.stages.denoiser import train_dit

    common.run("dit", train_dit, Path(autoencoder), audio, cache=cache, sync_expert=sync_expert)


@train.command("sync")
def sync(
    data: Data,
    output: Run,
    expert: Annotated[str | None, typer.Option(help="score (measures) or loss (trains others against it).")] = None,
    steps: TrainSteps = None,
    seed: Seed = None,
    device: Device = None,
    init: Annotated[Path | None, typer.Option(help="A run folder, or an expert's file, to start from.")] = None,
    estimate: Estimate = False,
) -> None:
    """A sync expert: which speech belongs to which mouth. Writes sync.safetensors into the run folder."""
    options = given(expert=expert, steps=steps, seed=seed, device=device, init=init)
    if estimate:
        from dithead.train.report.cost_estimate import estimate_sync

        out(estimate_sync(data, **options).told())
        return
    from dithead.train.stages.sync_expert import train_sync

    out(str(train_sync(data, output, **options)))


@train.command("table")
def table(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is what others differ from.")],
    people: Annotated[bool, typer.Option("--people", help="The held-out error of each person instead.")] = False,
    seeds: Annotated[bool, typer.Option("--seeds", help="Runs that differ in their seed alone as one row.")] = False,
) -> None:
    """Print finished runs side by side as Markdown: what differs, what came out, what it cost."""
    from dithead.train.report.run_table import people_table, runs_table

    out(people_table(runs) if people else runs_table(runs, seeds))
