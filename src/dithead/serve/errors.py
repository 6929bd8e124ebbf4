"""The errors of the API: the one line of the command line, with an HTTP status; no path of the server is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dithead.errors import DitheadError, OutputError
from dithead.serve.patterns import IN_WORDS

_MOST = 3  # faults that one line tells (our choice)


class ApiError(DitheadError):
    """A request cannot be met.

    Args:
        status: The HTTP status.
        line: What is wrong and what to do.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, line: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(line)
        self.status, self.headers = status, dict(headers or {})


def not_found(what: str) -> ApiError:
    """Return the error for something that does not exist, or belongs to another key."""
    return ApiError(404, f"there is no such {what}; it may have been deleted")


def busy(line: str) -> ApiError:
    """Return the error for a server without room for one more."""
    return ApiError(503, line, {"Retry-After": "10"})


def status_of(error: DitheadError) -> int:
    """Return the HTTP status of an error: what a client can mend is 422, a disk without room 507."""
    if isinstance(error, ApiError):
        return error.status
    if isinstance(error, OutputError):
        return 507
    return 422


def public_line(error: BaseException, names: Mapping[Path, str]) -> str:
    """Return an error as one line in which paths are replaced by the names that the client gave its files.

    Args:
        error: What was raised.
        names: The client's name of each file.
    """
    line = " ".join(str(error).split())
    for path, name in sorted(names.items(), key=lambda item: -len(str(item[0]))):
        line = line.replace(str(path), name)
        line = line.replace(path.name, name)
    return line


def renamed(error: DitheadError, names: Mapping[Path, str]) -> DitheadError:
    """Return the same error with the line that ``public_line`` makes of it."""
    error.args = (public_line(error, names),)
    return error


def validation_line(errors: list[Any]) -> str:
    """Return the faults of a request as one line: where each is, and what is wanted there."""
    if not errors:
        return "the request cannot be understood"
    more = f" (and {len(errors) - _MOST} more)" if len(errors) > _MOST else ""
    return "; ".join(map(_fault, errors[:_MOST])) + more


def _fault(error: Mapping[str, Any]) -> str:
    """One fault: where it is, and what is wanted there."""
    if error["type"] == "json_invalid":
        return "the request is invalid JSON"
    place = ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path", "header"))
    text = str(error["msg"]).removeprefix("Value error, ")
    text = IN_WORDS.get(error.get("ctx", {}).get("pattern", ""), text[:1].lower() + text[1:])
    return f"{place}: {text}" if place else text
