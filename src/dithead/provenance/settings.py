"""Reads what an operator configures about signing, trust and consent: ``trust.toml`` in the configuration folder."""

from __future__ import annotations

import os
import sys
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dithead.errors import ConfigError
from dithead.limits import read_text

FOLDER_VARIABLE = "DITHEAD_CONFIG_DIR"
"""Environment variable that names another configuration folder."""
SETTINGS_FILE = "trust.toml"


@dataclass(frozen=True, kw_only=True)
class TrustSettings:
    """The settings of ``trust.toml``; relative paths count from its folder."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  # how pydantic checks a file; the class does not need it

    certificate: Path | None = None
    """PEM file of an organisation's certificate chain, the signer's own certificate first. None: a self-made one."""
    key: Path | None = None
    """PEM file of the private key of ``certificate``, not encrypted."""
    timestamp_authority: str | None = None
    """Address (http or https, RFC 3161) of a time-stamp authority. Each signature then needs the network."""
    trust: tuple[Path, ...] = ()
    """PEM files of certificates that ``verify`` trusts besides this machine's own."""
    watermark_keys: tuple[Path, ...] = ()
    """Files of secret keys of the invisible watermark. The first marks outputs; ``verify`` searches for all of them and
    for the public key. None given: outputs are marked with the public key, and every copy of this tool finds them."""
    require_consent: bool = False
    """Whether ``generate`` refuses to run without a statement of consent."""
    deny_list: Path | None = None
    """File of the faces that may not be redrawn. None: ``deny.json`` in the configuration folder, if it exists."""
    deny_distance: float = 0.6
    """Distance of two face embeddings up to which a face counts as denied (dlib's own threshold)."""


def config_folder() -> Path:
    """Return the folder of this user's configuration and keys, which need not exist."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given)
    base = os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "dithead"


def read_settings() -> TrustSettings:
    """Read ``trust.toml``; the defaults where there is none.

    Raises:
        ConfigError: The file cannot be read, or has an unknown name or a wrong value; it is named.
    """
    path = config_folder() / SETTINGS_FILE
    if not path.exists():
        return TrustSettings()
    from pydantic import TypeAdapter, ValidationError  # slow to import, and most machines have no such file

    text = read_text(path, str(path), ConfigError)
    try:
        found = TypeAdapter(TrustSettings).validate_python(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        wrong = "is no setting" if first["type"] == "unexpected_keyword_argument" else first["msg"]
        raise ConfigError(f"{path}: {name}: {wrong}; see the page about trust in the documentation") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); mend the file") from None
    if (found.certificate is None) != (found.key is None):
        raise ConfigError(f"{path}: give certificate and key together, or neither")
    return _from_folder(found, path.parent)


def _from_folder(found: TrustSettings, folder: Path) -> TrustSettings:
    """The settings with relative paths counted from the folder of the file."""
    values = {each.name: getattr(found, each.name) for each in fields(found)}
    paths: dict[str, Any] = {name: folder / value for name, value in values.items() if isinstance(value, Path)}
    paths |= {name: tuple(folder / each for each in values[name]) for name in ("trust", "watermark_keys")}
    return replace(found, **paths)
