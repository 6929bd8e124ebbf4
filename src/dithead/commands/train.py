"""Sub-commands that train: autoencoder, audio encoder, denoiser, sync expert; and a table of finished runs.

The options of each stage come from ``train.stages.options``, which holds their names, defaults and help texts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from dithead.commands.shared import Data, PresetName, Run, Set, out
from dithead.train.stages.options import AudioOptions, DenoiserOptions, StageOptions, SyncOptions

train = typer.Typer(help="Train a model: autoencoder, audio encoder, then denoiser.", no_args_is_help=True)
Estimate = Annotated[bool, typer.Option("--estimate", help="Only say what the run would cost on this machine.")]
Options = TypeVar("Options", bound=StageOptions)


@dataclass(frozen=True)
class StageRequest:
    """What every training command gets besides its options."""

    data: Data
    output: Run
    estimate: Estimate = False


@dataclass(frozen=True)
class PresetRequest(StageRequest):
    """What the commands of stages with a preset get."""

    preset: PresetName = "small"
    changes: Set = None

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
        if not self.estimate:
            out(str(train(self.data, preset, self.output, *parts, options)))
            return
        from dithead.train.report.cost_estimate import PresetStage, estimate_stage

        out(estimate_stage(PresetStage(stage, train, parts), self.data, preset, options).summary())


def _command(
    name: str, request_class: type[StageRequest], options_class: type[Options]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register ``function(request, options, ...)`` as a command with the fields of both classes as its options."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        shared = [*_parameters(request_class), *_parameters(options_class)]
        hints = get_type_hints(function, include_extras=True)
        own = [p.replace(annotation=hints[p.name]) for p in list(inspect.signature(function).parameters.values())[2:]]

        def command(**arguments: Any) -> None:
            request, options = (_take(arguments, made) for made in (request_class, options_class))
            function(request, options, **arguments)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*shared, *own]]
        parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        train.command(name, help=inspect.getdoc(function))(command)
        return function

    return register


def _parameters(made: type[Any]) -> list[inspect.Parameter]:
    """Turn the fields of a dataclass into parameters; a field with a help text becomes an option with it."""
    hints, parameters = get_type_hints(made, include_extras=True), inspect.signature(made).parameters
    for field in fields(made):
        if limits := dict(field.metadata):
            hints[field.name] = Annotated[hints[field.name], typer.Option(help=limits.pop("help"), **limits)]
    return [parameters[field.name].replace(annotation=hints[field.name]) for field in fields(made)]


def _take(arguments: dict[str, Any], made: type[Any]) -> Any:
    """Make a dataclass from the arguments of its fields, which leave ``arguments``."""
    return made(**{field.name: arguments.pop(field.name) for field in fields(made)})


@_command("autoencoder", PresetRequest, StageOptions)
def autoencoder(request: PresetRequest, options: StageOptions) -> None:
    """Stage one: train the face autoencoder. Writes autoencoder.safetensors into the run folder."""
    from dithead.train.stages.autoencoder import train_autoencoder

    request.run("autoencoder", train_autoencoder, options)


@_command("audio", PresetRequest, AudioOptions)
def audio(request: PresetRequest, options: AudioOptions) -> None:
    """Train the audio encoder, which predicts the lips from speech. Writes audio.safetensors into the run folder."""
    from dithead.train.stages.audio_encoder import train_audio

    request.run("audio", train_audio, options)


@_command("dit", PresetRequest, DenoiserOptions)
def dit(
    request: PresetRequest,
    options: DenoiserOptions,
    autoencoder: Annotated[str, typer.Option(help="Run folder of stage one; for paper a diffusers folder or id.")],
    audio: Annotated[Path, typer.Option(help="Run folder of the audio encoder.")],
) -> None:
    """Stage two: train the denoiser. Writes the model folder."""
    from dithead.train.stages.denoiser import train_dit

    request.run("dit", train_dit, options, Path(autoencoder), audio)


@_command("sync", StageRequest, SyncOptions)
def sync(request: StageRequest, options: SyncOptions) -> None:
    """Train a sync expert: which speech belongs to which mouth. Writes sync.safetensors into the run folder."""
    if request.estimate:
        from dithead.train.report.cost_estimate import estimate_sync

        out(estimate_sync(request.data, options).summary())
        return
    from dithead.train.stages.sync_expert import train_sync

    out(str(train_sync(request.data, request.output, options)))


@train.command("table")
def table(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are compared with the first.")],
    people: Annotated[bool, typer.Option("--people", help="The held-out error of each person instead.")] = False,
    seeds: Annotated[bool, typer.Option("--seeds", help="Runs that differ in their seed alone as one row.")] = False,
) -> None:
    """Print finished runs side by side as Markdown: settings that differ, held-out metrics, speed."""
    from dithead.train.report.run_table import people_table, runs_table

    out(people_table(runs) if people else runs_table(runs, seeds))
