"""What the sub-commands share: options that mean the same everywhere, and how results and notes are printed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Container
from dataclasses import Field, asdict
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from dithead.errors import ConfigError
from dithead.options import SamplingOptions, choices_of, option_fields, option_types

Model = Annotated[str | None, typer.Option(help="A shipped name, a model folder or a hub id (org/name@revision).")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same output.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
Data = Annotated[list[str], typer.Option(help="A prepared dataset, FOLDER or FOLDER:WEIGHT; repeatable.")]
PresetName = Annotated[str, typer.Option(help="One of those that `dithead presets` lists.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A preset's setting, as model.objective=ddpm; repeatable.")
]
Run = Annotated[Path, typer.Option("--output", "-o", help="Run folder; the same command resumes it.")]
Init = Annotated[Path | None, typer.Option(help="Run of the same stage to start from; for dit a model folder, too.")]
TrainSteps = Annotated[int | None, typer.Option(min=1, help="Training steps, instead of the preset's.")]


def takes_options(
    cls: type[SamplingOptions], *, but: Container[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a class, which then arrive as keywords; those not given are None.

    Args:
        cls: Where the options are written, with their help and defaults.
        but: Options that the command declares itself.
    """
    types = option_types(cls)
    shared = [_parameter(cls, each, types[each.name]) for each in option_fields(cls) if each.name not in but]

    def register(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = [*(p.replace(annotation=hints[p.name]) for p in own), *shared]
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {p.name: p.annotation for p in parameters}
        return function

    return register


def _parameter(cls: type[SamplingOptions], each: Field[Any], kind: Any) -> inspect.Parameter:
    """An option as a parameter of a typer command; one that is not given is None, so that the class's default holds."""
    flag = f"--{each.name.replace('_', '-')}"
    if kind is bool and each.default:
        flag = f"{flag}/--no-{flag[2:]}"
    if choices_of(cls, each) or each.name == "model":
        kind = str
    shown_default = False if each.default in (None, False) else str(each.default)
    option = typer.Option(flag, help=each.metadata["help"], show_default=shown_default)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def given(**options: Any) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {name: value for name, value in options.items() if value not in (None, [], {})}


def numbered(entries: list[str]) -> dict[int, Path]:
    """``NUMBER=FILE`` entries as a mapping. Raises ConfigError for another form or a number twice."""
    files: dict[int, Path] = {}
    for entry in entries:
        number, _, file = entry.partition("=")
        if not (number.isdecimal() and file) or int(number) in files:
            raise ConfigError(f"{entry!r}: give each face once, as NUMBER=FILE")
        files[int(number)] = Path(file)
    return files


def out(line: str) -> None:
    typer.echo(line)


def out_fields(result: Any) -> None:
    """A dataclass as one JSON object."""
    out(json.dumps(asdict(result), default=str, ensure_ascii=False))


def say(line: str) -> None:
    typer.echo(f"dithead: {line}", err=True)
