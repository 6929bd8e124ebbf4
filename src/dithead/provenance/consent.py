"""Reads the statement of consent that goes into an output's credentials: a sentence, or a file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from dithead.errors import ConfigError
from dithead.provenance.settings import read_settings

_LONGEST = 16_384  # characters of a statement that is written out; of a longer or binary file, name and hash
_LARGEST = 64 * 2**20  # bytes of a file that is hashed (our choice: scanned contracts fit)

_FILE_NAME = re.compile(r"\S*\.[A-Za-z]\w{1,4}|[^\s\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]*[/\\]\S*")
"""What looks like a file rather than a sentence; the words of a mistyped path would be published as a statement.

Thai, Lao, Japanese and Chinese sentences have no spaces, and may have a slash."""


@dataclass(frozen=True)
class Consent:
    """A statement of consent: its words where they are known, and the name and hash of its file."""

    statement: str = ""
    file: str = ""
    sha256: str = ""

    def record(self) -> dict[str, Any]:
        """Return what the credentials say of it, without what is unknown."""
        known = {"statement": self.statement, "file": self.file, "sha256": self.sha256}
        return {name: value for name, value in known.items() if value}


def read_consent(given: str | PathLike[str] | None) -> Consent | None:
    """Read what was given as consent.

    Args:
        given: A sentence, or the path of a file. The words of a text file become part of the credentials; of any other
            file, only its name and its SHA-256 do. None: nothing was given.

    Raises:
        ConfigError: Nothing was given although ``trust.toml`` requires it, or it is empty, too large, or the name of a
            file that is not there.
    """
    if given is None:
        if read_settings().require_consent:
            raise ConfigError("this installation requires a statement of consent; give it with --consent FILE or TEXT")
        return None
    text = str(given).strip()
    if not text:
        raise ConfigError("the statement of consent is empty; say who agreed to what, or name a file that does")
    path = Path(given)
    if _is_file(path):
        return _of_file(path)
    if _FILE_NAME.fullmatch(text):
        raise ConfigError(f"{text}: no such file; give the statement of consent as a sentence, or check the path")
    if len(text) > _LONGEST:
        raise ConfigError(f"the statement of consent is longer than {_LONGEST} characters; give it as a file")
    return Consent(statement=text)


def _of_file(path: Path) -> Consent:
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path}: is larger than {_LARGEST // 2**20} MiB; give a smaller statement of consent")
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if not content.strip():
        raise ConfigError(f"{path}: is empty; say who agreed to what")
    return Consent(_text(content), path.name, hashlib.sha256(content).hexdigest())


def _text(content: bytes) -> str:
    """The words of a short text; an empty string for anything else."""
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return ""
    is_text = len(text) <= _LONGEST and all(c.isprintable() or c in "\n\r\t" for c in text)
    return text if is_text else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a sentence is no name of a file
        return False
