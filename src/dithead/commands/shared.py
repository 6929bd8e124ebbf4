"""What the sub-commands share: options that mean the same everywhere, and how results and notes are printed."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, Field, asdict
from itertools import zip_longest
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from dithead.errors import ConfigError
from dithead.option_fields import choices_of, option_fields, value_types
from dithead.progress import print_event, style

Model = Annotated[
    str | None,
    typer.Option(
        help="A shipped name, a model folder or a hub id (org/name@revision).",
        envvar="DITHEAD_MODEL",
        metavar="NAME|FOLDER",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors, marks that are off, and the result only.")]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="Print progress, notes and errors as JSON objects on stderr, one a line.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
Data = Annotated[list[str], typer.Option(help="A prepared dataset, FOLDER or FOLDER:WEIGHT; repeatable.")]
PresetName = Annotated[str, typer.Option(help="One of those that `dithead presets` lists.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A preset's setting, as model.objective=ddpm; repeatable.")
]
Run = Annotated[Path, typer.Option("--output", "-o", help="Run folder; the same command resumes it.")]


def takes_options(
    cls: type[Any], *, only: Container[str] | None = None, without: Container[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a class, which then arrive as keywords; those not given are None.

    Args:
        cls: The dataclass in which the options are declared, with their help and defaults; see ``option_fields``.
        only: The options that the command has; all of them by default.
        without: Options that the command declares itself.
    """
    chosen = [each for each in option_fields(cls) if only is None or each.name in only]
    options = [_parameter(cls, each) for each in chosen if each.name not in without]

    def register(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = [*(p.replace(annotation=hints[p.name]) for p in own), *options]
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {p.name: p.annotation for p in parameters}
        bare = {f"--{each.name}": each.metadata["bare"] for each in chosen if "bare" in each.metadata}
        function.bare_values = getattr(function, "bare_values", {}) | bare  # type: ignore[attr-defined]
        return function

    return register


class WholeSentences(TyperGroup):
    """Writes help in words: whole sentences, which click would cut, and FILE or N instead of the names of types."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command whose help names no type of Python."""
        command = super().get_command(ctx, cmd_name)
        for parameter in getattr(command, "params", ()):
            _in_words(parameter)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, " ".join((each.help or "").split("\n\n")[0].split())) for name, each in commands.items() if each]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _in_words(parameter: Any) -> None:
    """Name the value of an option, and an argument, as a person would; older versions of typer do so already."""
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is None:
        return
    is_argument = parameter.param_type_name == "argument"
    if parameter.metavar is None and not getattr(parameter, "is_flag", False):
        parameter.metavar = parameter.name.upper() if is_argument else _value(descriptor.annotation)
    if is_argument:
        parameter.display_type_rich = lambda **_: None


class OptionalValues(TyperCommand):
    """A command some of whose options may stand without a value, which is then the option's ``bare``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the values in, then parse as usual."""
        bare: dict[str, str] = getattr(self.callback, "bare_values", {})
        completed: list[str] = []
        for argument, following in zip_longest(args, args[1:], fillvalue="-"):
            completed.append(argument)
            if argument in bare and following.startswith("-"):
                completed.append(bare[argument])
        return super().parse_args(ctx, completed)


def _parameter(cls: type[Any], each: Field[Any]) -> inspect.Parameter:
    """An option as a parameter of a typer command; one that is not given is None, so that the class's default holds."""
    flag = f"--{each.name.replace('_', '-')}"
    if each.default is True:
        flag = f"{flag}/--no-{flag[2:]}"
    is_hidden = isinstance(each.default, tuple) or any(each.default is value for value in (None, False, MISSING))
    kind: Any = _parsed_type(cls, each)
    option = typer.Option(
        each.metadata.get("flag", flag),
        help=each.metadata["help"] + ("" if is_hidden else f" [default: {shown_default(each.default)}]"),
        envvar=each.metadata.get("envvar"),
        show_default=False,  # click would put the text of a default into parentheses
        metavar=" " if kind is bool else each.metadata.get("value") or "|".join(choices_of(cls, each)) or _value(kind),
        autocompletion=_completer(choices_of(cls, each)),
    )
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def shown_default(value: Any) -> str:
    """A default as ``--help`` shows it."""
    return "on" if value is True else f"{value:g}" if isinstance(value, float) else str(value)


def _value(kind: Any) -> str:
    """What stands for a value in ``--help``."""
    inner = get_args(kind)[0] if get_origin(kind) is list else kind
    return {int: "N", float: "NUMBER", Path: "FILE"}.get(inner, "TEXT")


def _completer(choices: tuple[str, ...]) -> Callable[[str], list[str]] | None:
    """What a shell offers for the value of an option; None, its own way, where any value will do."""
    return (lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]) if choices else None


def _parsed_type(cls: type[Any], each: Field[Any]) -> Any:
    """The type as which typer parses an option: a list of texts (NAME=FILE) for a mapping, text for a choice."""
    first, *others = value_types(cls, each)
    origin = get_origin(first)
    if choices_of(cls, each):
        return str
    if others:
        return Path if Path in (first, *others) else str
    if origin is None:
        return first
    return GenericAlias(list, str if issubclass(origin, Mapping) else get_args(first)[0])


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
    """Print a note on stderr; ``--quiet`` leaves it out, and ``--log-json`` makes a JSON object of it."""
    if style.get() == "json":
        print_event("note", text=line)
    elif style.get() != "quiet":
        typer.echo(f"dithead: {line}", err=True)


def remark(line: str, *, always: bool = False) -> None:
    """Print a note about a result, ``always`` also under ``--quiet``; one that warns says so itself."""
    tell = insist if always else say
    tell(line if style.get() == "json" or line.startswith("warning") else f"note: {line}")


def insist(line: str) -> None:
    """Print a note on stderr that ``--quiet`` does not leave out."""
    if style.get() == "json":
        print_event("note", text=line)
    else:
        typer.echo(f"dithead: {line}", err=True)


def complain(line: str) -> None:
    """Print an error on stderr, whatever else is left out."""
    if style.get() == "json":
        print_event("error", text=line)
    else:
        typer.echo(f"dithead: {line}", err=True)


def reports(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that may take long ``--quiet`` and ``--log-json``."""

    @functools.wraps(command)
    def call(*args: Any, quiet: bool = False, log_json: bool = False, **options: Any) -> None:
        if quiet and log_json:
            raise ConfigError("--quiet and --log-json exclude each other; give one of them")
        style.set("json" if log_json else "quiet" if quiet else "auto")  # it also holds for the error at the end
        command(*args, **options)

    hints = get_type_hints(command, include_extras=True)
    own = [
        p.replace(annotation=hints.get(p.name, p.annotation)) for p in inspect.signature(command).parameters.values()
    ]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("log_json", LogJson))
    ]
    call.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in (*own, *more)}
    return call
