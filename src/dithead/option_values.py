"""Turn the values that callers give into the types that options declare, or refuse them in one line.

Python callers, job lists and the command line give the same option as a number, as text, or as another type from which
its meaning is plain: ``crf="10"``, ``face=3``, ``speakers={"1": "anna.wav"}``. All of them pass through here before any
work begins. This file imports nothing heavy, because the command line reads it whenever it starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from types import GenericAlias
from typing import Any, TypeVar, get_args, get_origin

from dithead.errors import ConfigError, UnknownOptionError
from dithead.option_fields import (
    accepts_none,
    choices_of,
    describe_range,
    in_range,
    number_text,
    option_fields,
    value_types,
)

Options = TypeVar("Options")
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LONGEST = 40  # characters of a refused value that an error message repeats


class _Unfit(Exception):  # noqa: N818 - it never leaves this file
    """A value that cannot be read as a type."""


def settle(options: Any) -> None:
    """Give every option of a frozen object the type it declares, and check its choices and its range.

    Call it in ``__post_init__``.

    Raises:
        ConfigError: A value is not allowed; the message has the option's name and what is allowed.
    """
    for each in option_fields(type(options)):
        object.__setattr__(options, each.name, read_value(type(options), each, getattr(options, each.name)))


def read_value(cls: type[Any], each: Field[Any], value: Any) -> Any:
    """Return a value as the type of its field.

    Args:
        cls: The class of options.
        each: The field.
        value: What the caller gave.

    Raises:
        ConfigError: The value cannot be read as that type, is none of the choices, or is out of range.
    """
    if value is None and accepts_none(cls, each):
        return None
    value, choices = _plain(value), choices_of(cls, each)
    if choices:
        if not isinstance(value, str) or value not in choices:
            raise ConfigError(f"unknown {each.name} {shown(value)}; choose one of: {', '.join(choices)}")
        return value
    try:
        found = each.metadata["convert"](value) if "convert" in each.metadata else _read(value_types(cls, each), value)
    except _Unfit:
        raise ConfigError(f"{each.name} must be {describe_types(cls, each)}, not {shown(value)}") from None
    except ValueError as error:
        raise ConfigError(f"{each.name} {error}, not {shown(value)}") from None
    for number in found if isinstance(found, tuple) else (found,):
        if isinstance(number, int | float) and not isinstance(number, bool) and not in_range(each, number):
            raise ConfigError(f"{each.name} must {describe_range(each)}, not {number_text(number)}")
    return found


def file_name(name: str, value: Any) -> str | PathLike[str]:
    """Return the name of a file. Raises ConfigError, with the ``name`` of the argument, for anything else."""
    try:
        found: str | PathLike[str] = _file(value)
    except _Unfit:
        raise ConfigError(f"{name} must be the name of a file, not {shown(value)}") from None
    return found


def make_options(cls: type[Options], caller: str, /, **values: Any) -> Options:
    """Make an object of options from keywords.

    Args:
        cls: The class of options.
        caller: The function that was called, for the message.
        values: Options by name.

    Raises:
        UnknownOptionError: There is no option of a name, and the message suggests a similar one; or one is missing.
        ConfigError: A value is not allowed.
    """
    known = [each for each in fields(cls) if each.init]  # type: ignore[arg-type]  # every Options is a dataclass
    require_known(caller, values, [each.name for each in known])
    required = [each.name for each in known if each.default is each.default_factory is MISSING]
    if missing := [name for name in required if name not in values]:
        raise UnknownOptionError(f"{caller} needs {' and '.join(missing)}")
    return cls(**values)


def require_known(caller: str, names: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise UnknownOptionError, with a suggestion, where one of ``names`` is not ``known`` to the ``caller``."""
    from difflib import get_close_matches

    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise UnknownOptionError(f"{caller} has no option {name!r}; {hint}")


def shown(value: Any) -> str:
    """Return a value as it was written, shortened to one line."""
    text = repr(value) if isinstance(value, str | int | float | bool | list | tuple | dict | bytes) or value is None \
        else f"an object of type {type(value).__name__}"  # fmt: skip
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def describe_types(cls: type[Any], each: Field[Any]) -> str:
    """Return in words what an option takes, such as ``a whole number``."""
    if "takes" in each.metadata:
        return str(each.metadata["takes"])
    kinds = value_types(cls, each)
    if any(get_origin(kind) is PathLike for kind in kinds):
        return _WORDS[PathLike]
    return " or ".join(dict.fromkeys(map(_describe, kinds)))


def _describe(kind: Any) -> str:
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin in _WORDS:
        return _WORDS[origin]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        keys = "numbers" if inner[0] is int else "names"
        return f"a mapping of {keys} to {_plural(inner[1])}"
    return f"a list of {_plural(inner[0])}"


def _plural(kind: Any) -> str:
    kinds = get_args(kind) if get_origin(kind) not in (None, PathLike) else (kind,)
    names = {int: "whole numbers", float: "numbers", str: "texts"}
    return names.get(kinds[0], "names of files") if len(kinds) == 1 else "names of files"


def _read(kinds: Sequence[Any], value: Any) -> Any:
    """The value as the first of several types that fits."""
    is_file = any(get_origin(kind) is PathLike for kind in kinds)
    for kind in kinds:
        origin = get_origin(kind) or kind
        reader = _file if is_file and origin is str else _READERS.get(origin)
        try:
            return _read_collection(kind, value) if reader is None else reader(value)
        except _Unfit:
            continue
    raise _Unfit


def _read_collection(kind: Any, value: Any) -> Any:
    """A mapping or a list with the types of its declaration; a single value becomes a list of one."""
    if not isinstance(kind, GenericAlias) and get_origin(kind) is None:
        raise _Unfit
    inner = get_args(kind)
    if issubclass(get_origin(kind), Mapping):
        if not isinstance(value, Mapping):
            raise _Unfit
        return {_read((inner[0],), key): _read(_members(inner[1]), item) for key, item in value.items()}
    if isinstance(value, Mapping):
        raise _Unfit
    single = isinstance(value, str | bytes | PathLike) or not hasattr(value, "__iter__")
    return tuple(_read(_members(inner[0]), _plain(item)) for item in ((value,) if single else value))


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) not in (None, PathLike) else (kind,)


def _plain(value: Any) -> Any:
    """Numbers of NumPy and torch as Python's own."""
    if not isinstance(value, type) and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    return value


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if found is None:
        raise _Unfit
    return found


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise _Unfit
    try:
        return int(value) if isinstance(value, Integral | str) else int(number)  # a float would round large ones
    except ValueError:  # a text such as 3.0
        return int(number)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | Real):
        raise _Unfit
    try:
        number = float(value)
    except (OverflowError, ValueError):
        raise _Unfit from None
    if not math.isfinite(number):
        raise _Unfit
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit
    return value


def _file(value: Any) -> Any:
    if not isinstance(value, str | PathLike) or not fspath(value) or isinstance(fspath(value), bytes):
        raise _Unfit
    return value


def _path(value: Any) -> Path:
    return Path(_file(value))


def _object(value: Any) -> Any:
    """An object that only the code that uses it can judge, such as a loaded model."""
    if value is None or isinstance(value, str | bytes | Real | Mapping | list | tuple | set | type):
        raise _Unfit
    return value


_READERS: dict[Any, Callable[[Any], Any]] = {
    bool: _truth, int: _whole, float: _number, str: _text, Path: _path, PathLike: _file, Any: _object,
}  # fmt: skip
_WORDS: dict[Any, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "the name of a file",
    PathLike: "the name of a file", Any: "an object of that kind",
}  # fmt: skip
