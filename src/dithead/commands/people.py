"""Sub-commands that make material for training and tests: synth and voices."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import typer

from dithead.commands.shared import Json, Seed, given, out, out_fields
from dithead.errors import ConfigError
from dithead.synth.corpus.options import SynthOptions

_HELP = {field.name: field.metadata["help"] for field in fields(SynthOptions)}
Engine = Annotated[str | None, typer.Option(help=_HELP["engine"])]
Workers = Annotated[int | None, typer.Option(help=_HELP["workers"])]
Given = dict[str, Any]  # options that stand on the command line, by the name of their field of SynthOptions

_HARD_OPTIONS = ("head_model", "seed", "size", "seconds")  # the options of `synth --hard`


def _option_parameters() -> list[inspect.Parameter]:
    """One command-line parameter for each field of SynthOptions; its default is None, so that defaults stay there."""
    hints = get_type_hints(SynthOptions)
    parameters = []
    for field in fields(SynthOptions):
        kind, flag = hints[field.name], hints[field.name] is bool
        kind = list[str] if get_origin(kind) is tuple else str if get_origin(kind) is Literal else kind
        names = [f"--{field.name}"] if flag else []
        option = typer.Option(*names, help=field.metadata["help"], envvar=field.metadata["envvar"])
        optional: Any = bool if flag else kind | None
        default = field.default if flag else None
        parameters.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[optional, option]
            )
        )
    return parameters


def _with_synth_options(function: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter ``options`` of a command by one parameter for each field of SynthOptions."""
    hints = get_type_hints(function, include_extras=True)
    options = _option_parameters()
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        own = parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += options if parameter.name == "options" else [own]

    def command(**values: Any) -> None:
        chosen = {option.name: values.pop(option.name) for option in options}
        function(options={name: value for name, value in given(**chosen).items() if value is not False}, **values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


@_with_synth_options
def synth(
    output: Annotated[Path, typer.Option("--output", "-o", help="Corpus folder; the same command resumes it.")],
    options: Given,
    count: Annotated[int | None, typer.Argument(help="How many clips, each of another person.")] = None,
    number: Annotated[int | None, typer.Option("-n", help="The same as COUNT.")] = None,
    skin_from: Annotated[Path | None, typer.Option(help="A prepared dataset whose people's skins are worn.")] = None,
    hard: Annotated[bool, typer.Option("--hard", help="One clip of each hard case instead, for tests.")] = False,
    as_json: Json = False,
) -> None:
    """Render synthetic people who talk, with exact mouth truth."""
    if None not in (count, number):
        raise ConfigError("say how many clips once: COUNT or -n COUNT")
    count = number if count is None else count
    if hard:
        _make_hard_cases(output, options, given(count=count, skin_from=skin_from), as_json)
        return
    from dithead.synth.corpus.people import synth_corpus

    more: dict[str, Any] = {}
    if skin_from:
        from dithead.prepare.dataset import Dataset

        more["skin_from"] = Dataset(skin_from).clips()
    options |= {name: tuple(value) for name, value in options.items() if isinstance(value, list)}
    result = synth_corpus(count, output, SynthOptions(**options), **more)
    if as_json:
        out_fields(result)
    else:
        out(f"{result.output}  {result.clips} clips, {result.made} of them new")


def _make_hard_cases(output: Path, options: Given, more: Given, as_json: bool) -> None:
    useless = ["count"] * ("count" in more)
    useless += [f"--{name.replace('_', '-')}" for name in [*options, *more] if name not in (*_HARD_OPTIONS, "count")]
    if useless:
        raise ConfigError(f"--hard makes one clip of each case, with labels; it takes no {', '.join(useless)}")
    from dithead.synth.corpus.hard_cases import HardResult, synth_hard_cases

    folders = synth_hard_cases(output, **options)
    result = HardResult(output, [folder.name for folder in folders])
    if as_json:
        out_fields(result)
    else:
        out(f"{output}  {', '.join(result.cases)}")


def voices(
    count: Annotated[int, typer.Argument(help="How many clips.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; the same command resumes it.")],
    seconds: Annotated[float | None, typer.Option(help="Longest clip.")] = None,
    seed: Seed = None,
    workers: Workers = None,
    engine: Engine = None,
) -> None:
    """Speech of many synthetic voices and languages with the mouth movement of its phonemes, for `train audio`."""
    from dithead.synth.corpus.voices import voice_corpus

    made = voice_corpus(count, output, **given(seconds=seconds, seed=seed, workers=workers, engine=engine))
    out(f"{output}  {len(made)} clips")
