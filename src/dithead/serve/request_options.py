"""Makes the options that a request may set from the one declaration in ``dithead.options``.

An option that is added there is in the API, its description and the page at once, unless its value names a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field as DataclassField
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, create_model

from dithead.option_fields import accepts_none, choices_of, option_fields, value_types
from dithead.options import GenerateOptions

BY_SERVER = ("model", "device", "speakers", "background_sound", "sheet", "credentials", "watermark", "consent")
"""Options that a request cannot set as they are: the server chooses the device and offers models by name; speakers and
background sound are files, which a job names beside its video; a sheet of stills would be a file of the server, and a
statement of consent could name one; and whether outputs are marked is for the operator to say."""
CONSENT = "Whoever asked for this video declared that the person shown and the speaker have agreed to it."
"""The statement of consent of everything that the server makes: no request without it is taken."""
_PLAIN = (bool, int, float, str)


def offered_options(options: type = GenerateOptions) -> list[DataclassField[Any]]:
    """Return the options of a class that a request may set: those whose values are numbers, texts or choices."""
    return [each for each in option_fields(options) if each.name not in BY_SERVER and _is_plain(each)]


def _is_plain(each: DataclassField[Any]) -> bool:
    """Whether a value is no file: a path that a request gives must never reach the disk."""
    return bool(choices_of(GenerateOptions, each)) or all(kind in _PLAIN for kind in _kinds(each))


def _kinds(each: DataclassField[Any]) -> tuple[Any, ...]:
    return value_types(GenerateOptions, each)


@cache
def options_model(models: tuple[str, ...] = (), options: type = GenerateOptions) -> type[BaseModel]:
    """Return the class that checks the options of a request.

    Args:
        models: Names of the models that the server offers; the first is the default.
        options: ``GenerateOptions`` for a job, ``SamplingOptions`` for live speech.
    """
    fields: dict[str, Any] = {each.name: _field(each) for each in offered_options(options)}
    if models:
        text = "One of the models that the server offers."
        fields["model"] = (Literal[models], Field(models[0], description=text))
    name = "Options" if options is GenerateOptions else "LiveOptions"
    return create_model(name, __config__=ConfigDict(extra="forbid", strict=False), **fields)


def _field(each: DataclassField[Any]) -> tuple[Any, Any]:
    """An option's type and default for pydantic, with its range and its help."""
    choices = choices_of(GenerateOptions, each)
    kind: Any = Literal[choices] if choices else Union[tuple(_bounded(each, kind) for kind in _kinds(each))]  # noqa: UP007
    if accepts_none(GenerateOptions, each):
        kind = kind | None
    return kind, Field(each.default, description=each.metadata["help"])


def _bounded(each: DataclassField[Any], kind: Any) -> Any:
    """One type of an option's values with its limits."""
    low, high = each.metadata.get("minimum"), each.metadata.get("maximum")
    if kind in (int, float):
        details: dict[str, Any] = {"le": high if high is not None else _largest(kind)}
        details |= {} if low is None else {"ge": low}
        details |= {"allow_inf_nan": False} if kind is float else {"strict": True}
        return Annotated[kind, Field(**details)]
    return Annotated[str, Field(max_length=100)] if kind is str else Annotated[bool, Field(strict=True)]


def _largest(kind: type) -> float:
    """The largest number where the option names none: what fits everywhere, so that no sum overflows."""
    return 2**31 - 1 if kind is int else 1e9


def check_options(given: Mapping[str, Any]) -> None:
    """Check options against one another as the call itself does, so that a job is refused at once.

    Raises:
        ConfigError: What ``dithead.generate`` would say.
    """
    GenerateOptions(**{name: value for name, value in given.items() if name != "model"})


def described_options() -> list[dict[str, Any]]:
    """Return each option with its help, kind, default, range and choices, from which the page makes its form."""
    described = []
    for each in offered_options():
        choices = choices_of(GenerateOptions, each)
        kinds = _kinds(each)
        kind = "choice" if choices else kinds[0].__name__ if len(kinds) == 1 else "str"
        limits = {name: each.metadata[name] for name in ("minimum", "maximum") if name in each.metadata}
        text = {"name": each.name, "help": each.metadata["help"], "default": each.default}
        described.append(text | {"kind": kind, "choices": list(choices)} | limits)
    return described
