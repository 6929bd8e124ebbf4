"""Declare options as fields of a dataclass, and list and describe the options of such a class.

Every part of the package writes its options once, in a class of this kind. ``option_values.settle`` reads and checks
their values, and ``commands.shared.takes_options`` gives a command the options of a class. This file imports nothing
heavy, because the command line reads it whenever it starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import Field, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, Union, Unpack, get_args, get_origin, get_type_hints

Engine = Literal["local", "ray"]
"""Where many tasks run: in processes of this machine, or on a Ray cluster (``engine.map_tasks``)."""
MOST_STEPS = 1000
"""Sampling steps, at most (our choice): a mistyped number would draw for days, and the times alone fill the memory."""
MOST_SEED = 2**63 - 1
"""The largest seed that credentials can hold; torch takes twice as much."""


_LIMITS = ("minimum", "maximum")


class OptionDetails(TypedDict, total=False):
    """What can be declared of an option besides its type, its default and its help text."""

    minimum: float  # the smallest number allowed
    maximum: float  # the largest number allowed
    choices: tuple[str, ...]  # the values allowed, where the type is not a ``Literal`` that lists them
    flag: str  # its name on the command line, where that is not ``--`` and the name of the field
    envvar: str  # the environment variable that the command line reads when the option is not given
    value: str  # what stands for its value in ``--help``, such as SECONDS, where the type does not say enough
    bare: str  # what it is on the command line where nothing follows it
    takes: str  # what it takes in words, for error messages, where its type does not say enough
    convert: Callable[[Any], Any]  # reads the value; ValueError("must be ...") where it cannot


def about(text: str, **details: Unpack[OptionDetails]) -> dict[str, Any]:
    """Return the metadata that make a dataclass field an option.

    It is for an option without a default, as ``field(metadata=about(...))``; all others are declared with ``option``.

    Args:
        text: What the option does, in one sentence, with its unit. The command line and the docstrings show it.
        details: See ``OptionDetails``.
    """
    return {"help": text, **details}


def option(default: Any, text: str, **details: Unpack[OptionDetails]) -> Any:
    """Declare a dataclass field that is an option for users.

    Args:
        default: The option's default value, which must be immutable.
        text: What the option does, in one sentence, with its unit. The command line and the docstrings show it.
        details: See ``OptionDetails``.
    """
    return field(default=default, metadata=about(text, **details))


def option_fields(cls: type[Any]) -> list[Field[Any]]:
    """Return the fields of a dataclass that are options, in the order in which they are written."""
    return [each for each in fields(cls) if "help" in each.metadata]


def option_types(cls: type[Any]) -> dict[str, Any]:
    """Return the type of every field of a dataclass by its name."""
    return _type_hints(cls)  # type: ignore[arg-type]  # mypy does not see that classes are hashable


@cache
def _type_hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls)


def value_types(cls: type[Any], each: Field[Any]) -> tuple[Any, ...]:
    """Return the types that a field's value may have: the members of a union, without None."""
    kind = option_types(cls)[each.name]
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return tuple(member for member in members if member is not NoneType)


def choices_of(cls: type[Any], each: Field[Any]) -> tuple[str, ...]:
    """Return the values that an option may take, or an empty tuple when any value of its type will do."""
    kind = value_types(cls, each)[0]
    choices: tuple[str, ...] = get_args(kind) if get_origin(kind) is Literal else each.metadata.get("choices", ())
    return choices


def in_range(each: Field[Any], value: float) -> bool:
    """Return whether a number is between the smallest and the largest that its field allows."""
    low, high = map(each.metadata.get, _LIMITS)
    return (low is None or value >= low) and (high is None or value <= high)


def accepts_none(cls: type[Any], each: Field[Any]) -> bool:
    """Return whether None is a value of a field."""
    kind = option_types(cls)[each.name]
    return get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)


def describe_range(each: Field[Any]) -> str:
    """Return what a number must do to be in the range of its field, such as ``be at least 1``."""
    low, high = (None if limit is None else number_text(limit) for limit in map(each.metadata.get, _LIMITS))
    if high is None:
        return f"be at least {low}"
    return f"be at most {high}" if low is None else f"lie between {low} and {high}"


def number_text(number: float) -> str:
    """Return a number as people write it: a whole one with all its digits, others with six."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def describe_options(cls: type[Any]) -> str:
    """Return the options of a class as the ``Args`` of a docstring: name, help text and default."""
    lines = [
        f"    {each.name}: {in_python(cls, each.metadata['help'])} Default: {each.default!r}."
        for each in option_fields(cls)
    ]
    return "\n".join(lines)


def in_python(cls: type[Any], text: str) -> str:
    """Return a help text with ``--no-idle`` written as ``idle=False`` and ``--fit`` as ``fit``."""
    for name in (each.name for each in option_fields(cls)):
        flag = re.escape(name.replace("_", "-"))
        text = re.sub(rf"--no-{flag}(?![\w-])", f"{name}=False", text)
        text = re.sub(rf"--{flag}(?![\w-])", name, text)
    return text
