"""What the sub-commands share: options that mean the same everywhere, and how results and notes are printed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.errors import ConfigError

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
